//! The control socket: what the owner of a running emulator can ask it to do (`hsm ctl`).
//!
//! A Unix domain socket that only the owner can connect to. A client sends one line of JSON, gets one line back, and is
//! disconnected; sizes and times are bounded. Requests are served one after the other by a thread of their own, never by the
//! event loop. What they do is a [`Control`]; [`ModuleControl`] is that of an emulator.

use crate::Reloaded;
use hsm_core::authorisation::Activity;
use hsm_core::config::{change_setting, keys, show_setting};
use hsm_core::lmk_store::LmkRow;
use hsm_core::{MAX_LMK_ID, SecurityModule};
use mio::{Events, Interest, Poll, Token, Waker};
use serde_json::{Map, Value, json};
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest request in bytes, without the line feed.
pub const MAX_LINE: usize = 64 * 1024;

/// Longest answer: 20 LMKs with 256 activities each take some 600 KiB.
const MAX_ANSWER: usize = 1024 * 1024;

/// Most activities of one request.
const MAX_ACTIVITIES: usize = 64;

/// Most settings that are asked for at once: more than there are.
const MAX_KEYS: usize = 256;

/// How long a client may take for its line, and for reading the answer.
const CLIENT_TIME: Duration = Duration::from_secs(5);

/// How often [`Control::tick`] is called.
const TICK: Duration = Duration::from_secs(1);

/// Connections that may wait, by the system's own default, are more than enough; of these at most so many are served in a row.
const BURST: usize = 16;

/// What can be asked of an emulator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Authorises activities for an LMK: all, or on a mistake none.
    Authorize {
        /// The LMK.
        lmk: u8,
        /// The activities, as `export..host:10`.
        activities: Vec<String>,
    },
    /// Cancels activities of an LMK.
    Cancel {
        /// The LMK.
        lmk: u8,
        /// The activities; `None` for all.
        activities: Option<Vec<String>>,
    },
    /// Tells what is loaded, authorised and connected.
    Status,
    /// The LMK table.
    Lmk,
    /// Security settings.
    Get {
        /// Their names; none for all.
        keys: Vec<String>,
    },
    /// Changes a security setting until the emulator stops.
    Set {
        /// Its name.
        key: String,
        /// Its value, as an environment variable would have it.
        value: String,
    },
    /// Allows PIN verification again after fraud detection stopped it, as console command A7.
    Unlock,
    /// Reads plugins and settings again.
    Reload,
    /// Stops the emulator.
    Stop {
        /// Without answering what was accepted.
        now: bool,
    },
}

impl Request {
    /// The request as a line of JSON has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Authorize { lmk, activities } => json!({"op": "authorize", "lmk": lmk, "activities": activities}),
            Self::Cancel { lmk, activities: None } => json!({"op": "cancel", "lmk": lmk}),
            Self::Cancel { lmk, activities } => json!({"op": "cancel", "lmk": lmk, "activities": activities}),
            Self::Status => json!({"op": "status"}),
            Self::Lmk => json!({"op": "lmk"}),
            Self::Get { keys } if keys.is_empty() => json!({"op": "get"}),
            Self::Get { keys } => json!({"op": "get", "keys": keys}),
            Self::Set { key, value } => json!({"op": "set", "key": key, "value": value}),
            Self::Unlock => json!({"op": "unlock"}),
            Self::Reload => json!({"op": "reload"}),
            Self::Stop { now } => json!({"op": "stop", "now": now}),
        }
    }

    /// Reads a line of JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(mut fields) = value else { return Err("not a JSON object".to_owned()) };
        let request = match fields.remove("op").as_ref().and_then(Value::as_str) {
            Some("authorize") => {
                let activities = activities(&mut fields)?.filter(|list| !list.is_empty());
                let activities = activities.ok_or("\"activities\" is missing")?;
                Self::Authorize { lmk: lmk(&mut fields)?, activities }
            }
            Some("cancel") => Self::Cancel { lmk: lmk(&mut fields)?, activities: activities(&mut fields)? },
            Some("status") => Self::Status,
            Some("lmk") => Self::Lmk,
            Some("get") => Self::Get { keys: texts(&mut fields, "keys", MAX_KEYS)?.unwrap_or_default() },
            Some("set") => {
                let missing = || "\"key\" or \"value\" is missing".to_owned();
                let key = text(&mut fields, "key")?.ok_or_else(missing)?;
                Self::Set { key, value: text(&mut fields, "value")?.ok_or_else(missing)? }
            }
            Some("unlock") => Self::Unlock,
            Some("reload") => Self::Reload,
            Some("stop") => match fields.remove("now") {
                None => Self::Stop { now: false },
                Some(Value::Bool(now)) => Self::Stop { now },
                Some(_) => return Err("\"now\" must be true or false".to_owned()),
            },
            _ => {
                return Err(
                    "\"op\" must be authorize, cancel, status, lmk, get, set, unlock, reload or stop".to_owned()
                );
            }
        };
        match fields.keys().next() {
            None => Ok(request),
            Some(field) => Err(format!("{field:?} is no field of this request")),
        }
    }
}

fn lmk(fields: &mut Map<String, Value>) -> Result<u8, String> {
    let id = fields.remove("lmk").and_then(|id| id.as_u64()).and_then(|id| u8::try_from(id).ok());
    id.filter(|id| *id <= MAX_LMK_ID).ok_or_else(|| format!("\"lmk\" must be 0 to {MAX_LMK_ID}"))
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name:?} must be text")),
    }
}

fn activities(fields: &mut Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    texts(fields, "activities", MAX_ACTIVITIES)
}

fn texts(fields: &mut Map<String, Value>, name: &str, most: usize) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("{name:?} must be a list of at most {most} texts");
    let Some(list) = fields.remove(name) else { return Ok(None) };
    let Value::Array(list) = list else { return Err(wrong()) };
    if list.len() > most {
        return Err(wrong());
    }
    let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    texts.map(Some).ok_or_else(wrong)
}

/// Does what is asked for.
pub trait Control: Send {
    /// Does it and returns what the answer holds, or why not.
    ///
    /// # Errors
    /// A line for the person who asked.
    fn perform(&mut self, request: Request) -> Result<Value, String>;

    /// Called about once a second.
    fn tick(&mut self) {}
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Somebody serves it already.
    #[error("another emulator serves {}", .0.display())]
    Busy(PathBuf),
    /// What has the name is no socket.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Nobody serves it.
    #[error("no emulator serves {}", .0.display())]
    Nobody(PathBuf),
    /// The path has more bytes than the system allows for sockets, 107 on Linux.
    #[error("the path of the control socket is too long: {}", .0.display())]
    TooLong(PathBuf),
    /// The answer makes no sense.
    #[error("the answer from {} makes no sense", .0.display())]
    Answer(PathBuf),
    /// The emulator refused.
    #[error("{0}")]
    Refused(String),
    /// The system refused something.
    #[error("control socket {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ControlError {
    let path = path.to_owned();
    move |source| ControlError::Io { path: path.clone(), source }
}

/// A control socket that is served. Dropping it ends the service and removes the socket.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Makes the socket and serves it. A missing directory is made, for the owner only.
    ///
    /// # Errors
    /// [`ControlError`]: another emulator serves it, the name is taken by something else, or the system refuses.
    pub fn open(path: &Path, mut control: impl Control + 'static) -> Result<Self, ControlError> {
        let mut listener = bind(path)?;
        let io = failed(path);
        let poll = Poll::new().map_err(&io)?;
        poll.registry().register(&mut listener, Token(0), Interest::READABLE).map_err(&io)?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(1)).map_err(&io)?);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let serve = move || serve(poll, &listener, &mut control, &stop);
        let thread = thread::Builder::new().name("hsm-control".to_owned()).spawn(serve).map_err(&io)?;
        Ok(Self { path: path.to_owned(), stopping, waker, thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // A thread that does not wake sees the flag with its next tick.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the control socket panicked");
        }
        // Somebody else may have removed it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds in a directory of its own that nobody else can enter, so that the socket is the owner's before it has its name.
fn bind(path: &Path) -> Result<mio::net::UnixListener, ControlError> {
    let io = failed(path);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&io)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => return Err(ControlError::Busy(path.to_owned())),
            // Left by a process that was killed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(io(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let private = directory.join(format!(".ctl{}", std::process::id()));
    let temporary = private.join("s");
    if [path, &temporary].iter().any(|path| SocketAddr::from_pathname(path).is_err()) {
        return Err(ControlError::TooLong(path.to_owned()));
    }
    // Left by a process that had the same number and was killed.
    let _ = fs::remove_dir_all(&private);
    DirBuilder::new().mode(0o700).create(&private).map_err(&io)?;
    let bound = mio::net::UnixListener::bind(&temporary).and_then(|listener| {
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
        fs::rename(&temporary, path)?;
        Ok(listener)
    });
    // It is empty unless something failed, which is what the caller hears of.
    let _ = fs::remove_dir_all(&private);
    bound.map_err(io)
}

fn serve(mut poll: Poll, listener: &mio::net::UnixListener, control: &mut impl Control, stopping: &AtomicBool) {
    let mut events = Events::with_capacity(4);
    let mut next_tick = Instant::now() + TICK;
    let mut more = false;
    while !stopping.load(Ordering::Acquire) {
        let wait = if more { Duration::ZERO } else { next_tick.saturating_duration_since(Instant::now()) };
        if let Err(error) = poll.poll(&mut events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::error!("the control socket is no longer served: {error}");
            return;
        }
        more = accept(listener, control, stopping);
        if Instant::now() >= next_tick {
            control.tick();
            next_tick = Instant::now() + TICK;
        }
    }
}

/// Serves who waits; tells whether there may be more.
fn accept(listener: &mio::net::UnixListener, control: &mut impl Control, stopping: &AtomicBool) -> bool {
    for _ in 0..BURST {
        if stopping.load(Ordering::Acquire) {
            return false;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = answer(&mut UnixStream::from(stream), control) {
                    log::debug!("control socket: {error}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => {
                log::warn!("control socket: {error}");
                // Out of descriptors, most likely: no use in asking again at once.
                thread::sleep(Duration::from_millis(100));
                return true;
            }
        }
    }
    true
}

fn answer(stream: &mut UnixStream, control: &mut impl Control) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let line = read_line(stream, MAX_LINE, CLIENT_TIME)?;
    let result = Request::parse(&line).and_then(|request| control.perform(request));
    let answer = match result {
        Ok(result) => json!({"ok": true, "result": result}),
        Err(error) => json!({"ok": false, "error": error}),
    };
    write_line(stream, &answer, CLIENT_TIME)
}

/// Reads up to a line feed, or the end, within a time for all of it.
fn read_line(stream: &mut UnixStream, max: usize, time: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + time;
    let mut line = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let n = match stream.read(&mut chunk) {
            Ok(0) => return Ok(line),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let received = chunk.get(..n).unwrap_or_default();
        let end = received.iter().position(|c| *c == b'\n');
        line.extend_from_slice(received.get(..end.unwrap_or(n)).unwrap_or_default());
        if line.len() > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
        }
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// Writes a line within a time for all of it.
fn write_line(stream: &mut UnixStream, value: &Value, time: Duration) -> io::Result<()> {
    let deadline = Instant::now() + time;
    let line = format!("{value}\n");
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(rest) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Asks the emulator that serves a socket.
///
/// # Errors
/// [`ControlError::Nobody`] if none does, [`ControlError::Refused`] with its reason if it refuses.
pub fn call(path: &Path, request: &Request, time: Duration) -> Result<Value, ControlError> {
    let io = failed(path);
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(ControlError::Nobody(path.to_owned()));
        }
        Err(error) => return Err(io(error)),
    };
    write_line(&mut stream, &request.to_json(), time).map_err(&io)?;
    let line = read_line(&mut stream, MAX_ANSWER, time).map_err(&io)?;
    let answer: Value = serde_json::from_slice(&line).map_err(|_| ControlError::Answer(path.to_owned()))?;
    match (answer.get("ok").and_then(Value::as_bool), answer.get("result"), answer.get("error").and_then(Value::as_str))
    {
        (Some(true), Some(result), _) => Ok(result.clone()),
        (Some(false), _, Some(error)) => Err(ControlError::Refused(error.to_owned())),
        _ => Err(ControlError::Answer(path.to_owned())),
    }
}

/// What of an emulator lies outside its security module.
pub trait Actions: Send {
    /// Reads plugins and settings again.
    ///
    /// # Errors
    /// Why the old ones stay.
    fn reload(&mut self) -> Result<Reloaded, String>;

    /// Stops it, at once if `now`. The answer may or may not get out before.
    fn stop(&mut self, now: bool);

    /// What `status` shows besides LMKs and activities, such as listeners and connections.
    fn status(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// Controls an emulator: its security module, and [`Actions`] for the rest.
#[derive(Debug)]
pub struct ModuleControl<A> {
    module: SecurityModule,
    actions: A,
    started: SystemTime,
}

impl<A: Actions> ModuleControl<A> {
    /// Controls a module.
    #[must_use]
    pub fn new(module: SecurityModule, actions: A) -> Self {
        Self { module, actions, started: SystemTime::now() }
    }

    fn loaded(&self, lmk: u8) -> Result<u8, String> {
        match self.module.lmks().slots.contains_key(&lmk) {
            true => Ok(lmk),
            false => Err(format!("no LMK is loaded in slot {lmk:02}")),
        }
    }

    fn status(&self) -> Value {
        let (lmks, settings, authorisation) = (self.module.lmks(), self.module.settings(), self.module.authorisation());
        let activities = lmks.slots.keys().map(|id| {
            let grants = authorisation.in_force(*id, &settings, self.module.now());
            let grants = grants.iter().map(|grant| {
                let until = grant.until.and_then(|until| until.duration_since(UNIX_EPOCH).ok());
                json!({"activity": grant.activity.to_string(), "until": until.map(|until| until.as_secs())})
            });
            (format!("{id:02}"), grants.collect::<Value>())
        });
        let mut status = self.actions.status();
        status.insert("pid".to_owned(), json!(std::process::id()));
        status.insert("uptime".to_owned(), json!(self.started.elapsed().unwrap_or_default().as_secs()));
        status.insert("default_lmk".to_owned(), json!(lmks.default));
        status.insert("pin_verification_locked".to_owned(), json!(self.module.pin_verification_locked()));
        status.insert("multiple_activities".to_owned(), json!(settings.multiple_activities));
        status.insert("authorised".to_owned(), Value::Object(activities.collect()));
        Value::Object(status)
    }
}

fn parse_all(activities: &[String]) -> Result<Vec<Activity>, String> {
    activities.iter().map(|text| text.parse().map_err(|error| format!("{text}: {error}"))).collect()
}

impl<A: Actions> Control for ModuleControl<A> {
    fn perform(&mut self, request: Request) -> Result<Value, String> {
        match request {
            Request::Authorize { lmk, activities } => {
                let (lmk, activities) = (self.loaded(lmk)?, parse_all(&activities)?);
                self.module.authorise_all(lmk, &activities).map_err(|(n, error)| {
                    let refused = activities.get(n).map(ToString::to_string).unwrap_or_default();
                    format!("{refused}: {error}")
                })?;
                Ok(json!({"authorised": activities.len()}))
            }
            Request::Cancel { lmk, activities } => {
                let lmk = self.loaded(lmk)?;
                let activities = activities.as_deref().map(parse_all).transpose()?;
                Ok(json!({"cancelled": self.module.cancel_authorisation(lmk, activities.as_deref())}))
            }
            Request::Status => Ok(self.status()),
            Request::Lmk => {
                let (lmks, change) = LmkRow::of_module(&self.module);
                let rows =
                    |rows: &[LmkRow]| rows.iter().map(LmkRow::cells).map(|cells| json!(cells)).collect::<Value>();
                Ok(json!({"head": LmkRow::HEAD, "lmks": rows(&lmks), "change": rows(&change)}))
            }
            Request::Get { keys: mut names } => {
                let settings = self.module.settings();
                if names.is_empty() {
                    names.extend(keys().iter().filter(|key| key.is_live()).map(|key| key.name.to_owned()));
                }
                let shown = names.into_iter().map(|name| {
                    let value = show_setting(&settings, &name)?;
                    Ok((name, Value::String(value)))
                });
                Ok(Value::Object(shown.collect::<Result<_, String>>()?))
            }
            Request::Set { key, value } => {
                let changed =
                    change_setting(&self.module.settings(), &key, &value).map_err(|e| format!("{key}: {e}"))?;
                let shown = show_setting(&changed, &key)?;
                log::info!("control socket: {key} = {shown}");
                self.module.set_settings(changed);
                Ok(json!({key: shown}))
            }
            Request::Unlock => {
                if !self.module.unlock_pin_verification() {
                    return Err(
                        "the number of attacks has reached its limit: only new LMKs unlock PIN verification".to_owned()
                    );
                }
                log::info!("control socket: PIN verification is unlocked");
                Ok(json!({"pin_verification_locked": false}))
            }
            Request::Reload => {
                let Reloaded { plugins, changed, restart } = self.actions.reload()?;
                Ok(json!({"plugins": plugins, "changed": changed, "restart": restart}))
            }
            Request::Stop { now } => {
                log::info!("control socket: stop");
                self.actions.stop(now);
                Ok(Value::Object(Map::new()))
            }
        }
    }

    fn tick(&mut self) {
        self.module.expire_authorisation();
    }
}

#[cfg(test)]
mod tests;
