//! Partition tables, and the search for the two partitions. The first byte of
//! the input is its settings, the rest the disk.

#![no_main]

use imgbuild::layout::{SECTOR, Table};
use imgbuild::source::find_partitions;
use libfuzzer_sys::fuzz_target;

/// The disk is larger than the input, so that partitions may lie behind it.
const ENLARGE: u8 = 1;
/// Both checksums of a GPT header are made right: nothing gets past a wrong one.
const REPAIR: u8 = 2;

fuzz_target!(|data: &[u8]| {
    let Some((settings, disk)) = data.split_first() else {
        return;
    };
    let mut disk = disk.to_vec();
    if settings & REPAIR != 0 {
        let _ = repair(&mut disk);
    }
    let len = if settings & ENLARGE != 0 {
        64 << 20
    } else {
        disk.len() as u64
    };
    let image = fuzz::region(&disk, len.max(disk.len() as u64));
    if let Ok(table) = Table::read(&image) {
        assert!(
            table
                .partitions
                .iter()
                .all(|partition| partition.offset + partition.len <= len),
            "{table:?} on {len} bytes"
        );
    }
    let _ = find_partitions(&image);
});

/// The header in sector 1 (UEFI specification 2.10, table 5.5), as far as it
/// makes sense.
fn repair(disk: &mut [u8]) -> Option<()> {
    const HEADER: usize = SECTOR as usize;
    let field = |disk: &[u8], at: usize| -> Option<usize> {
        let bytes = disk.get(HEADER + at..HEADER + at + 4)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    };
    let start = field(disk, 72)?.checked_mul(HEADER)?;
    let len = field(disk, 80)?.checked_mul(field(disk, 84)?)?;
    let entries = crc32fast::hash(disk.get(start..start.checked_add(len)?)?);
    disk.get_mut(HEADER + 88..HEADER + 92)?
        .copy_from_slice(&entries.to_le_bytes());
    disk[HEADER + 16..HEADER + 20].fill(0);
    let header = crc32fast::hash(disk.get(HEADER..HEADER + field(disk, 12)?)?);
    disk[HEADER + 16..HEADER + 20].copy_from_slice(&header.to_le_bytes());
    Some(())
}
