//! A private file that a thread of its own replaces after changes, so that nobody who changes something waits for the disk.
//!
//! Each time, the file gets the newest contents; changes that come while it is being written share the next write. What has
//! changed since the last write is lost if the process is killed, not if it stops: dropping a saver writes what is left.

use crate::private_file::{FileError, WriteLock, failed};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a thread that waits for a write looks whether the writer is still there.
const LOOK: Duration = Duration::from_millis(100);

/// Saves a file.
pub(crate) struct FileSaver {
    changes: Changes,
    thread: Option<JoinHandle<()>>,
}

/// Where changes are told.
#[derive(Clone, Default)]
pub(crate) struct Changes(Arc<(Mutex<Progress>, Condvar)>);

#[derive(Default)]
struct Progress {
    made: u64,
    saved: u64,
    /// Whether the last write failed. It is tried again with the next change, at a flush and at the end.
    failed: bool,
    stopping: bool,
}

impl FileSaver {
    /// Saves a file from now on. `contents` is called on the saver's thread, `what` is the file in words, for the log.
    ///
    /// # Errors
    /// [`FileError::Io`] if there can be no further thread.
    pub(crate) fn start(
        path: PathBuf,
        what: &'static str,
        contents: impl Fn() -> String + Send + 'static,
    ) -> Result<Self, FileError> {
        let changes = Changes::default();
        let (told, file) = (changes.clone(), path.clone());
        let save = move || {
            while let Some(upto) = told.next() {
                let saved = WriteLock::take(&file).and_then(|lock| lock.replace(contents().as_bytes()));
                match saved {
                    Ok(()) => told.saved(upto),
                    Err(error) => {
                        log::error!("changes of {what} are not saved, until the next one or the end: {error}");
                        told.failed();
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("hsm-save".to_owned()).spawn(save);
        Ok(Self { changes, thread: Some(thread.map_err(failed("start a thread for", &path))?) })
    }

    /// Where changes are told.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Waits until the changes that have been told are in the file, or in the log as lost.
    pub(crate) fn flush(&self) {
        let mut progress = self.changes.progress();
        let made = progress.made;
        progress.failed = false;
        self.changes.0.1.notify_all();
        while progress.saved < made
            && !progress.failed
            && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        {
            let waited = self.changes.0.1.wait_timeout(progress, LOOK);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for FileSaver {
    fn drop(&mut self) {
        self.changes.change(|progress| (progress.stopping, progress.failed) = (true, false));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("a thread that saves a file panicked");
        }
    }
}

impl Changes {
    /// Tells that the contents have changed.
    pub(crate) fn tell(&self) {
        self.change(|progress| {
            progress.made += 1;
            progress.failed = false;
        });
    }

    /// Waits for changes that are not saved and returns the number of the last; `None` when the saver stops and everything is saved that can be.
    fn next(&self) -> Option<u64> {
        let is_work = |progress: &Progress| progress.made != progress.saved && !progress.failed;
        let idle = |progress: &mut Progress| !is_work(progress) && !progress.stopping;
        let progress = self.0.1.wait_while(self.progress(), idle).unwrap_or_else(PoisonError::into_inner);
        is_work(&progress).then_some(progress.made)
    }

    fn failed(&self) {
        self.change(|progress| progress.failed = true);
    }

    fn saved(&self, upto: u64) {
        self.change(|progress| progress.saved = upto);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.0.1.notify_all();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // A change is one assignment.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc;

    #[test]
    fn the_newest_contents_are_saved_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let contents = Arc::new(Mutex::new(String::new()));
        let (begun, at_work) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let newest = contents.clone();
        let saver = FileSaver::start(path.clone(), "test", move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            newest.lock().unwrap().clone()
        })
        .unwrap();
        let change = |text: &str| {
            *contents.lock().unwrap() = text.to_owned();
            saver.changes().tell();
        };
        change("one");
        at_work.recv().unwrap();
        // The writer is held up; these changes return all the same and share a write.
        (2..100).for_each(|n| change(&n.to_string()));
        go_on.send(()).unwrap();
        at_work.recv().unwrap();
        go_on.send(()).unwrap();
        saver.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "99");
        assert!(at_work.try_recv().is_err(), "two writes for all of them");
        change("last");
        go_on.send(()).unwrap();
        drop(saver);
        assert_eq!(fs::read_to_string(&path).unwrap(), "last");
    }

    #[test]
    fn what_could_not_be_written_is_written_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory");
        fs::create_dir(&path).unwrap();
        let saver = FileSaver::start(path.clone(), "test", || "text".to_owned()).unwrap();
        saver.changes().tell();
        saver.flush();
        fs::remove_dir(&path).unwrap();
        drop(saver);
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_file_that_cannot_be_written_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory");
        fs::create_dir(&path).unwrap();
        let saver = FileSaver::start(path.clone(), "test", String::new).unwrap();
        saver.changes().tell();
        saver.flush();
        assert!(path.is_dir());
    }
}
