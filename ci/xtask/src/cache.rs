//! What chores made, kept outside the work tree by the hash of the recipe that made it.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::steps::Steps;

/// The place of what one recipe makes.
pub(crate) struct Entry {
    dir: PathBuf,
    /// The file or folder in it that is kept.
    kept: &'static str,
}

/// A folder beside the entry in which it is made. Only `finish` makes it the entry; otherwise it goes away.
pub(crate) struct Room {
    dir: PathBuf,
    entry: PathBuf,
    kept: &'static str,
    /// Held until the room is gone: two builds at once would do the same work twice.
    _lock: File,
}

/// A place below `out` of this repository.
pub(crate) fn out(path: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."));
    workspace.join("out").join(path)
}

impl Entry {
    /// Of this kind, made by these texts.
    pub(crate) fn of<'a>(
        kind: &str,
        recipe: impl IntoIterator<Item = &'a str>,
        kept: &'static str,
    ) -> Result<Entry> {
        let mut hash = Sha256::new();
        for text in recipe {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        let name: String = hash
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Entry {
            dir: root()?.join(kind).join(name),
            kept,
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.dir.join(self.kept).exists()
    }

    /// Waits until no other build runs, clears what cut ones left, and opens a room for a new one.
    pub(crate) fn begin(&self, steps: Steps) -> Result<Room> {
        let all = self
            .dir
            .parent()
            .context("the cache entry has no parent folder")?;
        fs::create_dir_all(all)
            .with_context(|| format!("making the cache folder {}", all.display()))?;
        let lock = File::create(all.join("lock"))
            .with_context(|| format!("opening the lock in {}", all.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                steps.say("waiting for another build of the same to end");
                lock.lock().context("waiting for the lock of the cache")?;
            }
            Err(TryLockError::Error(e)) => return Err(e).context("locking the cache"),
        }
        for left in fs::read_dir(all)?.collect::<Result<Vec<_>, _>>()? {
            if left.file_name().to_string_lossy().ends_with(".partial") {
                fs::remove_dir_all(left.path())
                    .with_context(|| format!("removing {}", left.path().display()))?;
            }
        }
        let dir = self.dir.with_extension("partial");
        fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Room {
            dir,
            entry: self.dir.clone(),
            kept: self.kept,
            _lock: lock,
        })
    }

    /// Makes `out` a link to what is kept. A link, because it is large and nobody is to write to it.
    pub(crate) fn link_at(&self, out: &Path) -> Result<()> {
        if fs::symlink_metadata(out).is_ok_and(|found| !found.is_symlink()) {
            bail!(
                "{} is in the way: it is not a link this command made; move it away or give another --out",
                out.display()
            );
        }
        let folder = out
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let fresh = out.with_extension(format!("{}.new", std::process::id()));
        symlink(self.dir.join(self.kept), &fresh)
            .with_context(|| format!("making the link {}", fresh.display()))?;
        fs::rename(&fresh, out).with_context(|| format!("moving the link to {}", out.display()))
    }
}

impl Room {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps what is to be kept alone, a file read-only, under its final name.
    pub(crate) fn finish(self) -> Result<()> {
        for made in fs::read_dir(&self.dir)?.collect::<Result<Vec<_>, _>>()? {
            let is_dir = made.file_type()?.is_dir();
            match (made.file_name() == self.kept, is_dir) {
                (true, true) => {}
                (true, false) => {
                    fs::set_permissions(made.path(), Permissions::from_mode(0o444))?;
                }
                (false, true) => fs::remove_dir_all(made.path())?,
                (false, false) => fs::remove_file(made.path())?,
            }
        }
        fs::rename(&self.dir, &self.entry)
            .with_context(|| format!("moving what was made to {}", self.entry.display()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.dir.exists()
            && let Err(e) = fs::remove_dir_all(&self.dir)
        {
            eprintln!("could not remove {}: {e}", self.dir.display());
        }
    }
}

fn root() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = set("IMGBUILD_TEST_CACHE") {
        return std::path::absolute(&dir).context("making IMGBUILD_TEST_CACHE absolute");
    }
    let user = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(user
        .context("no cache folder: set IMGBUILD_TEST_CACHE, XDG_CACHE_HOME or HOME")?
        .join("imgbuild-test"))
}
