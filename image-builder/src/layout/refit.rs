//! A GPT moved to another disk: the same partitions, and the backup table at
//! that disk's end (UEFI specification 2.10, 5.3.2, "Alternate LBA").

use anyhow::{Context as _, ensure};
use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};
use uuid::Uuid;

use super::{SECTOR, Span, Table};
use crate::io::{BlockCursor, ReadAt, Region};

/// The table of an image with a GPT, as it has to be on a disk of `size` bytes:
/// `(offset, bytes)` in order, outside of every partition. `data` is a partition
/// of the disk that stays, with its id.
///
/// # Errors
/// When the image's table is damaged, or its partitions are not numbered
/// without a gap.
pub fn refit(
    image: &Region,
    size: u64,
    data: Option<(Span, Uuid)>,
) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
    // Refuses what the crate would not survive.
    Table::read(image)?;
    let padded = Padded {
        image: image.clone(),
        size,
    };
    let mut disk = BlockCursor::new(padded);
    let sectors = u32::try_from(size / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk)?;
    let mut table = GptConfig::new()
        .writable(true)
        .open_from_device(disk)
        .context("reading the image's partition table")?;
    let mut partitions = table.take_partitions();
    partitions.retain(|_, partition| partition.is_used());
    if let Some((span, id)) = data {
        partitions.retain(|_, partition| partition.part_guid != id);
        let number = partitions.keys().max().map_or(1, |last| last + 1);
        let entry = gpt::partition::Partition {
            part_type_guid: partition_types::LINUX_FS,
            part_guid: id,
            first_lba: span.offset / SECTOR,
            last_lba: span.end() / SECTOR - 1,
            flags: 0,
            name: "data".to_owned(),
        };
        partitions.insert(number, entry);
    }
    // The crate writes them one after another, whatever their numbers.
    ensure!(
        partitions.keys().copied().eq(1..=partitions.len() as u32),
        "the image's partitions are not numbered without a gap; write it with another tool"
    );
    table.update_partitions(partitions)?;
    Ok(table.write()?.into_changed())
}

/// An image with zeros behind it, or without its end.
struct Padded {
    image: Region,
    size: u64,
}

impl ReadAt for Padded {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        let have = self.image.len().saturating_sub(offset);
        let (inside, beyond) = buf.split_at_mut(have.min(buf.len() as u64) as usize);
        self.image
            .read_exact_at(offset, inside)
            .or_else(|error| match inside.is_empty() {
                true => Ok(()),
                false => Err(error),
            })?;
        beyond.fill(0);
        Ok(())
    }
}
