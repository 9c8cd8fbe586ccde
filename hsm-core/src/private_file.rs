//! Files that only their owner may see: read with checks, replaced as a whole or not at all, locked against a second writer.
//!
//! A replacement is written to a second file in the same directory, brought to the disk, and only then renamed over the old one.
//! Whenever the process dies, the file holds the old contents or the new.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file that cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no such file.
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    /// Others than the owner may read or write the file.
    #[error("{} has permissions {mode:03o}: only its owner may have access (chmod 600)", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Anybody may replace files of the directory.
    #[error("{} may be written by everybody: files in it can be replaced", .0.display())]
    Directory(PathBuf),
    /// The path is a directory, a device or the like.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is longer than such a file can be.
    #[error("{} is longer than {max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// Another process is changing the file.
    #[error("{} is being changed by another process", .0.display())]
    Locked(PathBuf),
    /// The system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names what failed and where.
pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => FileError::NotFound(path),
        _ => FileError::Io { what, path, source },
    }
}

/// Reads a file of at most `max` bytes that nobody but its owner may access.
pub(crate) fn read(path: &Path, max: u64) -> Result<zeroize::Zeroizing<Vec<u8>>, FileError> {
    // Opening what is no file may take forever: a pipe waits for somebody who writes.
    if !fs::metadata(path).map_err(failed("look at", path))?.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(failed("open", path))?;
    // Of the opened file, not of whatever has this name by now.
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Permissions { path: path.to_owned(), mode });
    }
    if metadata.len() > max {
        return Err(FileError::TooLong { path: path.to_owned(), max });
    }
    // Room for all of it at once: growing would leave copies behind.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    (&file).take(max + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLong { path: path.to_owned(), max });
    }
    Ok(bytes)
}

/// Keeps other writers of a file away until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct WriteLock {
    path: PathBuf,
    _lock: File,
}

impl WriteLock {
    /// Takes the lock of a file, which need not exist. Missing directories are made, for the owner only.
    pub(crate) fn take(path: &Path) -> Result<Self, FileError> {
        // A link is followed once, so that the file it leads to is replaced and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = directory(&path);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("make directory", directory))?;
        let mode = fs::metadata(directory).map_err(failed("look at", directory))?.permissions().mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(FileError::Directory(directory.to_owned()));
        }
        let name = beside(&path, "lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
        let lock = lock.map_err(failed("open", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FileError::Locked(path)),
            Err(TryLockError::Error(error)) => Err(failed("lock", &name)(error)),
        }
    }

    /// The file, with links followed.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file. On failure the old file is as it was.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<(), FileError> {
        let new = beside(&self.path, "new");
        // What a process left that was killed here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &new)(error)),
            _ => {}
        }
        let written = write_new(&new, bytes).and_then(|()| {
            step("rename")?;
            fs::rename(&new, &self.path)
        });
        if let Err(error) = written {
            // The first failure is what counts; the next writer removes the rest.
            let _ = fs::remove_file(&new);
            return Err(failed("write", &self.path)(error));
        }
        let directory = directory(&self.path);
        step("sync directory").map_err(failed("write", directory))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write", directory))?;
        step("done").map_err(failed("write", directory))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    step("create")?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    step("write")?;
    file.write_all(first)?;
    step("write rest")?;
    file.write_all(second)?;
    step("sync")?;
    file.sync_all()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, kind: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    directory(path).join(format!(".{name}.{kind}"))
}

/// Where tests make a write fail or the process die.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "fails in tests")]
fn step(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;

    /// The steps of a replacement, in order.
    pub(crate) const STEPS: [&str; 7] = ["create", "write", "write rest", "sync", "rename", "sync directory", "done"];

    /// The process dies at the step this variable names.
    pub(crate) const DIE_AT: &str = "HSM_TEST_DIE_AT";

    thread_local! {
        pub(crate) static FAIL_AT: Cell<&'static str> = const { Cell::new("") };
    }

    pub(super) fn step(name: &str) -> io::Result<()> {
        if std::env::var(DIE_AT).is_ok_and(|at| at == name) {
            std::process::abort();
        }
        if FAIL_AT.get() == name { Err(io::Error::other("made to fail")) } else { Ok(()) }
    }
}
