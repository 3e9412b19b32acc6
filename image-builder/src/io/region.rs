//! A read-only window into a file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt as _};
use std::sync::Arc;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};

use super::{ReadAt, check_range};

/// `len` bytes of a file from `offset`, shared and never written.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl Region {
    /// A window into a file.
    ///
    /// # Errors
    /// When the file's size cannot be read, or the window is not within it.
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> io::Result<Self> {
        let size = size(&file)?;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "bytes {offset} to {} of a file of {size}",
                    offset.saturating_add(len)
                ),
            ));
        }
        Ok(Self { file, offset, len })
    }

    /// The whole file, or block device.
    ///
    /// # Errors
    /// When the file's size cannot be read.
    pub fn whole(file: Arc<File>) -> io::Result<Self> {
        let len = size(&file)?;
        Ok(Self {
            file,
            offset: 0,
            len,
        })
    }

    /// A window within this window.
    ///
    /// # Errors
    /// When it is not within this one.
    pub fn slice(&self, offset: u64, len: u64) -> io::Result<Self> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            file: Arc::clone(&self.file),
            offset: self.offset + offset,
            len,
        })
    }

    /// The file, and where in it this window begins.
    pub fn place(&self) -> (&Arc<File>, u64) {
        (&self.file, self.offset)
    }

    /// The ranges of the window that hold data, in order; the rest are holes
    /// and read as zeros (`SEEK_DATA`, lseek(2)). A file system without holes
    /// reports one range.
    ///
    /// # Errors
    /// When the file cannot be searched.
    pub fn data(&self) -> io::Result<Vec<Range<u64>>> {
        let end = self.offset + self.len;
        let mut ranges = Vec::new();
        let mut at = self.offset;
        while at < end {
            let start = match seek(&self.file, at, Whence::SeekData)? {
                Some(start) if start < end => start,
                _ => break,
            };
            let stop = seek(&self.file, start, Whence::SeekHole)?
                .unwrap_or(end)
                .min(end);
            ranges.push(start - self.offset..stop - self.offset);
            at = stop;
        }
        Ok(ranges)
    }
}

impl ReadAt for Region {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        self.file.read_exact_at(buf, self.offset + offset)
    }
}

/// A block device's length is where its end is; stat(2) says 0.
fn size(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    match metadata.file_type().is_block_device() {
        true => u64::try_from(lseek64(file, 0, Whence::SeekEnd)?).map_err(io::Error::other),
        false => Ok(metadata.len()),
    }
}

/// Where the next data or hole begins, `None` when there is none before the end.
fn seek(file: &File, from: u64, whence: Whence) -> io::Result<Option<u64>> {
    let from = i64::try_from(from).map_err(|_| io::ErrorKind::InvalidInput)?;
    match lseek64(file, from, whence) {
        Ok(position) => Ok(Some(u64::try_from(position).map_err(io::Error::other)?)),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_seen_and_clipped_to_the_window() {
        let file = tempfile::tempfile().expect("temporary file");
        file.set_len(1 << 20).expect("grow");
        file.write_all_at(&[1; 4096], 256 << 10).expect("write");
        file.write_all_at(&[2; 4096], 512 << 10).expect("write");
        let whole = Region::whole(Arc::new(file)).expect("region");
        let window = whole.slice(256 << 10, 256 << 10).expect("window");
        let data = window.data().expect("data");
        assert_eq!((data.len(), data[0].clone()), (1, 0..4096));
        assert!(
            whole
                .slice(512 << 10, 4096)
                .expect("window")
                .data()
                .expect("data")[0]
                .start
                == 0
        );
        assert_eq!(
            whole.slice(0, 4096).expect("window").data().expect("data"),
            []
        );
    }

    #[test]
    fn a_window_beyond_the_end_is_refused() {
        let file = Arc::new(tempfile::tempfile().expect("temporary file"));
        file.set_len(4096).expect("grow");
        assert!(Region::new(Arc::clone(&file), 4096, 1).is_err());
        assert!(Region::new(Arc::clone(&file), u64::MAX, 2).is_err());
        let region = Region::new(file, 0, 4096).expect("region");
        assert!(region.read_exact_at(4090, &mut [0; 7]).is_err());
        assert!(region.slice(1, 4096).is_err());
    }
}
