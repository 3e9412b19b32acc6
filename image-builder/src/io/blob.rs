//! Bytes that are somewhere already: in memory, or in a file.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::copy::{STEP, copy_range};
use super::{ReadAt, Region, check_range};

/// Bytes by reference: a clone or a slice copies none of them. What a composed
/// disk is made of, so that nothing is copied before it reaches its sink.
#[derive(Clone)]
pub enum Blob {
    /// A range of bytes in memory.
    Memory(Arc<[u8]>, Range<usize>),
    /// A window into a file.
    File(Region),
}

impl Blob {
    /// Bytes `offset..offset + len` of these.
    ///
    /// # Errors
    /// `UnexpectedEof` when they are not all there.
    pub fn slice(&self, offset: u64, len: u64) -> io::Result<Self> {
        match self {
            Blob::Memory(bytes, range) => {
                let len = usize::try_from(len).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                check_range(offset, len, self.len())?;
                let start = range.start + offset as usize;
                Ok(Blob::Memory(Arc::clone(bytes), start..start + len))
            }
            Blob::File(region) => region.slice(offset, len).map(Blob::File),
        }
    }

    /// The ranges that hold data, in order; the rest are zeros (`Region::data`).
    ///
    /// # Errors
    /// When a file cannot be searched.
    pub fn data(&self) -> io::Result<Vec<Range<u64>>> {
        match self {
            Blob::Memory(..) if self.is_empty() => Ok(Vec::new()),
            Blob::Memory(..) => Ok(std::iter::once(0..self.len()).collect()),
            Blob::File(region) => region.data(),
        }
    }

    /// Writes the bytes to a file at `offset`; `progress` is told of every step
    /// and may end it.
    ///
    /// # Errors
    /// When either side fails, or `progress` does.
    pub fn copy_to(
        &self,
        file: &File,
        offset: u64,
        progress: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Blob::Memory(bytes, range) => {
                let mut at = offset;
                for step in bytes[range.clone()].chunks(STEP) {
                    file.write_all_at(step, at)?;
                    at += step.len() as u64;
                    progress(step.len() as u64)?;
                }
                Ok(())
            }
            Blob::File(region) => {
                let (from, start) = region.place();
                copy_range(from, start, file, offset, region.len(), progress)
            }
        }
    }
}

impl From<Arc<[u8]>> for Blob {
    fn from(bytes: Arc<[u8]>) -> Self {
        let range = 0..bytes.len();
        Blob::Memory(bytes, range)
    }
}

impl ReadAt for Blob {
    fn len(&self) -> u64 {
        match self {
            Blob::Memory(_, range) => range.len() as u64,
            Blob::File(region) => region.len(),
        }
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Blob::Memory(bytes, range) => {
                check_range(offset, buf.len(), self.len())?;
                let start = range.start + offset as usize;
                buf.copy_from_slice(&bytes[start..start + buf.len()]);
                Ok(())
            }
            Blob::File(region) => region.read_exact_at(offset, buf),
        }
    }
}

// What is in memory may be a private key.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blob::Memory(..) => write!(f, "{} bytes in memory", self.len()),
            Blob::File(region) => region.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_read_slice_and_copy_alike() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
        let file = tempfile::tempfile().expect("temporary file");
        file.write_all_at(&bytes, 0).expect("write");
        let in_file = Blob::File(Region::whole(Arc::new(file)).expect("region"));
        for blob in [Blob::from(Arc::from(bytes.as_slice())), in_file] {
            let part = blob
                .slice(100, 5000)
                .expect("slice")
                .slice(50, 4000)
                .expect("slice");
            let mut seen = vec![0; 4000];
            part.read_exact_at(0, &mut seen).expect("read");
            assert_eq!(seen, bytes[150..4150], "{blob:?}");
            let (start, end) = (part.data().expect("data")[0].start, part.len());
            assert_eq!((start, end), (0, 4000));

            let copy = tempfile::tempfile().expect("temporary file");
            let mut told = 0;
            part.copy_to(&copy, 7, &mut |bytes| {
                told += bytes;
                Ok(())
            })
            .expect("copy");
            copy.read_exact_at(&mut seen, 7).expect("read");
            assert_eq!((told, &seen[..]), (4000, &bytes[150..4150]));

            assert!(blob.slice(9_999, 2).is_err());
            assert!(blob.slice(u64::MAX, 1).is_err());
            assert!(part.read_exact_at(3_999, &mut [0; 2]).is_err());
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let blob = Blob::from(Arc::from(&b"hunter2"[..]));
        assert_eq!(format!("{blob:?}"), "7 bytes in memory");
    }
}
