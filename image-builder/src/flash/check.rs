//! Whether a disk still holds what was written to it.

use std::io;

use sha2::{Digest as _, Sha256};

use super::content::CHUNK;
use super::record::{Hash, Range, Record, RecordError};
use crate::io::ReadAt;
use crate::progress::Progress;

/// Zeros are read in pieces of this many bytes, and everything else in one.
const STEP: u64 = CHUNK;

/// What became of a disk.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was written.
    pub record: Record,
    /// The ranges that are not as they were written, in the disk's order.
    pub changed: Vec<Range>,
}

/// Reads everything that was written, and compares it to the disk's own record.
///
/// # Errors
/// When there is no record, or the disk cannot be read.
pub fn check(disk: &impl ReadAt, progress: &mut dyn Progress) -> Result<Checked, RecordError> {
    let record = Record::read(disk)?;
    let total = record.ranges.iter().map(|range| range.len).sum();
    progress.step("reading what was written", Some(total));
    let mut buffer = vec![0; STEP as usize];
    let mut changed = Vec::new();
    for range in &record.ranges {
        if !is_as_written(disk, range, &mut buffer, progress)? {
            changed.push(*range);
        }
    }
    Ok(Checked { record, changed })
}

fn is_as_written(
    disk: &impl ReadAt,
    range: &Range,
    buffer: &mut [u8],
    progress: &mut dyn Progress,
) -> io::Result<bool> {
    let mut sha256 = Sha256::new();
    let mut zeros = true;
    let mut done = 0;
    while done < range.len {
        let len = (range.len - done).min(STEP);
        let bytes = &mut buffer[..len as usize];
        disk.read_exact_at(range.at + done, bytes)?;
        match range.hash {
            Hash::Zeros => zeros &= bytes.iter().all(|byte| *byte == 0),
            Hash::Sha256(_) => sha256.update(&*bytes),
        }
        progress.advance(len)?;
        done += len;
    }
    Ok(match range.hash {
        Hash::Zeros => zeros,
        Hash::Sha256(hash) => sha256.finalize()[..] == hash[..],
    })
}
