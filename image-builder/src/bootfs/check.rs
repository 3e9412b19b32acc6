//! A check of a whole FAT32: every directory and every chain of clusters, each
//! once. Read only. FAT32 specification 1.03, "FAT Data Structure".
//!
//! Two kinds of fault are told apart. Where a directory runs in a circle or a
//! chain leaves the file system nothing can be read; where two files share a
//! cluster or the tables differ everything else still can. No fault are
//! clusters in use by no file, and files with more clusters than they need:
//! both are what a power cut leaves.

use super::bpb::Bpb;
use super::entry::{self, Entry, Slot};
use super::{FatError, MAX_ENTRIES};
use crate::io::ReadAt;

/// Table entries have 28 bits; from this value on they end a chain.
const VALUE: u32 = 0x0fff_ffff;
const LAST: u32 = 0x0fff_fff8;

/// In table entry 1, set while the volume is clean and without I/O errors.
const CLEAN: u32 = 0x0c00_0000;

/// Limits, far above any boot partition: Raspberry Pi OS has some 400 files in
/// two levels. What is beyond them is made to keep us busy.
const MAX_DEPTH: usize = 32;
const MAX_FILES: usize = 1 << 17;

/// Tables are compared in pieces of this many bytes.
const STEP: usize = 1 << 20;

/// How a FAT32 is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// It was in use, or used with errors, when it was copied.
    pub dirty: bool,
    /// The first fault found.
    pub damage: Option<String>,
    /// Whether directories and files can be read in spite of it.
    pub readable: bool,
}

/// Whether a base may have this file system.
///
/// # Errors
/// When it is not FAT32, dirty, or damaged, with the first reason.
pub fn check(partition: &impl ReadAt) -> Result<(), FatError> {
    match examine(partition)? {
        // The user can do something about it, and it explains the damage.
        Health { dirty: true, .. } => Err(FatError::Dirty),
        Health {
            damage: Some(why), ..
        } => Err(FatError::Damaged(why)),
        _ => Ok(()),
    }
}

/// Checks a file system from its boot sector to its last file.
///
/// # Errors
/// When its boot sector is no use, or the partition cannot be read.
pub fn examine(partition: &impl ReadAt) -> Result<Health, FatError> {
    let bpb = Bpb::read(partition)?;
    let len = (bpb.clusters as usize + 2) * 4;
    let mut table = vec![0; len];
    partition.read_exact_at(bpb.fat_offset(0), &mut table)?;
    let mut walk = Walk {
        partition,
        bpb,
        table,
        seen: vec![0; (bpb.clusters as usize + 2).div_ceil(64)],
        files: 0,
        damage: None,
    };
    let dirty = bpb.dirty || walk.raw(1) & CLEAN != CLEAN;
    walk.compare_tables()?;
    match walk.tree() {
        Ok(()) => Ok(Health {
            dirty,
            damage: walk.damage,
            readable: true,
        }),
        Err(Stop::Damage(why)) => Ok(Health {
            dirty,
            damage: Some(why),
            readable: false,
        }),
        Err(Stop::Io(error)) => Err(error.into()),
    }
}

/// Why a walk cannot go on.
enum Stop {
    Damage(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

struct Walk<'a, R> {
    partition: &'a R,
    bpb: Bpb,
    /// The first allocation table.
    table: Vec<u8>,
    /// A bit for each cluster that belongs to something.
    seen: Vec<u64>,
    /// Entries met so far.
    files: usize,
    damage: Option<String>,
}

/// A directory to be walked.
struct Dir {
    path: String,
    first: u32,
    parent: u32,
    depth: usize,
}

/// How a chain of clusters ends.
enum End {
    /// As it should.
    Last,
    /// At a cluster that is free or bad.
    Broken,
    /// At a cluster that already belongs to something.
    Shared,
    /// At a number that is no cluster's.
    Outside(u32),
}

impl<R: ReadAt> Walk<'_, R> {
    /// The second table is for the day the first cannot be read; a difference
    /// means that a write went astray.
    fn compare_tables(&mut self) -> std::io::Result<()> {
        if self.bpb.fats < 2 {
            return Ok(());
        }
        let mut piece = vec![0; STEP];
        let mut offset = self.bpb.fat_offset(1);
        for first in self.table.chunks(STEP) {
            let second = &mut piece[..first.len()];
            self.partition.read_exact_at(offset, second)?;
            if first != second {
                self.damage = Some("its two allocation tables differ".into());
                return Ok(());
            }
            offset += first.len() as u64;
        }
        Ok(())
    }

    fn tree(&mut self) -> Result<(), Stop> {
        let mut todo = vec![Dir {
            path: String::new(),
            first: self.bpb.root,
            parent: 0,
            depth: 0,
        }];
        while let Some(dir) = todo.pop() {
            let clusters = self.directory_chain(&dir)?;
            self.directory(&dir, &clusters, &mut todo)?;
        }
        Ok(())
    }

    fn directory_chain(&mut self, dir: &Dir) -> Result<Vec<u32>, Stop> {
        let path = if dir.path.is_empty() { "/" } else { &dir.path };
        let stop = |why: &str| Err(Stop::Damage(format!("the directory {path} {why}")));
        if dir.depth > MAX_DEPTH {
            return stop("lies too deep");
        }
        let limit = (MAX_ENTRIES * entry::LEN) as u64 / self.bpb.cluster_len;
        let mut clusters = Vec::new();
        let end = self.chain(dir.first, |cluster| clusters.push(cluster));
        if clusters.len() as u64 > limit.max(1) {
            return stop("is longer than a directory can be");
        }
        match end {
            End::Last => Ok(clusters),
            End::Broken => stop("leads to a cluster that is not in use"),
            End::Shared => stop("leads in a circle, or shares a cluster"),
            End::Outside(cluster) => {
                stop(&format!("leads to cluster {cluster}, which there is not"))
            }
        }
    }

    fn directory(&mut self, dir: &Dir, clusters: &[u32], todo: &mut Vec<Dir>) -> Result<(), Stop> {
        let mut bytes = vec![0; self.bpb.cluster_len as usize];
        for cluster in clusters {
            let offset = self.bpb.cluster_offset(*cluster);
            self.partition.read_exact_at(offset, &mut bytes)?;
            for slot in bytes.chunks_exact(entry::LEN) {
                match Slot::read(slot) {
                    Slot::End => return Ok(()),
                    Slot::Free => {}
                    Slot::Used(entry) => self.entry(dir, entry, todo)?,
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, entry: Entry<'_>, todo: &mut Vec<Dir>) -> Result<(), Stop> {
        if !entry.name_is_sound() {
            self.found(format!(
                "a name in {}/ has a control character or a slash",
                dir.path
            ));
        }
        if entry.is_about_names() {
            return Ok(());
        }
        let path = format!("{}/{}", dir.path, entry.short_name());
        let first = entry.first_cluster();
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(Stop::Damage(format!("it has more than {MAX_FILES} files")));
        }
        if !entry.is_dir() {
            return self.file(path, first, entry.size());
        }
        match entry.raw_name() {
            b".          " if first == dir.first => Ok(()),
            // 0 stands for the root, by the specification; some write its number.
            b"..         " if first == dir.parent || (dir.depth == 1 && first == 0) => Ok(()),
            b".          " | b"..         " => Err(Stop::Damage(format!("{path} leads elsewhere"))),
            _ => {
                todo.push(Dir {
                    path,
                    first,
                    parent: dir.first,
                    depth: dir.depth + 1,
                });
                Ok(())
            }
        }
    }

    fn file(&mut self, path: String, first: u32, size: u32) -> Result<(), Stop> {
        // An empty file has no cluster.
        if first == 0 && size == 0 {
            return Ok(());
        }
        let mut clusters: u64 = 0;
        let end = self.chain(first, |_| clusters += 1);
        let held = clusters * self.bpb.cluster_len;
        match end {
            End::Outside(cluster) if first != 0 => {
                return Err(Stop::Damage(format!(
                    "{path} leads to cluster {cluster}, which there is not"
                )));
            }
            End::Shared => self.found(format!(
                "{path} shares a cluster with another file, or itself"
            )),
            End::Broken => self.found(format!("{path} leads to a cluster that is not in use")),
            _ if held < u64::from(size) => {
                self.found(format!(
                    "{path} is {size} bytes long and has clusters for {held}"
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows a chain, marks its clusters, and hands out each that is new.
    fn chain(&mut self, first: u32, mut each: impl FnMut(u32)) -> End {
        let mut cluster = first;
        loop {
            if !(2..self.bpb.clusters + 2).contains(&cluster) {
                return End::Outside(cluster);
            }
            let (word, bit) = (cluster as usize / 64, 1 << (cluster % 64));
            if self.seen[word] & bit != 0 {
                return End::Shared;
            }
            self.seen[word] |= bit;
            each(cluster);
            match self.raw(cluster) & VALUE {
                LAST.. => return End::Last,
                0 | 0x0fff_fff7 => return End::Broken,
                next => cluster = next,
            }
        }
    }

    /// A table entry with all its bits.
    fn raw(&self, cluster: u32) -> u32 {
        let at = cluster as usize * 4;
        let bytes = self.table[at..at + 4].iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn found(&mut self, damage: String) {
        self.damage.get_or_insert(damage);
    }
}
