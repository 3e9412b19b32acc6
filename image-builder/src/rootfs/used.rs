//! Which blocks of an ext4 are in use: what a disk must have right. Layout:
//! kernel documentation, `filesystems/ext4/blockgroup.rst` ("Layout",
//! "Lazy Block Group Initialization") and `bitmaps.rst`.

use fs_ext4::bgd::{self, BgdFlags, BlockGroupDescriptor};
use fs_ext4::block_io::BlockDevice;
use fs_ext4::checksum::Checksummer;
use rangemap::RangeSet;

use super::superblock::{Ext4Error, Superblock};
use crate::io::ReadAt;

/// The bytes of a partition that its file system uses, metadata included. What
/// is in no range was never written by the file system, or was freed; it is not
/// read again before it is written.
///
/// # Errors
/// When the superblock or a group descriptor is damaged, or the partition
/// cannot be read.
pub fn used(partition: &(impl ReadAt + Send + Sync)) -> Result<RangeSet<u64>, Ext4Error> {
    let superblock = Superblock::read(partition)?;
    superblock.check(partition.len())?;
    let sb = superblock.parsed();
    let block = u64::from(sb.block_size());
    let damaged = |error: fs_ext4::Error| Ext4Error::Damaged(error.to_string());
    let groups = bgd::read_all(&Reader(partition), sb, &Checksummer::from_superblock(sb));
    let groups = groups.map_err(damaged)?;
    let per_group = u64::from(sb.blocks_per_group);
    // One bitmap is one block.
    if per_group == 0 || per_group > block * 8 {
        let why = format!("it has {per_group} blocks per group");
        return Err(Ext4Error::Damaged(why));
    }
    let table_len = u64::from(sb.inodes_per_group) * u64::from(sb.inode_size);
    let mut used = Used {
        blocks: RangeSet::new(),
        end: sb.blocks_count,
    };
    let mut bitmap = vec![0; block as usize];
    for (group, descriptor) in (0..).zip(&groups) {
        let first = u64::from(sb.first_data_block) + group * per_group;
        let len = per_group.min(sb.blocks_count.saturating_sub(first));
        used.add(first, sb.group_head_metadata_blocks(group))?;
        let BlockGroupDescriptor {
            block_bitmap,
            inode_bitmap,
            inode_table,
            ..
        } = *descriptor;
        used.add(block_bitmap, 1)?;
        used.add(inode_bitmap, 1)?;
        used.add(inode_table, table_len.div_ceil(block))?;
        // Its bitmap was never written; all of its blocks are free but for
        // those counted above, which may be another group's (flex_bg).
        if !descriptor.flags().contains(BgdFlags::BLOCK_UNINIT) {
            partition.read_exact_at(block_bitmap * block, &mut bitmap)?;
            used.add_bits(&bitmap, first, len)?;
        }
    }
    let bytes = |range: &std::ops::Range<u64>| range.start * block..range.end * block;
    Ok(used.blocks.iter().map(bytes).collect())
}

struct Used {
    blocks: RangeSet<u64>,
    /// Blocks of the whole file system.
    end: u64,
}

impl Used {
    fn add(&mut self, first: u64, len: u64) -> Result<(), Ext4Error> {
        match first.checked_add(len) {
            Some(end) if end <= self.end => {
                if len != 0 {
                    self.blocks.insert(first..end);
                }
                Ok(())
            }
            _ => Err(Ext4Error::Damaged(format!(
                "it uses block {first} and {len} more, of {}",
                self.end
            ))),
        }
    }

    /// Adds the set bits among the first `len`; bit 0 stands for block `first`.
    fn add_bits(&mut self, bitmap: &[u8], first: u64, len: u64) -> Result<(), Ext4Error> {
        let is_set = |bit: u64| bitmap[bit as usize / 8] >> (bit % 8) & 1 == 1;
        let mut bit = 0;
        while bit < len {
            let start = bit;
            let set = is_set(bit);
            while bit < len && is_set(bit) == set {
                // Whole bytes of one kind at a time: most bytes are.
                let byte = bitmap[bit as usize / 8];
                let whole = bit.is_multiple_of(8) && byte == if set { 0xff } else { 0 };
                bit += if whole { 8 } else { 1 };
            }
            bit = bit.min(len);
            if set {
                self.add(first + start, bit - start)?;
            }
        }
        Ok(())
    }
}

/// The crate's view of a partition that is only read.
struct Reader<'a, R>(&'a R);

impl<R: ReadAt + Send + Sync> BlockDevice for Reader<'_, R> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> fs_ext4::Result<()> {
        Ok(self.0.read_exact_at(offset, buf)?)
    }

    fn size_bytes(&self) -> u64 {
        self.0.len()
    }
}
