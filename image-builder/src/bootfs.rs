//! Files in the FAT boot partition. On-disk layout: Microsoft's FAT32
//! specification 1.03; through the `fatfs` crate, but for what it does not do:
//! doubt the boot sector, set the ids in it, check the whole file system.

mod bpb;
mod check;
mod device;
mod entry;
mod used;

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use fatfs::{FatType, FileSystem, FsOptions};

pub(crate) use bpb::looks_like_fat;
pub use bpb::set_identity;
pub use check::{Health, check, examine};
pub use used::used;

use crate::io::{CowRegion, ReadAt, Stream};
use crate::overlay::{Change, Kind};
use bpb::Bpb;
use device::{Shared, fixed_time};

/// Entries a directory can have ("FAT Directory Structure": 2 MiB of 32 bytes).
const MAX_ENTRIES: usize = 1 << 16;

/// Why a boot partition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// No FAT at all, or one that contradicts itself.
    #[error("it is not a FAT file system: {0}")]
    NotFat(io::Error),
    /// FAT12 or FAT16.
    #[error("it is {0:?}; only FAT32 is supported")]
    NotFat32(FatType),
    /// Not unmounted when it was copied.
    #[error(
        "it is dirty: it was copied while mounted, or with errors; run `fsck.vfat -a` on it or fetch the image again"
    )]
    Dirty,
    /// A boot sector, a table or a directory that contradicts itself.
    #[error("it is damaged: {0}; fetch the image again, or run `fsck.vfat -a` on it")]
    Damaged(String),
    /// Longer than its partition.
    #[error("it is {needed} bytes long and its partition {found}: the image is cut short")]
    Truncated {
        /// What the boot sector says.
        needed: u64,
        /// The partition's length.
        found: u64,
    },
    /// The partition cannot be read.
    #[error("reading its boot sector")]
    Io(#[from] io::Error),
}

/// A FAT32 file system in a region.
pub struct BootFs<R: ReadAt> {
    fs: FileSystem<Shared<R>>,
    cursor: Shared<R>,
    /// The partition's length in bytes.
    len: u64,
}

impl<R: ReadAt> BootFs<R> {
    /// Opens the file system. `epoch` is the time of every change, in seconds
    /// since 1970; FAT's own time has no zone and is taken as UTC. Only the boot
    /// sector is looked at: a file system of unknown origin goes through
    /// [`check`] first, or a chain of its clusters may have no end.
    ///
    /// # Errors
    /// When it is not FAT32, is dirty, or does not fit its partition.
    pub fn open(region: R, epoch: i64) -> Result<Self, FatError> {
        let this = Self::open_any(region, epoch)?;
        let flags = this.fs.read_status_flags()?;
        if flags.dirty() || flags.io_error() {
            return Err(FatError::Dirty);
        }
        Ok(this)
    }

    /// Opens a file system to read from it, be it dirty: one that a running
    /// node was cut off from. [`examine`] says whether its chains can be followed.
    ///
    /// # Errors
    /// When it is not FAT32, or does not fit its partition.
    pub fn open_to_read(region: R) -> Result<Self, FatError> {
        Self::open_any(region, 0)
    }

    fn open_any(region: R, epoch: i64) -> Result<Self, FatError> {
        Bpb::read(&region)?;
        let len = region.len();
        let options = FsOptions::new().time_provider(fixed_time(epoch));
        let cursor = Shared::new(region);
        let fs = FileSystem::new(cursor.clone(), options).map_err(FatError::NotFat)?;
        Ok(Self { fs, cursor, len })
    }

    /// A file's content, `None` if there is none.
    ///
    /// # Errors
    /// When the file system is damaged, or the path is a directory.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.entry(path)? {
            None => Ok(None),
            Some(entry) => self
                .content(path, &entry)
                .with_context(|| format!("reading {path} in the boot file system"))
                .map(Some),
        }
    }

    fn content(&self, path: &str, entry: &FatEntry) -> anyhow::Result<Vec<u8>> {
        ensure!(!entry.dir, "it is a directory");
        // Clusters that lead in a circle would be read that often.
        ensure!(
            entry.len <= self.len,
            "it is damaged: {} bytes long on a partition of {}",
            entry.len,
            self.len
        );
        let mut content = Vec::new();
        let mut file = self.fs.root_dir().open_file(relative(path))?;
        file.read_to_end(&mut content)?;
        ensure!(
            content.len() as u64 == entry.len,
            "it is damaged: {} of its {} bytes are there",
            content.len(),
            entry.len
        );
        Ok(content)
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn kind(&self, path: &str) -> anyhow::Result<Option<Kind>> {
        let kind = |entry: FatEntry| if entry.dir { Kind::Dir } else { Kind::File };
        Ok(self.entry(path)?.map(kind))
    }

    /// The entry at a path; the root directory's is made up.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn entry(&self, path: &str) -> anyhow::Result<Option<FatEntry>> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() {
            return Ok(Some(FatEntry {
                name: String::new(),
                dir: true,
                len: 0,
            }));
        }
        // Below a file is nothing; `fatfs` calls it an error like any other.
        if !dir.is_empty() && self.entry(dir)?.is_none_or(|entry| !entry.dir) {
            return Ok(None);
        }
        let mut entries = self.entries(dir)?.into_iter();
        Ok(entries.find(|entry| entry.name.eq_ignore_ascii_case(name)))
    }

    /// What is in a directory, sorted by name; nothing if it does not exist.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn entries(&self, path: &str) -> anyhow::Result<Vec<FatEntry>> {
        let what = || format!("listing {path} in the boot file system");
        let root = self.fs.root_dir();
        let dir = match relative(path) {
            "" => root,
            path => match root.open_dir(path) {
                Ok(dir) => dir,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error).with_context(what),
            },
        };
        let mut entries = Vec::new();
        for (count, entry) in dir.iter().enumerate() {
            let too_many = || anyhow::anyhow!("it is damaged: the directory has no end");
            ensure!(count < MAX_ENTRIES, too_many().context(what()));
            let entry = entry.with_context(what)?;
            let name = entry.file_name();
            if name != "." && name != ".." {
                entries.push(FatEntry {
                    name,
                    dir: entry.is_dir(),
                    len: entry.len(),
                });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Free bytes, and bytes per cluster.
    ///
    /// # Errors
    /// When the allocation table cannot be read.
    pub fn space(&self) -> io::Result<(u64, u32)> {
        let stats = self.fs.stats()?;
        let cluster = stats.cluster_size();
        Ok((
            u64::from(stats.free_clusters()) * u64::from(cluster),
            cluster,
        ))
    }

    /// The volume label.
    pub fn label(&self) -> String {
        self.fs.volume_label()
    }

    /// The volume serial.
    pub fn serial(&self) -> u32 {
        self.fs.volume_id()
    }

    /// Makes one change. Modes and owners are not kept: FAT has none.
    ///
    /// # Errors
    /// When a directory is where a file should be, the directory to write into
    /// is missing, a link is asked for, or the file system is full.
    pub fn apply(&self, path: &str, change: &Change) -> anyhow::Result<()> {
        self.change(path, change)
            .with_context(|| format!("writing {path} into the boot file system"))
    }

    fn change(&self, path: &str, change: &Change) -> anyhow::Result<()> {
        let root = self.fs.root_dir();
        match change {
            Change::File { content, .. } => {
                match self.kind(path)? {
                    Some(Kind::File) => root.remove(relative(path))?,
                    Some(_) => bail!("there is a directory"),
                    None => {}
                }
                let mut file = root.create_file(relative(path)).map_err(no_directory)?;
                io::copy(&mut Stream::new(content.blob()), &mut file)?;
                file.flush()?;
            }
            // fatfs writes a directory's "." and ".." as long names, which
            // fsck.vfat calls damage (docs/decisions/0002-boot-partition.md): directories of the base are used, none is made.
            Change::Dir { .. } if self.kind(path)? == Some(Kind::Dir) => {}
            Change::Dir { .. } => bail!("directories cannot be made on the boot partition"),
            Change::Symlink { .. } => bail!("FAT has no symbolic links"),
            Change::Remove => match self.kind(path)? {
                Some(Kind::Dir) => {
                    for entry in self.entries(path)? {
                        self.change(&format!("{path}/{}", entry.name), &Change::Remove)?;
                    }
                    root.remove(relative(path))?;
                }
                Some(_) => root.remove(relative(path))?,
                None => {}
            },
            Change::Rename { to } => root.rename(relative(path), &root, relative(to))?,
        }
        Ok(())
    }
}

impl BootFs<Arc<CowRegion>> {
    /// Ends the work: everything changed reaches the region.
    ///
    /// # Errors
    /// When the last writes fail.
    pub fn finish(self) -> anyhow::Result<()> {
        self.fs
            .unmount()
            .context("finishing the boot file system")?;
        self.cursor
            .0
            .borrow_mut()
            .commit()
            .context("finishing the boot file system")
    }
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatEntry {
    /// The long name.
    pub name: String,
    /// Whether it is a directory.
    pub dir: bool,
    /// Length in bytes.
    pub len: u64,
}

/// `fatfs` paths have no leading slash.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// `fatfs` says "not found" for a missing directory.
fn no_directory(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!(
            "the directory does not exist on the boot partition, and imgbuild makes none there; \
             use a directory the base has"
        ),
        _ => error.into(),
    }
}
