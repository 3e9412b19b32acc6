//! Blocks for a file whose bytes are not written through the crate.
//!
//! `rust-fs-ext4` writes content twice, to the journal and to its place, and
//! holds it in memory meanwhile. Here it only reserves blocks, as fallocate(2)
//! does; what they hold is then placed below the file system, by reference.
//! Reserved extents are marked unwritten and read as zeros, so the mark is
//! taken off. Layout: "Extent Tree" in the kernel's
//! Documentation/filesystems/ext4/ifork.rst.

use fs_ext4::extent::{EXT_INIT_MAX_LEN, Extent, collect_all_with_nodes};
use fs_ext4::{Error, Filesystem};

use crate::io::cow::BLOCK;

/// Most blocks of one unwritten extent: its length shares 16 bits with the mark.
const MAX_UNWRITTEN: u64 = EXT_INIT_MAX_LEN as u64 - 1;

/// A node's header: magic, entries, room, depth, generation; the size of an
/// entry too.
const ENTRY: usize = 12;

/// Where the inode's own node lies in it (`i_block`), and its checksum's halves
/// (`i_checksum_lo`, `i_checksum_hi`).
const I_BLOCK: std::ops::Range<usize> = 0x28..0x64;
const I_CHECKSUM_LO: usize = 0x7c;
const I_EXTRA_ISIZE: usize = 0x80;
const I_CHECKSUM_HI: usize = 0x82;

/// A run of a file's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Offset in the file, in bytes.
    pub(super) logical: u64,
    /// Offset in the file system, in bytes.
    pub(super) physical: u64,
    /// Length in bytes, whole blocks.
    pub(super) len: u64,
}

/// Gives a new, empty file its blocks and its size. Every byte of the runs is
/// then to be written by the caller: what they hold now is anybody's.
///
/// # Errors
/// When the file system is full or damaged.
pub(super) fn allocate(fs: &Filesystem, ino: u32, len: u64) -> fs_ext4::Result<Vec<Run>> {
    let blocks = len.div_ceil(BLOCK);
    let mut done = 0;
    let mut run = MAX_UNWRITTEN;
    while done < blocks {
        run = run.min(blocks - done);
        match fs.apply_fallocate_keep_size(ino, done * BLOCK, run * BLOCK) {
            Ok(()) => {
                done += run;
                run = MAX_UNWRITTEN.min(run * 2);
            }
            // No stretch of free blocks is as long: take shorter ones.
            Err(Error::Corrupt(why)) if why.contains("contiguous free run") => match run {
                1 => return Err(Error::NoSpaceLeftOnDevice),
                _ => run /= 2,
            },
            Err(error) => return Err(error),
        }
    }
    let extents = mark_written(fs, ino, len)?;
    Ok(extents.iter().map(Run::of).collect())
}

impl Run {
    fn of(extent: &Extent) -> Self {
        Self {
            logical: u64::from(extent.logical_block) * BLOCK,
            physical: extent.physical_block * BLOCK,
            len: u64::from(extent.length) * BLOCK,
        }
    }
}

/// Takes the mark off every extent of a file and sets its size.
fn mark_written(fs: &Filesystem, ino: u32, len: u64) -> fs_ext4::Result<Vec<Extent>> {
    let (inode, mut raw) = fs.read_inode_verified(ino)?;
    let (extents, nodes) =
        collect_all_with_nodes(&inode.block, fs.dev.as_ref(), fs.sb.block_size())?;
    for block in nodes {
        let mut node = fs.read_block(block)?;
        unmark(&mut node);
        fs.csum.patch_extent_tail(ino, inode.generation, &mut node);
        fs.dev.write_at(block * BLOCK, &node)?;
    }
    unmark(&mut raw[I_BLOCK]);
    Filesystem::patch_inode_size_and_blocks(&mut raw, len, inode.blocks)?;
    if let Some((low, high)) = fs.csum.compute_inode_checksum(ino, inode.generation, &raw) {
        raw[I_CHECKSUM_LO..I_CHECKSUM_LO + 2].copy_from_slice(&low.to_le_bytes());
        // As far as the inode reaches (`i_extra_isize`): what is behind is not its.
        if raw.len() > I_EXTRA_ISIZE && field(&raw, I_EXTRA_ISIZE) >= 4 {
            raw[I_CHECKSUM_HI..I_CHECKSUM_HI + 2].copy_from_slice(&high.to_le_bytes());
        }
    }
    fs.write_inode_raw(ino, &raw)?;
    Ok(extents)
}

/// Takes the mark off a leaf's extents (`ee_len` above 32768); other nodes are
/// left alone.
fn unmark(node: &mut [u8]) {
    let (entries, depth) = (field(node, 2), field(node, 6));
    if depth != 0 {
        return;
    }
    let all = node.chunks_exact_mut(ENTRY).skip(1);
    for entry in all.take(entries.into()) {
        let len = field(entry, 4);
        if len > EXT_INIT_MAX_LEN {
            entry[4..6].copy_from_slice(&(len - EXT_INIT_MAX_LEN).to_le_bytes());
        }
    }
}

fn field(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leaves_and_only_marked_extents_change() {
        let node = |depth: u16, lens: [u16; 3]| {
            let mut node = vec![0; 60];
            node[2..4].copy_from_slice(&3_u16.to_le_bytes());
            node[6..8].copy_from_slice(&depth.to_le_bytes());
            for (entry, len) in lens.into_iter().enumerate() {
                let at = (entry + 1) * ENTRY + 4;
                node[at..at + 2].copy_from_slice(&len.to_le_bytes());
            }
            node
        };
        let mut leaf = node(0, [0x8001, 0x8000, 0xffff]);
        unmark(&mut leaf);
        assert_eq!(leaf, node(0, [1, 0x8000, 0x7fff]));
        let mut index = node(1, [0x8001, 5, 6]);
        unmark(&mut index);
        assert_eq!(index, node(1, [0x8001, 5, 6]));
    }
}
