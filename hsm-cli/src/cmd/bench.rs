//! `hsm bench`: load on an HSM, and how it takes it.

mod histogram;
mod load;
mod messages;
mod report;

use crate::cmd::send::Target;
use crate::exit::{self, usage};
use crate::{output, parse};
use anyhow::{Context, anyhow, bail};
use load::{Plan, Tally};
use messages::Message;
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const AFTER_HELP: &str = "\
Each connection keeps as many requests outstanding as --pipeline says. Every answer is compared with the known one: header,
order, codes and fields. The messages are valid under the variant test LMK; the HSM must have it as its default LMK.
Exit codes: 0 all answers were right, 1 no connection or lost answers, 2 wrong usage, 3 wrong answers.

Examples:
  hsm bench
  hsm bench --connections 64 --duration 10 --mix CA:50,B2:30,CY:20 --json
  hsm bench --message 'B20005Hello' --pipeline 16";

/// Put load on an HSM and measure throughput and latency
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,

    /// Outstanding requests on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pipeline: u32,

    /// Seconds that are measured
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse::seconds)]
    duration: Duration,

    /// Seconds of load before the measurement
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse::seconds_or_zero)]
    warmup: Duration,

    /// Built-in messages and their shares: B2, CA, CC, CW, CY, DA, DC, EC, G0, JC, KQ, NC
    #[arg(long, value_name = "CODE:SHARE,...", default_value = "CA:40,EC:20,CY:15,CW:10,KQ:10,B2:5")]
    mix: String,

    /// Message to send instead of the mix, written as for `hsm send`; may be given several times
    #[arg(long, value_name = "MESSAGE", conflicts_with = "mix")]
    message: Vec<String>,

    /// Error code that answers to --message have
    #[arg(long, value_name = "CODE", default_value = "00", requires = "message")]
    expect: String,

    /// Expect every message back as it was sent: to measure a bare echo server
    #[arg(long)]
    echo: bool,

    /// Characters of the message header, which carries a number that answers must repeat
    #[arg(long, env = "HSM_HEADER_LENGTH", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    header_length: u8,

    /// Threads that make the load
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm bench`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (messages, schedule) = if args.message.is_empty() {
        messages::mix(&args.mix).map_err(|e| usage(format!("--mix: {e}")))?
    } else {
        let own = args.message.iter().map(|text| Message::own(text, &args.expect)).collect::<Result<Vec<_>, _>>();
        let own = own.map_err(usage)?;
        let schedule = (0..own.len()).collect();
        (own, schedule)
    };
    let plan = Plan::new(messages, schedule, args.header_length, args.pipeline as usize, args.echo).map_err(usage)?;
    let streams = connect(args)?;

    let begin = Instant::now();
    let measure = begin + args.warmup;
    let window = load::Window { measure, end: measure + args.duration, patience: args.target.timeout };
    let tallies = in_threads(args.threads, streams, &plan, window)?;
    let tally = tallies.into_iter().reduce(Tally::join).ok_or_else(|| anyhow!("no load was made"))?;

    let report = report::Report { args, plan: &plan, tally: &tally };
    if args.json {
        output::json(&report.json())?;
    } else {
        output::text(&report.text())?;
    }
    if tally.mismatches() > 0 {
        exit::report(&format!("{} wrong answers; the first: {}", tally.mismatches(), tally.first_mismatch()));
        return Ok(ExitCode::from(exit::ANSWERED_OTHERWISE));
    }
    if tally.lost > 0 || tally.disconnects > 0 {
        bail!("{} requests without an answer, {} connections lost", tally.lost, tally.disconnects);
    }
    if tally.answers() == 0 {
        bail!("no answer within the measured time");
    }
    Ok(ExitCode::SUCCESS)
}

fn connect(args: &Args) -> anyhow::Result<Vec<TcpStream>> {
    let addresses = args.target.addresses()?;
    let mut streams = Vec::with_capacity(args.connections as usize);
    for n in 1..=args.connections {
        let mut last = None;
        let stream = addresses.iter().find_map(|address| {
            TcpStream::connect_timeout(address, args.target.timeout).map_err(|error| last = Some(error)).ok()
        });
        let Some(stream) = stream else {
            let error = last.map_or_else(|| anyhow!("no address"), anyhow::Error::from);
            let to = format!("connection {n} to {}:{} failed", args.target.host, args.target.port);
            return Err(error.context(to));
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    Ok(streams)
}

fn in_threads(n: u16, streams: Vec<TcpStream>, plan: &Plan, window: load::Window) -> anyhow::Result<Vec<Tally>> {
    let n = usize::from(n).min(streams.len());
    let mut shares: Vec<Vec<(usize, TcpStream)>> = (0..n).map(|_| Vec::new()).collect();
    for (index, stream) in streams.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(index % n) {
            share.push((index, stream));
        }
    }
    thread::scope(|scope| {
        let threads: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || load::run(share, plan, window))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, std::io::Result<Tally>>| {
            thread.join().map_err(|_| anyhow!("a load thread failed"))?.context("the load could not be made")
        };
        threads.into_iter().map(join).collect()
    })
}
