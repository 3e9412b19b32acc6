//! GPT headers and entries, through the `gpt` crate (UEFI specification 2.10,
//! chapter 5).

use gpt::GptConfig;

use super::{LayoutError, Partition, SECTOR, Scheme, Table};
use crate::io::{BlockCursor, ReadAt as _, Region};

/// Header fields in bytes (UEFI 5.3.2): the header's own length, its checksum,
/// the number of entries, the length of one.
const HEADER: usize = 92;
const CHECKSUM: usize = 16;
const ENTRIES: usize = 80;
const ENTRY_LEN: usize = 84;

/// The only length of an entry that the crate knows; it panics at others. The
/// specification allows more, no tool writes them.
const SUPPORTED_ENTRY_LEN: u32 = 128;

/// Entries a table may have; every tool makes 128. The crate reads all that the
/// header announces into memory, twice, and 32 bits can announce 512 GiB.
const MAX_ENTRIES: u32 = 1024;

/// Reads the table. Either header will do: a cut-off or enlarged image has lost
/// the backup, and the check of the partitions' ends says more than its loss.
pub(super) fn read(image: &Region) -> Result<Table, LayoutError> {
    for sector in [1, image.len() / SECTOR - 1] {
        check_header(image, sector)?;
    }
    let disk = GptConfig::new()
        .open_from_device(BlockCursor::new(image.clone()))
        .map_err(|error| LayoutError::Damaged(error.to_string()))?;
    let mut partitions = Vec::new();
    for (number, entry) in disk
        .partitions()
        .iter()
        .filter(|(_, entry)| entry.is_used())
    {
        let sectors = entry.last_lba.checked_sub(entry.first_lba).ok_or_else(|| {
            LayoutError::Damaged(format!("partition {number} ends before it begins"))
        })?;
        partitions.push(Partition {
            number: *number,
            offset: entry.first_lba.saturating_mul(SECTOR),
            len: sectors.saturating_add(1).saturating_mul(SECTOR),
            name: entry.name.clone(),
            partuuid: entry.part_guid.to_string(),
        });
    }
    Ok(Table {
        scheme: Scheme::Gpt(*disk.guid()),
        partitions,
    })
}

/// Refuses a header that the crate would believe and could not cope with. One
/// that is absent or has a wrong checksum the crate leaves aside by itself.
fn check_header(image: &Region, sector: u64) -> Result<(), LayoutError> {
    let mut header = [0; HEADER];
    image.read_exact_at(sector * SECTOR, &mut header)?;
    let field = |at: usize| {
        let bytes = header[at..at + 4].iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u32::from(*byte))
    };
    let (checksum, entries, entry_len) = (field(CHECKSUM), field(ENTRIES), field(ENTRY_LEN));
    header[CHECKSUM..CHECKSUM + 4].fill(0);
    let mut sum = flate2::Crc::new();
    sum.update(&header);
    if !header.starts_with(b"EFI PART") || sum.sum() != checksum {
        return Ok(());
    }
    if entry_len != SUPPORTED_ENTRY_LEN {
        return Err(LayoutError::Damaged(format!(
            "its entries are {entry_len} bytes long; only {SUPPORTED_ENTRY_LEN} is supported"
        )));
    }
    if entries > MAX_ENTRIES {
        return Err(LayoutError::Damaged(format!(
            "it announces {entries} partitions; at most {MAX_ENTRIES} are supported"
        )));
    }
    Ok(())
}
