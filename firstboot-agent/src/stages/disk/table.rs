//! The partition table of a disk as a value, and back to bytes. Pure: the two
//! ends of the disk in, the two ends out; the order in which they are written is
//! `switch`'s business.
//!
//! GPT (UEFI specification 2.10, 5.3) with 512-byte sectors, through the `gpt`
//! crate, which wrote the table in the first place: a table that fits is then the
//! same bytes, and is left alone. sfdisk would do for the contents; it writes the
//! first copy's entries and header one after the other, and a disk that loses
//! power between the two does not boot any more (see `switch`).

use std::io::{self, Read, Seek, SeekFrom, Write};

use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};
use uuid::Uuid;

/// Bytes in a sector.
pub(crate) const SECTOR: u64 = 512;

/// As much of either end as is looked at: the table, what [`SPARE`] is for, and
/// no partition, for ours begin at 8 MiB.
pub(crate) const END: usize = 64 << 10;

/// Sectors of a table's entries: 128 of 128 bytes, which every tool makes.
pub(crate) const ENTRY_SECTORS: u64 = 32;

/// Where the first copy's entries lie, by sector: where every tool has them, and
/// where they are for a moment while they are being changed.
pub(crate) const ENTRIES: u64 = 2;
/// See [`ENTRIES`].
pub(crate) const SPARE: u64 = 64;

/// Fields of a header, by byte (UEFI 5.3.2).
const CHECKSUM: usize = 16;
const OWN_PLACE: usize = 24;
const ALTERNATE: usize = 32;
const ENTRIES_AT: usize = 72;
const ENTRY_COUNT: usize = 80;
const ENTRY_LEN: usize = 84;
/// Length of a header.
const HEADER: usize = 92;

/// Both ends of a disk.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The whole disk, in bytes.
    pub(crate) size: u64,
    /// The first [`END`] bytes.
    pub(crate) head: Vec<u8>,
    /// The last [`END`] bytes.
    pub(crate) tail: Vec<u8>,
}

impl Ends {
    /// The first copy's header points to [`SPARE`].
    pub(crate) fn uses_spare(&self) -> bool {
        u64_at(&self.head[SECTOR as usize..], ENTRIES_AT) == SPARE
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// GPT disk GUID.
    pub(crate) disk: Uuid,
    /// By number, from 1 and without a gap.
    pub(crate) partitions: Vec<Partition>,
    /// The byte at which it has its second copy's header; perhaps beyond the
    /// disk, or where an image ended.
    pub(crate) alternate: u64,
}

/// One partition. Offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Number, from 1.
    pub(crate) number: u32,
    /// Partition GUID.
    pub(crate) id: Uuid,
    /// First byte.
    pub(crate) offset: u64,
    /// Length.
    pub(crate) len: u64,
}

impl Partition {
    /// The byte behind the last one.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// What is wrong with a table, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damage(String);

impl Table {
    /// Reads the first copy.
    ///
    /// # Errors
    /// When there is none, or it is not of the one form that every tool writes.
    pub(crate) fn read(ends: &Ends) -> Result<Self, Damage> {
        check(ends)?;
        let disk = GptConfig::new()
            .open_from_device(Window::of(ends))
            .map_err(damage)?;
        // The kernel of a node that runs has read the first one.
        disk.primary_header().map_err(damage)?;
        let mut partitions = Vec::new();
        for (number, entry) in disk.partitions().iter().filter(|(_, e)| e.is_used()) {
            // The crate writes them one after another, whatever their numbers.
            if *number as usize != partitions.len() + 1 {
                return Err(Damage(
                    "its partitions are not numbered without a gap".into(),
                ));
            }
            let bytes = |lba: u64| lba.checked_mul(SECTOR);
            let end = entry.last_lba.checked_add(1).and_then(bytes);
            let (Some(offset), Some(end)) = (bytes(entry.first_lba), end) else {
                return Err(Damage(format!("partition {number} ends beyond any disk")));
            };
            if end <= offset {
                return Err(Damage(format!("partition {number} ends before it begins")));
            }
            // SPARE must be free.
            if offset < END as u64 {
                return Err(Damage(format!("partition {number} begins too early")));
            }
            partitions.push(Partition {
                number: *number,
                id: entry.part_guid,
                offset,
                len: end - offset,
            });
        }
        let alternate = u64_at(&ends.head[SECTOR as usize..], ALTERNATE);
        Ok(Self {
            disk: *disk.guid(),
            partitions,
            alternate: alternate.saturating_mul(SECTOR),
        })
    }

    /// The disk's ends with these partitions, and the second copy at the disk's
    /// end. What is there already keeps its kind and name; what is new is Linux
    /// data with the name `data`.
    ///
    /// # Errors
    /// When what is there is not a table that [`Table::read`] reads.
    pub(crate) fn encode(ends: &Ends, partitions: &[Partition]) -> Result<Ends, Damage> {
        check(ends)?;
        let mut window = Window::of(ends);
        let sectors = u32::try_from(ends.size / SECTOR - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(sectors)
            .overwrite_lba0(&mut window)
            .map_err(damage)?;
        let mut disk = GptConfig::new()
            .writable(true)
            .open_from_device(window)
            .map_err(damage)?;
        let mut entries = disk.take_partitions();
        entries.retain(|_, entry| entry.is_used());
        for partition in partitions {
            let entry =
                entries
                    .entry(partition.number)
                    .or_insert_with(|| gpt::partition::Partition {
                        part_type_guid: partition_types::LINUX_FS,
                        part_guid: partition.id,
                        first_lba: 0,
                        last_lba: 0,
                        flags: 0,
                        name: "data".to_owned(),
                    });
            entry.first_lba = partition.offset / SECTOR;
            entry.last_lba = partition.end() / SECTOR - 1;
        }
        disk.update_partitions(entries).map_err(damage)?;
        let mut ends = disk.write().map_err(damage)?.into_ends();
        // What an earlier change of the table has left there; read by now.
        let spare = (SPARE * SECTOR) as usize;
        ends.head[spare..spare + (ENTRY_SECTORS * SECTOR) as usize].fill(0);
        Ok(ends)
    }
}

/// The header that reads its entries from [`SPARE`], of one that does not.
pub(crate) fn spare_header(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    header[ENTRIES_AT..ENTRIES_AT + 8].copy_from_slice(&SPARE.to_le_bytes());
    header[CHECKSUM..CHECKSUM + 4].fill(0);
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&header[..HEADER]);
    header[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Refuses what the crate would believe and could not cope with: it panics at
/// entries of another length, and reads as many as it is told.
fn check(ends: &Ends) -> Result<(), Damage> {
    let whole = ends.head.len() == END && ends.tail.len() == END;
    if !whole || ends.size < 3 * END as u64 || !ends.size.is_multiple_of(SECTOR) {
        return Err(Damage("the disk is too small for one".into()));
    }
    let header = &ends.head[SECTOR as usize..];
    if !header.starts_with(b"EFI PART") {
        return Err(Damage("it has no GPT".into()));
    }
    // The crate would write it to where it says it is.
    if u64_at(header, OWN_PLACE) != 1 || u64_at(header, ALTERNATE) <= 1 {
        return Err(Damage("its header is not in its own place".into()));
    }
    let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    let form = (u32_at(ENTRY_COUNT), u32_at(ENTRY_LEN));
    if form != (128, 128) {
        let (count, len) = form;
        return Err(Damage(format!(
            "it has {count} entries of {len} bytes, and only 128 of 128 are supported"
        )));
    }
    if ![ENTRIES, SPARE].contains(&u64_at(header, ENTRIES_AT)) {
        return Err(Damage("its entries are not behind its header".into()));
    }
    Ok(())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| bytes[at + i]))
}

fn damage(error: impl std::fmt::Display) -> Damage {
    Damage(error.to_string())
}

/// The disk as the crate sees it: nothing between its ends.
#[derive(Debug)]
struct Window {
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    position: u64,
}

impl Window {
    fn of(ends: &Ends) -> Self {
        let mut tail = ends.tail.clone();
        // Of an earlier owner, perhaps, and of any form: never read.
        tail[END - SECTOR as usize..].fill(0);
        Self {
            size: ends.size,
            head: ends.head.clone(),
            tail,
            position: 0,
        }
    }

    fn into_ends(self) -> Ends {
        Ends {
            size: self.size,
            head: self.head,
            tail: self.tail,
        }
    }

    /// What is there from the position on.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let tail = self.size - END as u64;
        if self.position >= tail {
            let at = (self.position - tail).min(END as u64) as usize;
            Ok(&mut self.tail[at..])
        } else if self.position < END as u64 {
            Ok(&mut self.head[self.position as usize..])
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = (&*self.here()?).read(buf)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Write for Window {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.here()?.write(buf)?;
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
