//! Where a disk's content goes: the seam behind which tests put disks that
//! fail.

use std::io;
use std::ops::Range;

/// A disk that is written from several threads. Offsets and lengths are in
/// bytes, and multiples of 4096 (the disk's end may be none); buffers lie at
/// multiples of 4096 in memory.
pub trait Target: Send + Sync {
    /// Length of the disk.
    fn len(&self) -> u64;

    /// Whether the disk has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from the disk itself, not from memory that a write left.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// What the disk says.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;

    /// Makes a range read as zeros, by whatever is fastest.
    ///
    /// # Errors
    /// What the disk says.
    fn zero(&self, range: Range<u64>) -> io::Result<()>;

    /// Tells the disk that a range is not needed; what it reads as afterwards
    /// is anybody's guess. `false` when the disk does not want to know.
    ///
    /// # Errors
    /// What the disk says.
    fn discard(&self, range: Range<u64>) -> io::Result<bool>;

    /// Returns when all that was written is on the medium.
    ///
    /// # Errors
    /// What the disk says: a write that failed earlier, perhaps.
    fn sync(&self) -> io::Result<()>;
}
