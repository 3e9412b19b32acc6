//! Files in the FAT boot partition. On-disk layout: Microsoft's FAT32
//! specification 1.03; through the `fatfs` crate, but for the fields of the
//! boot sector that no crate sets.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use fatfs::{Date, DateTime, FatType, FileSystem, FsOptions, Time, TimeProvider};

use crate::io::{BlockCursor, CowRegion, ReadAt};
use crate::layout::SECTOR;
use crate::overlay::{Change, Kind};

/// Boot-sector fields (FAT32 specification 1.03, "Boot Sector and BPB").
const HIDDEN_SECTORS: u64 = 28;
const BACKUP_SECTOR: u64 = 50;
const VOLUME_ID: u64 = 67;

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
}

impl<R: ReadAt> BootFs<R> {
    /// Opens the file system. `epoch` is the time of every change, in seconds
    /// since 1970; FAT's own time has no zone and is taken as UTC.
    ///
    /// # Errors
    /// When it is not FAT32, is dirty, or does not fit its partition.
    pub fn open(region: R, epoch: i64) -> Result<Self, FatError> {
        let mut head = [0; 36];
        let partition = region.len();
        region.read_exact_at(0, &mut head)?;
        let sector = u64::from(u16::from_le_bytes([head[11], head[12]]));
        let sectors = u32::from_le_bytes([head[32], head[33], head[34], head[35]]);
        let options = FsOptions::new().time_provider(fixed_time(epoch));
        let cursor = Shared(Rc::new(RefCell::new(BlockCursor::new(region))));
        let fs = FileSystem::new(cursor.clone(), options).map_err(FatError::NotFat)?;
        if fs.fat_type() != FatType::Fat32 {
            return Err(FatError::NotFat32(fs.fat_type()));
        }
        let needed = sector * u64::from(sectors);
        if needed > partition {
            return Err(FatError::Truncated {
                needed,
                found: partition,
            });
        }
        let flags = fs.read_status_flags()?;
        if flags.dirty() || flags.io_error() {
            return Err(FatError::Dirty);
        }
        Ok(Self { fs, cursor })
    }

    /// A file's content, `None` if there is none.
    ///
    /// # Errors
    /// When the file system is damaged, or the path is a directory.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let what = || format!("reading {path} in the boot file system");
        match self.kind(path)? {
            None => Ok(None),
            Some(Kind::File) => {
                let mut content = Vec::new();
                let mut file = self
                    .fs
                    .root_dir()
                    .open_file(relative(path))
                    .with_context(what)?;
                file.read_to_end(&mut content).with_context(what)?;
                Ok(Some(content))
            }
            Some(_) => Err(anyhow::anyhow!("it is a directory")).with_context(what),
        }
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn kind(&self, path: &str) -> anyhow::Result<Option<Kind>> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() {
            return Ok(Some(Kind::Dir));
        }
        let found = self
            .entries(dir)?
            .into_iter()
            .find(|entry| entry.name.eq_ignore_ascii_case(name));
        Ok(found.map(|entry| if entry.dir { Kind::Dir } else { Kind::File }))
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
        for entry in dir.iter() {
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
                file.write_all(content)?;
                file.flush()?;
            }
            // fatfs writes a directory's "." and ".." as long names, which
            // fsck.vfat calls damage (docs/decisions/0002-fat.md): directories of the base are used, none is made.
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

/// Gives the file system in a region its own serial, and the partition's first
/// sector as its "hidden sectors", in the boot sector and its backup.
///
/// # Errors
/// When the region cannot be read or written.
pub fn set_identity(region: &CowRegion, serial: u32, partition_offset: u64) -> io::Result<()> {
    let mut number = [0; 2];
    region.read_exact_at(BACKUP_SECTOR, &mut number)?;
    // 0 and ffff mean that there is no backup.
    let backup = match u16::from_le_bytes(number) {
        0 | u16::MAX => None,
        sector => Some(u64::from(sector) * SECTOR),
    };
    let hidden = u32::try_from(partition_offset / SECTOR).map_err(io::Error::other)?;
    for sector in std::iter::once(0).chain(backup) {
        region.write_all_at(sector + HIDDEN_SECTORS, &hidden.to_le_bytes())?;
        region.write_all_at(sector + VOLUME_ID, &serial.to_le_bytes())?;
    }
    Ok(())
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

/// The cursor that `fatfs` owns and that is committed after it is gone.
struct Shared<R>(Rc<RefCell<BlockCursor<R>>>);

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: ReadAt> io::Read for Shared<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buf)
    }
}

impl<R: ReadAt> io::Write for Shared<R> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: ReadAt> io::Seek for Shared<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        io::Seek::seek(&mut *self.0.borrow_mut(), to)
    }
}

/// A clock that stands.
#[derive(Debug)]
struct FixedTime(DateTime);

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        self.0.date
    }

    fn get_current_date_time(&self) -> DateTime {
        self.0
    }
}

/// FAT counts years from 1980 in seven bits; times outside are moved inside.
/// The crate wants the clock for ever: one a program run is leaked.
fn fixed_time(epoch: i64) -> &'static FixedTime {
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
    let utc = time::OffsetDateTime::from_unix_timestamp(epoch.clamp(FIRST, LAST))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let date = Date {
        year: utc.year() as u16,
        month: u16::from(u8::from(utc.month())),
        day: u16::from(utc.day()),
    };
    let (hour, min, sec) = utc.to_hms();
    let time = Time {
        hour: hour.into(),
        min: min.into(),
        sec: sec.into(),
        millis: 0,
    };
    Box::leak(Box::new(FixedTime(DateTime { date, time })))
}
