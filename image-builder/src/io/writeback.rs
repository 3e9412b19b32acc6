//! Keeping the disk busy while a large file is written.

use std::fs::File;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Keeps the disk writing while the writing goes on, so that the sync at the end
/// finds little left to do.
#[derive(Debug)]
pub struct Writeback<'a> {
    file: &'a File,
    begun: u64,
}

impl<'a> Writeback<'a> {
    /// Bytes handed to the disk at a time.
    const STEP: u64 = 16 << 20;

    /// For a file that is written from its beginning to its end.
    pub fn new(file: &'a File) -> Self {
        Self { file, begun: 0 }
    }

    /// Everything up to this offset was written to the file.
    pub fn written_to(&mut self, end: u64) {
        let len = end.saturating_sub(self.begun);
        if len >= Self::STEP {
            // Linux begins to write dirty pages back when told that they are
            // not needed. A hint: where it is not taken, the sync does it all.
            let _ = posix_fadvise(
                self.file,
                self.begun as i64,
                len as i64,
                PosixFadviseAdvice::POSIX_FADV_DONTNEED,
            );
            self.begun = end;
        }
    }
}
