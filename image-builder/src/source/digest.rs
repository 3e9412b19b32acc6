//! sha256 of what can be read.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::unpack::sparse::{BLOCK, is_zero};
use crate::io::{ReadAt as _, Region};
use crate::progress::Progress;

/// Bytes hashed between two calls of the progress.
const STEP: usize = 1 << 20;

/// The sha256 of everything a reader gives, in lower-case hex.
pub(super) fn sha256(reader: &mut impl Read, progress: &mut dyn Progress) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(len) => {
                hash.update(&buffer[..len]);
                progress.advance(len as u64)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The sha256 of what is in a file's 4 KiB blocks that are not all zeros, each
/// with its offset (little-endian) before it; in lower-case hex. Holes cost
/// nothing, and it does not matter which zeros are holes.
pub(super) fn sha256_of_data(region: &Region, progress: &mut dyn Progress) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP];
    for range in region.data()? {
        let mut at = range.start - range.start % BLOCK as u64;
        while at < range.end {
            let len = (range.end - at).min(STEP as u64) as usize;
            region.read_exact_at(at, &mut buffer[..len])?;
            let offsets = (at..).step_by(BLOCK);
            for (offset, block) in offsets.zip(buffer[..len].chunks(BLOCK)) {
                if !is_zero(block) {
                    hash.update(offset.to_le_bytes());
                    hash.update(block);
                }
            }
            at += len as u64;
            progress.advance(len as u64)?;
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
