//! A file in the making that outlives the run that makes it: `.NAME.part`, and
//! beside it `.NAME.part.toml`, which says how much of it can be relied on.
//!
//! The order of syncs holds the two together: what the small file promises is
//! on the disk before it is, and it is gone from there before the bytes change.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use sha2::{Digest as _, Sha256};

use super::exchange::Part;
use super::{Address, FetchError, POLL, State, Validator};
use crate::io::Scratch;
use crate::progress::Progress;

/// Bytes between two promises, and so the most that a killed run loses. A sync
/// of so many takes a disk less time than the network took to bring them.
const CHECKPOINT: u64 = 8 << 20;

/// Bytes hashed between two calls of the progress.
const STEP: usize = 1 << 20;

/// A part of a file, held against everybody else.
#[derive(Debug)]
pub(super) struct Partial {
    into: PathBuf,
    path: PathBuf,
    beside: PathBuf,
    file: Flock<File>,
    hash: Sha256,
    /// Bytes there are.
    len: u64,
    /// Bytes of them that an earlier run left.
    reused: u64,
    /// Whether they are of several answers.
    joined: bool,
    /// What can be promised about them; `None` where nothing tells versions of
    /// the file apart, or it came out of a file here.
    state: Option<State>,
}

impl Partial {
    /// Takes hold of the part of the file `into`. Also says whether another
    /// run had to be waited for, which may have completed it then.
    ///
    /// # Errors
    /// When it cannot be made, or the user stops the waiting.
    pub(super) fn claim(
        into: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(Self, bool), FetchError> {
        let path = beside(into, ".part");
        let failed = FetchError::file("writing", &path);
        let dir = directory(into);
        fs::create_dir_all(dir).map_err(FetchError::file("making the directory", dir))?;
        let mut waited = false;
        let file = loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .map_err(&failed)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Its last holder may have given it its name, or removed it.
                Ok(file) if is_at(&file, &path) => break file,
                Ok(_) => {}
                Err((_, Errno::EWOULDBLOCK)) => {
                    if !waited {
                        progress.note(&format!(
                            "waiting for another run that downloads {}",
                            name(into)
                        ));
                    }
                    waited = true;
                    progress.advance(0).map_err(FetchError::Stopped)?;
                    thread::sleep(POLL);
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        };
        let partial = Self {
            into: into.into(),
            beside: beside(into, ".part.toml"),
            path,
            file,
            hash: Sha256::new(),
            len: 0,
            reused: 0,
            joined: false,
            state: None,
        };
        Ok((partial, waited))
    }

    /// Goes on with what an earlier run left of this URL, or begins anew.
    ///
    /// # Errors
    /// When it cannot be read, or the user stops the reading.
    pub(super) fn adopt(
        &mut self,
        source: &Address,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let failed = FetchError::file("reading", &self.path);
        let there = self.file.metadata().map_err(&failed)?.len();
        let state = fs::read_to_string(&self.beside)
            .ok()
            .and_then(|text| State::parse(&text))
            .filter(|state| state.is_of(source) && (1..=there).contains(&state.kept));
        let Some(state) = state else {
            return self.restart();
        };
        // Behind the promise may be anything.
        self.file.set_len(state.kept).map_err(&failed)?;
        self.len = state.kept;
        self.reused = state.kept;
        // Before the reading, which may be stopped: the part is good all the same.
        self.state = Some(state);
        progress.step(
            &format!("checking the part of {}", name(&self.into)),
            Some(self.len),
        );
        hash_file(&self.file, &mut self.hash, progress).map_err(failed)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When the file cannot be emptied.
    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        let failed = FetchError::file("emptying", &self.path);
        self.state = None;
        self.joined = false;
        self.reused = 0;
        self.len = 0;
        self.hash = Sha256::new();
        remove(&self.beside).map_err(&failed)?;
        self.file.set_len(0).map_err(&failed)
    }

    /// Forgets everything; what comes next is the beginning of this version of
    /// the file.
    ///
    /// # Errors
    /// When the file cannot be emptied.
    pub(super) fn begin(
        &mut self,
        source: &Address,
        validator: Option<Validator>,
    ) -> Result<(), FetchError> {
        self.restart()?;
        self.state = validator.map(|validator| State::new(source, validator));
        Ok(())
    }

    /// What comes next goes on where the bytes there are end.
    pub(super) fn join(&mut self) {
        self.joined = true;
    }

    /// Whether the bytes are of several answers.
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    /// The rest that is missing, if it can be told from another file's.
    pub(super) fn rest(&self) -> Option<Part> {
        let state = self.state.as_ref().filter(|_| self.len > 0)?;
        Some(Part {
            from: self.len,
            of: state.validator.clone(),
        })
    }

    /// Bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of them that an earlier run left.
    pub(super) fn reused(&self) -> u64 {
        self.reused
    }

    /// The sha256 of the bytes there are, in lower-case hex.
    pub(super) fn digest(&self) -> String {
        base16ct::lower::encode_string(&self.hash.clone().finalize())
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let failed = FetchError::file("writing", &self.path);
        self.file.write_all_at(bytes, self.len).map_err(&failed)?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        let promised = self.state.as_ref().map_or(self.len, |state| state.kept);
        match self.len - promised >= CHECKPOINT {
            true => self.promise().map_err(failed),
            false => Ok(()),
        }
    }

    /// Leaves what there is for a later run, if that can use it.
    ///
    /// The run has failed already, and why is the error to show. What cannot be
    /// promised is downloaded again.
    pub(super) fn leave(mut self) {
        match self.state {
            Some(_) if self.len > 0 => {
                let _ = self.promise();
            }
            _ => self.discard(),
        }
    }

    /// Leaves nothing. What cannot be removed is emptied by the next run.
    pub(super) fn discard(self) {
        let _ = remove(&self.beside).and_then(|()| fs::remove_file(&self.path));
    }

    /// Gives the file its name. Both are on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be synced or moved.
    pub(super) fn finish(self) -> Result<(), FetchError> {
        let finish = || {
            self.file.sync_all()?;
            fs::rename(&self.path, &self.into)?;
            remove(&self.beside)?;
            sync_directory(&self.into)
        };
        finish().map_err(FetchError::file("writing", &self.into))
    }

    /// Syncs the bytes, then says so beside them.
    fn promise(&mut self) -> io::Result<()> {
        let Some(state) = &mut self.state else {
            return Ok(());
        };
        self.file.sync_data()?;
        state.kept = self.len;
        let scratch = Scratch::new(directory(&self.path))?;
        scratch.file().write_all_at(state.render().as_bytes(), 0)?;
        scratch.keep(&self.beside, true)
    }
}

/// Hashes a file from its beginning to its end.
///
/// # Errors
/// What the file or the progress says.
pub(super) fn hash_file(
    file: &File,
    hash: &mut Sha256,
    progress: &mut dyn Progress,
) -> io::Result<()> {
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok(()),
            len => {
                hash.update(&buffer[..len]);
                at += len as u64;
                progress.advance(len as u64)?;
            }
        }
    }
}

/// The file name, for people.
pub(super) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// `.NAME.part` for `NAME`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Whether a name still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => id(held) == id(named),
        _ => false,
    }
}

/// Removes a file that may not be there, for good: it must not be back after a
/// power cut, beside other bytes than it was about.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_directory(of: &Path) -> io::Result<()> {
    File::open(directory(of))?.sync_all()
}

fn directory(of: &Path) -> &Path {
    let dir = of.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}
