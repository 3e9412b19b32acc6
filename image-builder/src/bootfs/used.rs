//! Which bytes of a FAT32 are in use: what a disk must have right. FAT32
//! specification 1.03, "FAT Data Structure".

use rangemap::RangeSet;

use super::FatError;
use super::bpb::Bpb;
use crate::io::ReadAt;

/// Table entries have 28 bits (the upper four are reserved); 0 is a free
/// cluster.
const VALUE: u32 = 0x0fff_ffff;

/// The bytes of a partition that its file system uses: everything before the
/// data, and every cluster that is not free.
///
/// # Errors
/// When the boot sector is no use, or the partition cannot be read.
pub fn used(partition: &impl ReadAt) -> Result<RangeSet<u64>, FatError> {
    let bpb = Bpb::read(partition)?;
    let mut table = vec![0; (bpb.clusters as usize + 2) * 4];
    partition.read_exact_at(bpb.fat_offset(0), &mut table)?;
    let entries = table.chunks_exact(4).skip(2);
    let value = |entry: &[u8]| {
        let bytes = entry.iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u32::from(*byte)) & VALUE
    };
    let mut used = RangeSet::new();
    used.insert(0..bpb.cluster_offset(2));
    for (cluster, entry) in (2..).zip(entries) {
        if value(entry) != 0 {
            let start = bpb.cluster_offset(cluster);
            used.insert(start..start + bpb.cluster_len);
        }
    }
    Ok(used)
}
