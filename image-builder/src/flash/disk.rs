//! A real disk: a block device, or a file in a test.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, PosixFadviseAdvice, fallocate, posix_fadvise};

use super::target::Target;

/// Zeros are written in pieces of this many bytes where the kernel has no
/// better way.
const STEP: usize = 1 << 20;

/// A disk opened for writing, by nobody else.
#[derive(Debug)]
pub struct Disk {
    /// Through the page cache; holds the disk for us (`O_EXCL`, open(2)).
    plain: File,
    /// Past the page cache, while that works.
    direct: Option<File>,
    direct_works: AtomicBool,
    len: u64,
}

/// Why a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it.
    #[error(
        "{0} is in use: something holds it open, has it mounted or built on it; `lsblk {0}` and `fuser -v {0}` show what"
    )]
    Busy(PathBuf),
    /// Not for this user.
    #[error(
        "no permission to write {0}; run the command again with sudo, or join the group of disks \
         with `sudo usermod -aG disk $USER` and log in anew"
    )]
    Permission(PathBuf),
    /// Anything else.
    #[error("{0} cannot be opened for writing: {1}")]
    Other(PathBuf, io::Error),
}

impl Disk {
    /// Opens a disk for writing, without creating anything. While this value
    /// lives nobody can mount the disk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let open = |flags: OFlag| {
            let flags = (flags | OFlag::O_CLOEXEC).bits();
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(flags)
                .open(path)
        };
        let failed = |error: io::Error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EBUSY) => OpenError::Busy(path.into()),
            Some(Errno::EACCES | Errno::EPERM) => OpenError::Permission(path.into()),
            _ => OpenError::Other(path.into(), error),
        };
        let mut plain = open(OFlag::O_EXCL).map_err(failed)?;
        // The size of a block device is not in its metadata.
        let len = plain.seek(SeekFrom::End(0)).map_err(failed)?;
        let direct = open(OFlag::O_DIRECT).ok();
        let direct_works = AtomicBool::new(direct.is_some());
        Ok(Self {
            plain,
            direct,
            direct_works,
            len,
        })
    }

    /// For reading what is on it before it is written.
    ///
    /// # Errors
    /// When no more files may be open.
    pub fn reader(&self) -> io::Result<File> {
        self.plain.try_clone()
    }

    /// Its device number (`st_rdev`, stat(2)): which disk was really opened.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn number(&self) -> io::Result<u64> {
        Ok(self.plain.metadata()?.rdev())
    }

    fn direct(&self) -> Option<&File> {
        let works = self.direct_works.load(Ordering::Relaxed);
        self.direct.as_ref().filter(|_| works)
    }

    /// Tries past the page cache; some file systems take no such I/O, or not
    /// with our alignment (`EINVAL`).
    fn past_cache(&self, io: impl Fn(&File) -> io::Result<()>) -> Option<io::Result<()>> {
        match io(self.direct()?) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.direct_works.store(false, Ordering::Relaxed);
                None
            }
            result => Some(result),
        }
    }

    fn fallocate(&self, how: FallocateFlags, range: &Range<u64>) -> io::Result<bool> {
        let signed = |value: u64| i64::try_from(value).map_err(io::Error::other);
        let how = how | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let len = signed(range.end - range.start)?;
        match fallocate(&self.plain, how, signed(range.start)?, len) {
            Ok(()) => Ok(true),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Target for Disk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.direct().is_some() {
            // Not through `past_cache`, whose closure cannot lend `buf` twice.
            match self
                .direct
                .as_ref()
                .map(|file| file.read_exact_at(buf, offset))
            {
                Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.direct_works.store(false, Ordering::Relaxed);
                }
                Some(result) => return result,
                None => {}
            }
        }
        // What was written is on its way to the disk and in the page cache: wait
        // for the one and drop the other, or this reads memory.
        self.plain.sync_data()?;
        let (start, len) = (offset as i64, buf.len() as i64);
        posix_fadvise(
            &self.plain,
            start,
            len,
            PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        )?;
        self.plain.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.past_cache(|file| file.write_all_at(buf, offset))
            .unwrap_or_else(|| self.plain.write_all_at(buf, offset))
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        // On a block device both are promised to read as zeros afterwards; the
        // first may give the space back (block/fops.c, `blkdev_fallocate`).
        if self.fallocate(FallocateFlags::FALLOC_FL_PUNCH_HOLE, &range)?
            || self.fallocate(FallocateFlags::FALLOC_FL_ZERO_RANGE, &range)?
        {
            return Ok(());
        }
        let zeros = super::buffer::Buffer::new(STEP);
        let mut offset = range.start;
        while offset < range.end {
            let len = (range.end - offset).min(STEP as u64);
            self.write_at(offset, &zeros[..len as usize])?;
            offset += len;
        }
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<bool> {
        self.fallocate(FallocateFlags::FALLOC_FL_PUNCH_HOLE, &range)
    }

    fn sync(&self) -> io::Result<()> {
        self.plain.sync_all()
    }
}
