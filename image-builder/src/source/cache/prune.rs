//! Making room.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::keep::files_in;
use super::lock::remove_unused;
use super::{Cache, Kind, Listed};
use crate::io::scratch;

/// Small files that save work, each alone.
const MARKS: [&str; 2] = ["digest", "checked"];

/// What was pruned, or would be.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// The entries that went.
    pub removed: Vec<Listed>,
    /// Old enough to go, but a run uses them.
    pub in_use: Vec<Listed>,
    /// Old enough to go, but wanted.
    pub wanted: Vec<Listed>,
    /// Files that killed runs left.
    pub abandoned: usize,
    /// Bytes that came free, of all of these.
    pub freed: u64,
}

impl Cache {
    /// Removes what no run used for so long and is not `wanted` all the same, and
    /// what killed runs left. A dry run only looks.
    ///
    /// # Errors
    /// When the cache cannot be read, or something not removed.
    pub fn prune(
        &self,
        unused_for: Duration,
        wanted: impl Fn(&Listed) -> bool,
        dry_run: bool,
    ) -> anyhow::Result<Pruned> {
        let now = SystemTime::now();
        // A time of use in the future is a clock that was wrong.
        let is_old = |time: SystemTime| now.duration_since(time).unwrap_or_default() >= unused_for;
        let mut pruned = Pruned::default();
        for entry in self.list()? {
            if !is_old(entry.last_used) {
                continue;
            }
            if wanted(&entry) {
                pruned.wanted.push(entry);
                continue;
            }
            let gone = remove_unused(&entry.path, dry_run)
                .with_context(|| format!("removing {}", entry.path.display()))?;
            if gone {
                pruned.freed += entry.bytes;
                pruned.removed.push(entry);
            } else {
                pruned.in_use.push(entry);
            }
        }
        let mut leftovers = self.orphans()?;
        for dir in MARKS {
            leftovers.extend(files_in(&self.dir.join(dir))?.into_iter().filter(|path| {
                let modified = fs::metadata(path).and_then(|meta| meta.modified());
                modified.is_ok_and(is_old)
            }));
        }
        for dir in self.dirs() {
            let abandoned = scratch::abandoned(&dir)
                .with_context(|| format!("reading the cache's {}", dir.display()))?;
            pruned.abandoned += abandoned.len();
            leftovers.extend(abandoned);
        }
        for path in leftovers {
            let bytes = fs::metadata(&path).map_or(0, |meta| meta.blocks() * 512);
            if remove_unused(&path, dry_run).is_ok_and(|gone| gone) {
                pruned.freed += bytes;
            }
        }
        Ok(pruned)
    }

    /// Records whose entries are gone, and locks: of them those held are in use.
    fn orphans(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut orphans = files_in(&self.dir.join("lock"))?;
        for kind in Kind::ALL {
            let dir = self.record_dir(kind);
            orphans.extend(files_in(&dir)?.into_iter().filter(|record| {
                let name = record.file_name().unwrap_or_default();
                !self.dir.join(kind.dir()).join(name).exists()
            }));
        }
        Ok(orphans)
    }

    /// Every directory where a killed run may have left something.
    fn dirs(&self) -> Vec<PathBuf> {
        let marks = MARKS.iter().map(|name| self.dir.join(name));
        let kinds = Kind::ALL.iter();
        marks
            .chain(kinds.flat_map(|kind| [self.dir.join(kind.dir()), self.record_dir(*kind)]))
            .filter(|dir| dir.is_dir())
            .collect()
    }
}
