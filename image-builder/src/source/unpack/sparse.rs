//! Writing with holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The unit of holes: the block size of ext4, and the page size of Linux.
pub(in crate::source) const BLOCK: usize = 4096;

/// Bytes compared at once; the compiler makes vector instructions of it.
const LANE: usize = 64;

/// Writes bytes at a block's offset, but for whole blocks of zeros: they become
/// holes of a file that has nothing there yet.
pub(super) fn write_sparse(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    debug_assert_eq!(offset % BLOCK as u64, 0, "blocks are the file's");
    let mut at = 0;
    while at < bytes.len() {
        at += run(&bytes[at..], true);
        let data = run(&bytes[at..], false);
        file.write_all_at(&bytes[at..at + data], offset + at as u64)?;
        at += data;
    }
    Ok(())
}

/// The length of the blocks at the beginning that are zeros, or are not.
fn run(bytes: &[u8], zero: bool) -> usize {
    let blocks = bytes.chunks(BLOCK);
    blocks
        .take_while(|block| is_zero(block) == zero)
        .map(<[u8]>::len)
        .sum()
}

/// Whether a block is all zeros.
pub(in crate::source) fn is_zero(block: &[u8]) -> bool {
    block
        .chunks(LANE)
        .all(|lane| lane.iter().fold(0, |any, byte| any | byte) == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Blocks of data (`x`), of zeros (`.`), of zeros but for the last byte
    /// (`l`), and what is on the disk then, in 4 KiB.
    #[test]
    fn only_whole_blocks_of_zeros_are_holes() {
        for (blocks, data) in [
            ("", 0),
            (".", 0),
            ("x", 1),
            ("x..x", 2),
            ("..l..", 1),
            ("xxx...", 3),
            ("...xxlx", 4),
        ] {
            let mut bytes = Vec::new();
            for block in blocks.chars() {
                let mut one = [if block == 'x' { 7 } else { 0 }; BLOCK];
                one[BLOCK - 1] = u8::from(block != '.');
                bytes.extend(one);
            }
            for tail in [0, 1, 100] {
                bytes.resize(blocks.len() * BLOCK + tail, 0);
                let mut file = tempfile::tempfile().expect("temporary file");
                write_sparse(&file, &bytes, 0).expect("write");
                file.set_len(bytes.len() as u64).expect("grow");
                assert_eq!(
                    file.metadata().expect("metadata").blocks() * 512,
                    data * BLOCK as u64,
                    "{blocks} + {tail}"
                );
                let mut read = Vec::new();
                file.read_to_end(&mut read).expect("read");
                assert!(read == bytes, "{blocks} + {tail}");
            }
        }
    }
}
