//! Bytes at an offset: windows into files, copy-on-write over them, and the
//! copying of ranges; files in the making.

pub mod blob;
pub mod copy;
pub mod cow;
pub mod cursor;
pub mod region;
pub mod scratch;
pub mod stream;
pub mod writeback;

pub use blob::Blob;
pub use cow::CowRegion;
pub use cursor::BlockCursor;
pub use region::Region;
pub use scratch::{Scratch, put_text};
pub use stream::Stream;
pub use writeback::Writeback;

use std::io;

/// Random access to a range of bytes. What the file-system code is written
/// against: a window of an image, a changed window, or memory in a test.
pub trait ReadAt {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end, or what the file says.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// The half-open range `offset..offset + len`, if it lies within `size` bytes.
///
/// # Errors
/// `UnexpectedEof` naming the range, otherwise.
fn check_range(offset: u64, len: usize, size: u64) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{len} bytes at offset {offset} are beyond the end at {size}"),
        )),
    }
}
