//! Things made once and kept: unpacked bases, enlarged roots, digests of files
//! that did not change since. Everything here can be deleted at any time.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::BaseError;
use crate::io::Scratch;
use crate::progress::Progress;

/// Bytes hashed between two calls of the progress.
const STEP: usize = 1 << 20;

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

    /// Where a downloaded file with this digest is kept.
    pub fn download(&self, digest: &str, name: &str) -> PathBuf {
        self.dir.join("download").join(format!("{digest}-{name}"))
    }

    /// The sha256 of a file, computed again only when the file changed: its
    /// path, inode, size or modification time.
    ///
    /// # Errors
    /// When the file cannot be read or the cache not written.
    pub fn digest_of(&self, file: &Path, progress: &mut dyn Progress) -> anyhow::Result<String> {
        let path = fs::canonicalize(file).map_err(BaseError::Open)?;
        let mut reader = File::open(&path).map_err(BaseError::Open)?;
        let meta = reader.metadata().map_err(BaseError::Open)?;
        let stamp = format!(
            "{}\n{} {} {} {}.{:09} {}.{:09}\n",
            path.display(),
            meta.dev(),
            meta.ino(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        );
        let stamp_file = self
            .dir
            .join("digest")
            .join(hex(&Sha256::digest(stamp.as_bytes())));
        if let Ok(text) = fs::read_to_string(&stamp_file)
            && let Some(digest) = text.strip_prefix(&stamp)
        {
            return Ok(digest.trim_end().to_owned());
        }
        progress.step("hashing the base", Some(meta.len()));
        let digest = sha256(&mut reader, progress)?;
        let text = format!("{stamp}{digest}\n");
        self.write(&stamp_file, |file| {
            Ok(file.write_all_at(text.as_bytes(), 0)?)
        })?;
        Ok(digest)
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
        self.write(&mark, |_| Ok(()))
    }

    /// A file made once for a key: `fill` writes it, `finish` is given its
    /// path. It appears under its name only when both went well.
    ///
    /// # Errors
    /// What `fill` or `finish` says, or the cache cannot be written.
    pub fn entry(
        &self,
        kind: &str,
        name: &str,
        fill: impl FnOnce(&File) -> anyhow::Result<()>,
        finish: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(kind).join(name);
        if !path.exists() {
            let scratch = self.scratch(&path)?;
            fill(scratch.file())?;
            finish(scratch.path())?;
            self.keep(scratch, &path)?;
        }
        Ok(path)
    }

    fn write(
        &self,
        path: &Path,
        fill: impl FnOnce(&File) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let scratch = self.scratch(path)?;
        fill(scratch.file())?;
        self.keep(scratch, path)
    }

    fn scratch(&self, path: &Path) -> anyhow::Result<Scratch> {
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir)
            .and_then(|()| Scratch::new(dir))
            .with_context(|| format!("writing into the cache {}", self.dir.display()))
    }

    fn keep(&self, scratch: Scratch, path: &Path) -> anyhow::Result<()> {
        // Another run may have made the same meanwhile: equal, so either will do.
        scratch
            .keep(path, true)
            .with_context(|| format!("writing into the cache {}", self.dir.display()))
    }
}

/// The sha256 of everything a reader gives, in lower-case hex.
fn sha256(reader: &mut impl std::io::Read, progress: &mut dyn Progress) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            len => {
                hash.update(&buffer[..len]);
                progress.advance(len as u64)?;
            }
        }
    }
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
