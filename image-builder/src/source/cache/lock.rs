//! One at a time: a run that finds another one at the same work waits for its
//! result.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::progress::Progress;

/// How often a waiting run looks again, and listens for Ctrl-C.
const PAUSE: Duration = Duration::from_millis(100);

/// Held while something is made. The kernel lets go of it when the run dies.
#[derive(Debug)]
pub(in crate::source) struct WorkLock {
    path: PathBuf,
    _file: File,
}

impl WorkLock {
    pub(super) fn take(path: PathBuf, progress: &mut dyn Progress) -> io::Result<Self> {
        let mut waiting = false;
        loop {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            match file.try_lock() {
                // Who had it before may have removed it: then it is nobody's.
                Ok(()) if is_linked(&file)? => return Ok(Self { path, _file: file }),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if !waiting {
                progress.note("waiting for another imgbuild, which prepares the same base");
                waiting = true;
            }
            progress.advance(0)?;
            sleep(PAUSE);
        }
    }
}

impl Drop for WorkLock {
    fn drop(&mut self) {
        // Still ours, so no other run can be misled; what stays is pruned.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens an entry and marks it as in use for as long as the file is open.
/// `None` when it is not there.
pub(super) fn open_in_use(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // Only a run that removes it, or just made it, holds it otherwise, and
        // not for long.
        file.lock_shared()?;
        if is_linked(&file)? {
            return Ok(Some(file));
        }
    }
}

/// Removes a file unless a run uses it; a dry run only looks. Whether it is, or
/// would be, gone.
pub(super) fn remove_unused(path: &Path, dry_run: bool) -> io::Result<bool> {
    let file = match File::open(path) {
        // Another run was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) if dry_run => Ok(true),
        Ok(()) => fs::remove_file(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_linked(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}
