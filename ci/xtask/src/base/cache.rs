//! Finished images, kept outside the work tree by the hash of the recipe that made them.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::{RECIPE, Suite, image, stock};
use crate::steps::Steps;

/// The place of one recipe's image.
pub(super) struct Entry {
    dir: PathBuf,
}

/// A folder beside the entry in which the image is made. Only `finish` makes it the entry; otherwise it goes away.
pub(super) struct Room {
    dir: PathBuf,
    entry: PathBuf,
    /// Held until the room is gone: two builds at once would do the same work twice.
    _lock: File,
}

pub(super) fn default_link(suite: Suite) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."));
    workspace.join(format!("out/base/debian-{}-arm64.img", suite.codename()))
}

impl Entry {
    pub(super) fn of(suite: Suite) -> Result<Entry> {
        let mut hash = Sha256::new();
        for text in [suite.codename()]
            .iter()
            .chain(RECIPE)
            .copied()
            .chain(stock::texts())
        {
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
            dir: root()?.join("base").join(name),
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.dir.join(image::NAME).exists()
    }

    /// Waits until no other build runs, clears what cut ones left, and opens a room for a new one.
    pub(super) fn begin(&self, steps: Steps) -> Result<Room> {
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
                steps.say("waiting for another build of the base image to end");
                lock.lock()
                    .context("waiting for the lock of the base cache")?;
            }
            Err(TryLockError::Error(e)) => return Err(e).context("locking the base cache"),
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
            _lock: lock,
        })
    }

    /// Makes `out` a link to the image. A link, because the image is 1 GiB and nobody is to write to it.
    pub(super) fn link_at(&self, out: &Path) -> Result<()> {
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
        symlink(self.dir.join(image::NAME), &fresh)
            .with_context(|| format!("making the link {}", fresh.display()))?;
        fs::rename(&fresh, out).with_context(|| format!("moving the link to {}", out.display()))
    }
}

impl Room {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps the image alone, read-only, under its final name.
    pub(super) fn finish(self) -> Result<()> {
        for made in fs::read_dir(&self.dir)?.collect::<Result<Vec<_>, _>>()? {
            if made.file_name() == image::NAME {
                fs::set_permissions(made.path(), Permissions::from_mode(0o444))?;
            } else if made.file_type()?.is_dir() {
                fs::remove_dir_all(made.path())?;
            } else {
                fs::remove_file(made.path())?;
            }
        }
        fs::rename(&self.dir, &self.entry)
            .with_context(|| format!("moving the image to {}", self.entry.display()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.dir.exists()
            && let Err(e) = fs::remove_dir_all(&self.dir)
        {
            eprintln!("base: could not remove {}: {e}", self.dir.display());
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
