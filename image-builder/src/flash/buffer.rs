//! Memory that direct I/O takes: it must begin at a multiple of the device's
//! block size (open(2), "O_DIRECT").

use std::ops::{Deref, DerefMut};

/// A page of every supported machine, and a multiple of every sector size.
pub(super) const ALIGN: usize = 4096;

/// Bytes that begin at a multiple of [`ALIGN`].
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(super) fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGN];
        // A vector that is never pushed to never moves.
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start, len }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}
