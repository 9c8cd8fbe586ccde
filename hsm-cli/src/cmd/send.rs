//! `hsm send`: one message to an HSM, and its answer explained.

use crate::exit::{self, usage};
use crate::{output, parse, wire};
use anyhow::{Context, bail};
use hsm_plugin_sdk::ErrorCode;
use serde_json::json;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const AFTER_HELP: &str = "\
MESSAGE is command code and fields as text; <hex> stands for bytes, and a < of its own is written <3C>.
While nobody listens, as an HSM that is starting, it tries again until the time is up.
Exit codes: 0 the HSM answered 00, 1 no answer, 2 wrong usage, 3 the HSM answered another error code.
Commands that print answer before printing and once more after it: --responses 2 waits for both.

Examples:
  hsm send NC
  hsm send 'B20005<48656C6C6F>'
  echo B20005Hello | hsm send --json -
  hsm send --responses 2 'PEC40000012345601234M DUPONT'";

/// Most responses that may be waited for: QC processes so many records, one to a response.
const MOST_RESPONSES: u64 = 1024;

/// Send a message to an HSM and explain its answer
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Message without its header, or - to read it from standard input
    #[arg(value_name = "MESSAGE", allow_hyphen_values = true)]
    message: String,

    #[command(flatten)]
    target: Target,

    /// Message header; its length is what the HSM must be set to
    #[arg(long, env = "HSM_HEADER", default_value = "0000")]
    header: String,

    /// Number of responses to wait for; an error code other than 00 ends the wait
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_RESPONSES))]
    responses: u64,

    /// Print each answer as JSON
    #[arg(long)]
    json: bool,
}

/// Where an HSM listens, and how long to wait for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Address or name of the HSM
    #[arg(long, env = "HSM_HOST", default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// Port of the HSM
    #[arg(long, env = "HSM_PORT", default_value_t = 1500)]
    pub(crate) port: u16,

    /// Seconds to wait for connection and answer
    #[arg(long, env = "HSM_TIMEOUT", value_name = "SECONDS", default_value = "5", value_parser = parse::seconds)]
    pub(crate) timeout: Duration,
}

impl Target {
    /// The addresses of the host.
    ///
    /// # Errors
    /// If the name is not known.
    pub(crate) fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found: Vec<_> = found.with_context(|| format!("{}: unknown host", self.host))?.collect();
        if found.is_empty() { bail!("{}: no address", self.host) } else { Ok(found) }
    }
}

/// Runs `hsm send`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let message = message(&args.message)?;
    let header = wire::parse(args.header.as_bytes()).map_err(|e| usage(format!("--header: {e}")))?;
    if header.is_empty() || header.len() > 255 {
        return Err(usage(format!("--header: a header has 1 to 255 characters, this one has {}", header.len())));
    }
    let frame = wire::frame(&header, &message).map_err(usage)?;

    let start = Instant::now();
    let mut exchange = Exchange::start(&args.target, &frame)?;
    for number in 1..=args.responses {
        let answer = match exchange.response() {
            Err(_) if number > 1 => bail!("{} of {} responses came in time", number - 1, args.responses),
            answer => answer?,
        };
        let elapsed = start.elapsed();
        let Some(body) = answer.strip_prefix(header.as_slice()) else {
            bail!(
                "the answer {} does not begin with the header {}: is the HSM set to a header length of {}?",
                wire::show(&answer),
                wire::show(&header),
                header.len()
            );
        };
        let answer = Answer::of(body, &message, number > 1);
        if args.json {
            output::json(&answer.json(&header, &message, elapsed))?;
        } else {
            output::text(&answer.text())?;
        }
        if answer.error != Some(ErrorCode::OK) {
            return Ok(ExitCode::from(exit::ANSWERED_OTHERWISE));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn message(argument: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = argument.as_bytes().to_vec();
    if argument == "-" {
        text.clear();
        io::stdin().take(4 * wire::LONGEST as u64).read_to_end(&mut text).context("cannot read standard input")?;
        while text.last().is_some_and(|c| matches!(c, b'\n' | b'\r')) {
            text.pop();
        }
    }
    wire::parse(&text).map_err(usage)
}

/// A frame that was sent, and the frames that come back, all within the time-out.
struct Exchange {
    stream: TcpStream,
    at: String,
    deadline: Instant,
}

impl Exchange {
    fn start(target: &Target, frame: &[u8]) -> anyhow::Result<Self> {
        let at = format!("{}:{}", target.host, target.port);
        let deadline = Instant::now() + target.timeout;
        let mut stream = connect(target, deadline).with_context(|| format!("cannot connect to {at}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(left(deadline).unwrap_or(target.timeout)))?;
        stream.write_all(frame).with_context(|| format!("cannot send to {at}"))?;
        Ok(Self { stream, at, deadline })
    }

    /// The next frame, without its length.
    fn response(&mut self) -> anyhow::Result<Vec<u8>> {
        let Self { stream, at, deadline } = self;
        let mut prefix = [0; 2];
        read(stream, &mut prefix, *deadline).with_context(|| format!("no answer from {at}"))?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(prefix))];
        read(stream, &mut answer, *deadline).with_context(|| format!("the answer from {at} is cut short"))?;
        Ok(answer)
    }
}

/// Connects; while that is refused, it tries again: the HSM may just be starting.
fn connect(target: &Target, deadline: Instant) -> anyhow::Result<TcpStream> {
    let addresses = target.addresses()?;
    let mut last = None;
    loop {
        for address in &addresses {
            let Some(left) = left(deadline) else { break };
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        let refused = last.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        match left(deadline) {
            Some(left) if refused => thread::sleep(RETRY.min(left)),
            _ => return Err(last.map_or_else(timed_out, plain).into()),
        }
    }
}

/// How long to wait before trying again.
const RETRY: Duration = Duration::from_millis(50);

fn read(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(deadline).ok_or_else(timed_out)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::Error::other("the HSM closed the connection")),
            Ok(n) => buffer = &mut buffer[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(plain(error)),
        }
    }
    Ok(())
}

fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// A time-out reads the same whatever the system calls it.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => timed_out(),
        _ => error,
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out (is its header length the length of --header?)")
}

/// An answer without its header, cut into what every answer has.
struct Answer<'a> {
    raw: &'a [u8],
    code: &'a [u8],
    error: Option<ErrorCode>,
    fields: &'a [u8],
    /// Whether the response code is that of another command. Second responses have codes of their own.
    stray: bool,
}

impl<'a> Answer<'a> {
    fn of(raw: &'a [u8], message: &[u8], later: bool) -> Self {
        let (code, rest) = raw.split_at_checked(2).unwrap_or((raw, &[]));
        let (error, fields) = rest
            .split_first_chunk::<2>()
            .map_or((None, rest), |(error, fields)| (Some(ErrorCode::from_bytes(*error)), fields));
        let stray =
            !later && message.first_chunk::<2>().is_none_or(|[first, second]| code != [*first, second.wrapping_add(1)]);
        Self { raw, code, error, fields, stray }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n  response  {}\n", wire::show(self.raw), wire::show(self.code));
        match self.error {
            Some(error) => {
                let meaning = error.description().unwrap_or("not a code that the device documents");
                text += &format!("  error     {} ({meaning})\n", wire::show(error.as_bytes()));
            }
            None => text += "  error     missing\n",
        }
        if !self.fields.is_empty() {
            text += &format!("  fields    {}\n", wire::show(self.fields));
        }
        if self.stray {
            text += "  note      not the response code of this command: does --header have the length that the HSM expects?\n";
        }
        text
    }

    fn json(&self, header: &[u8], message: &[u8], elapsed: Duration) -> serde_json::Value {
        json!({
            "header": wire::show(header),
            "request": wire::show(message),
            "response": wire::show(self.raw),
            "response_hex": wire::hex(self.raw),
            "code": wire::show(self.code),
            "error": self.error.map(|error| wire::show(error.as_bytes())),
            "meaning": self.error.and_then(ErrorCode::description),
            "fields": wire::show(self.fields),
            "fields_hex": wire::hex(self.fields),
            "microseconds": u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        })
    }
}
