//! Things made once and kept: unpacked bases, enlarged roots, digests of files
//! that did not change since. Everything here can be deleted at any time.
//!
//! ```text
//! download/ index/        the entries, by kind
//! raw/ root/
//! record/KIND/NAME        an entry's stamp, sha256 and origin; its time is
//!                         when the entry was used last
//! digest/ checked/        files that did not change; bases that were checked
//! lock/                   what a run is making just now
//! ```

mod keep;
mod kind;
mod lock;
mod prune;
mod stamp;
mod verify;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

pub use keep::{Entry, Listed};
pub use kind::Kind;
pub use prune::Pruned;
pub use verify::{State, Verdict};

use super::BaseError;
use super::digest::{hex, sha256};
use crate::io::Scratch;
use crate::progress::Progress;
use lock::WorkLock;
use stamp::Stamp;

/// A directory of our own.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// A cache in this directory, which is made when something is put there.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the user's cache is: `$IMGBUILD_CACHE`, else `imgbuild` below
    /// `$XDG_CACHE_HOME` or `~/.cache` (XDG base directory specification).
    pub fn of_user() -> anyhow::Result<Self> {
        let from = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let dir = from("IMGBUILD_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("imgbuild")))
            .or_else(|| from("HOME").map(|dir| dir.join(".cache/imgbuild")))
            .context("finding the cache: set IMGBUILD_CACHE, or HOME")?;
        Ok(Self::new(dir))
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a downloaded file with this digest is kept.
    pub fn download(&self, digest: &str, name: &str) -> PathBuf {
        self.path(Kind::Download, &format!("{digest}-{name}"))
    }

    /// Where the index of a repository of charts is kept, by its URL.
    pub fn index(&self, url: &str) -> PathBuf {
        let name = format!("{}.yaml", hex(&Sha256::digest(url.as_bytes())));
        self.path(Kind::ChartIndex, &name)
    }

    /// The sha256 of a file, computed again only when the file changed: its
    /// path, inode, size or times.
    ///
    /// # Errors
    /// When the file cannot be read or the cache not written.
    pub fn digest_of(&self, file: &Path, progress: &mut dyn Progress) -> anyhow::Result<String> {
        let mut opened = File::open(file).map_err(BaseError::Open)?;
        let seen = Seen::now(file, &opened)?;
        if let Some(digest) = self.known_digest(&seen) {
            return Ok(digest);
        }
        let len = opened.metadata().map_err(BaseError::Open)?.len();
        progress.step("hashing the base", Some(len));
        let digest = sha256(&mut opened, progress)?;
        self.remember_digest(&seen, &digest)?;
        Ok(digest)
    }

    /// Whether a file is known to have this sha256, without a look into it.
    pub fn knows(&self, file: &Path, sha256: &str) -> bool {
        let seen = File::open(file)
            .ok()
            .and_then(|opened| Seen::now(file, &opened).ok());
        seen.and_then(|seen| self.known_digest(&seen)).as_deref() == Some(sha256)
    }

    /// Remembers the sha256 of a file that somebody has just computed.
    ///
    /// # Errors
    /// When the file cannot be opened or the cache not written.
    pub fn remember(&self, file: &Path, sha256: &str) -> anyhow::Result<()> {
        let opened = File::open(file).map_err(BaseError::Open)?;
        self.remember_digest(&Seen::now(file, &opened)?, sha256)
    }

    /// The sha256 of a file as it was seen, if somebody computed it before.
    pub(super) fn known_digest(&self, seen: &Seen) -> Option<String> {
        let text = fs::read_to_string(self.digest_file(seen)).ok()?;
        let digest = text.strip_prefix(&seen.0)?;
        Some(digest.trim_end().to_owned())
    }

    /// Remembers the sha256 of a file as it was seen before it was read: if it
    /// changed since, this is remembered for nobody.
    pub(super) fn remember_digest(&self, seen: &Seen, digest: &str) -> anyhow::Result<()> {
        let text = format!("{}{digest}\n", seen.0);
        self.write(&self.digest_file(seen), text.as_bytes())
    }

    fn digest_file(&self, seen: &Seen) -> PathBuf {
        self.dir.join("digest").join(seen.key())
    }

    /// Does something once for a key, and remembers that it went well.
    ///
    /// # Errors
    /// What `work` says, or the cache cannot be written.
    pub fn once(
        &self,
        kind: &str,
        key: &str,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mark = self.dir.join(kind).join(key);
        if mark.exists() {
            return Ok(());
        }
        work()?;
        self.write(&mark, b"")
    }

    /// Waits until no other run does the work of this name, and keeps the others
    /// waiting.
    pub(super) fn lock(&self, name: &str, progress: &mut dyn Progress) -> anyhow::Result<WorkLock> {
        WorkLock::take(self.dir.join("lock").join(name), progress).with_context(|| self.writing())
    }

    fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.dir.join(kind.dir()).join(name)
    }

    /// A small file, complete or not at all.
    fn write(&self, path: &Path, content: &[u8]) -> anyhow::Result<()> {
        let write = || {
            let scratch = self.scratch(path.parent().unwrap_or(&self.dir))?;
            scratch.file().write_all_at(content, 0)?;
            // Another run may have made the same: equal, so either will do.
            scratch.keep(path, true)
        };
        write().with_context(|| self.writing())
    }

    fn scratch(&self, dir: &Path) -> io::Result<Scratch> {
        fs::create_dir_all(dir)?;
        Scratch::new(dir)
    }

    pub(super) fn writing(&self) -> String {
        format!("writing into the cache {}", self.dir.display())
    }
}

/// A file as it was before it was read: its path and its stamp, in lines.
#[derive(Debug)]
pub(super) struct Seen(String);

impl Seen {
    pub(super) fn now(path: &Path, opened: &File) -> Result<Self, BaseError> {
        let path = fs::canonicalize(path).map_err(BaseError::Open)?;
        let stamp = Stamp::of(&opened.metadata().map_err(BaseError::Open)?);
        Ok(Self(format!("{}\n{}\n", path.display(), stamp.line())))
    }

    /// A name for it.
    pub(super) fn key(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}
