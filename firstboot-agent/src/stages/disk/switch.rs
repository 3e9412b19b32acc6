//! Writes a table so that the disk boots whenever the power goes.
//!
//! Without `gpt` on its command line the kernel reads the first copy and no other
//! (block/partitions/efi.c, `find_valid_gpt`), and what the Pi's firmware does is
//! not known: so the first copy must be whole at every instant. Its header holds a
//! checksum of its entries, and they are in other sectors; a disk promises to write
//! one sector whole, not two. The entries are therefore written a second time, to
//! sectors nobody uses, and the header that points there is one sector.

use super::table::{ENTRIES, ENTRY_SECTORS, Ends, SECTOR, SPARE, Table, spare_header};
use crate::system::{System, SystemError};

/// Puts `new` in place of `old` on a disk. Each write is on the disk before the
/// next begins.
pub(super) fn write(
    sys: &dyn System,
    device: &str,
    table: &Table,
    old: &Ends,
    new: &Ends,
) -> Result<(), SystemError> {
    let put = |sector: u64, bytes: &[u8]| sys.write_at(device, sector * SECTOR, bytes);
    // The second copy, at the real end. The first is whole.
    if old.tail != new.tail {
        let backup = &new.tail[new.tail.len() - bytes(ENTRY_SECTORS + 1)..];
        put(new.size / SECTOR - ENTRY_SECTORS - 1, backup)?;
    }
    // While the old header still says where: what an image had at its own end is
    // inside a partition from now on, and it must not be found there.
    clear_stale(sys, device, table, old.size)?;
    if old.head == new.head {
        return Ok(());
    }
    let entries = &new.head[bytes(ENTRIES)..bytes(ENTRIES + ENTRY_SECTORS)];
    let header = &new.head[bytes(1)..bytes(2)];
    // Cut there before, the header points to them still: they are not touched.
    if !old.uses_spare() {
        put(SPARE, entries)?;
        put(1, &spare_header(header))?;
    }
    put(ENTRIES, entries)?;
    put(1, header)?;
    put(SPARE, &new.head[bytes(SPARE)..bytes(SPARE + ENTRY_SECTORS)])?;
    put(0, &new.head[..bytes(1)])
}

/// Zeros where the second copy was, if that is free space.
fn clear_stale(
    sys: &dyn System,
    device: &str,
    table: &Table,
    size: u64,
) -> Result<(), SystemError> {
    let len = bytes(ENTRY_SECTORS + 1);
    let end = table.alternate.saturating_add(SECTOR);
    let Some(start) = end.checked_sub(len as u64) else {
        return Ok(());
    };
    let behind_all = table.partitions.iter().all(|of| of.end() <= start);
    // The new one is in the disk's last sectors.
    if !behind_all || end > size.saturating_sub(len as u64) {
        return Ok(());
    }
    if sys
        .read_at(device, start, len)?
        .iter()
        .all(|byte| *byte == 0)
    {
        return Ok(());
    }
    sys.write_at(device, start, &vec![0; len])
}

const fn bytes(sectors: u64) -> usize {
    (sectors * SECTOR) as usize
}
