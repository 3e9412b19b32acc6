//! The partition table as a value: read from a base, planned for a node,
//! encoded to bytes. On-disk structures: MBR, and GPT (UEFI specification 2.10,
//! chapter 5), through the `gpt` crate.

mod read_gpt;

use std::collections::BTreeMap;
use std::fmt;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};
use uuid::Uuid;

use crate::ids::NodeIds;
use crate::io::{BlockCursor, ReadAt, Region};
use crate::plan::Size;

/// Sector size of images and of the tables in them.
pub const SECTOR: u64 = 512;

/// Partitions begin at multiples of this: the erase-block size assumed by
/// Raspberry Pi OS since 2025-05-06, and a multiple of every flash page.
pub const ALIGN: u64 = 8 << 20;

/// Room for the backup table behind the last partition: it needs 33 sectors,
/// and an image that is a whole number of MiB suits every writer.
const TAIL: u64 = 1 << 20;

/// MBR type of the protective partition of a GPT disk (UEFI 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// A partition table as found on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which kind of table, and its disk's id.
    pub scheme: Scheme,
    /// The partitions in use, by number.
    pub partitions: Vec<Partition>,
}

/// The kinds of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Master boot record; the id is the 32 bits at byte 440.
    Mbr(u32),
    /// GUID partition table.
    Gpt(Uuid),
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Mbr(id) => write!(f, "MBR, disk id {id:08x}"),
            Scheme::Gpt(guid) => write!(f, "GPT, disk {guid}"),
        }
    }
}

/// One partition. Offsets and lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1.
    pub number: u32,
    /// First byte.
    pub offset: u64,
    /// Length.
    pub len: u64,
    /// GPT partition name; empty on MBR.
    pub name: String,
    /// As in `PARTUUID=`: a GUID, or disk id and number on MBR.
    pub partuuid: String,
}

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// No boot signature, or no partition.
    #[error("there is no partition table in it: {0}")]
    NoTable(&'static str),
    /// A GPT whose header or checksum is wrong.
    #[error("its partition table is damaged: {0}")]
    Damaged(String),
    /// A partition that the file does not hold.
    #[error(
        "partition {number} ends at byte {end}, the file at {size}: it is cut short; fetch or copy it again"
    )]
    Truncated {
        /// The partition.
        number: u32,
        /// Where it should end.
        end: u64,
        /// The file's size.
        size: u64,
    },
    /// The file cannot be read.
    #[error("reading the partition table")]
    Io(#[from] std::io::Error),
}

impl Table {
    /// Reads the table of a disk image with 512-byte sectors.
    ///
    /// # Errors
    /// When there is none, it is damaged, or a partition ends beyond the image.
    pub fn read(image: &Region) -> Result<Self, LayoutError> {
        let table = Self::read_cut(image)?;
        for partition in &table.partitions {
            partition.check(image.len())?;
        }
        Ok(table)
    }

    /// As [`Table::read`], of an image that may be cut short: partitions may end
    /// beyond it.
    ///
    /// # Errors
    /// When there is no table, or it is damaged.
    pub fn read_cut(image: &Region) -> Result<Self, LayoutError> {
        if image.len() < 2 * SECTOR {
            return Err(LayoutError::NoTable("it is shorter than two sectors"));
        }
        let mut sector = [0; SECTOR as usize];
        image.read_exact_at(0, &mut sector)?;
        let mbr = ProtectiveMBR::from_bytes(&sector, LogicalBlockSize::Lb512)
            .map_err(|_| LayoutError::NoTable("sector 0 lacks the signature 55 aa"))?;
        let records: Vec<_> = (0..4).filter_map(|slot| mbr.partition(slot)).collect();
        let table = if records.iter().any(|record| record.os_type == PROTECTIVE) {
            read_gpt::read(image)?
        } else {
            let id = u32::from_le_bytes(*mbr.disk_signature());
            let partitions = (1..)
                .zip(&records)
                .filter(|(_, record)| record.os_type != 0 && record.lb_size != 0)
                .map(|(number, record)| Partition {
                    number,
                    offset: u64::from(record.lb_start) * SECTOR,
                    len: u64::from(record.lb_size) * SECTOR,
                    name: String::new(),
                    partuuid: format!("{id:08x}-{number:02x}"),
                })
                .collect();
            Self {
                scheme: Scheme::Mbr(id),
                partitions,
            }
        };
        if table.partitions.is_empty() {
            return Err(LayoutError::NoTable("the table is empty"));
        }
        Ok(table)
    }
}

impl Partition {
    /// Whether a disk of that many bytes holds it.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`] when it does not.
    pub fn check(&self, size: u64) -> Result<(), LayoutError> {
        let end = self.offset.saturating_add(self.len);
        if end > size {
            let number = self.number;
            return Err(LayoutError::Truncated { number, end, size });
        }
        Ok(())
    }
}

/// A node's disk: GPT with `bootfs`, `rootfs` and perhaps `data`, as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskPlan {
    /// The disk's ids.
    pub ids: NodeIds,
    /// The boot partition.
    pub boot: Span,
    /// The root partition.
    pub root: Span,
    /// The data partition.
    pub data: Option<Span>,
    /// The whole disk.
    pub size: u64,
}

/// Where a partition lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Length.
    pub len: u64,
}

impl DiskPlan {
    /// Places the partitions one after another, each at a multiple of [`ALIGN`].
    pub fn new(ids: NodeIds, boot: Size, root: Size, data: Option<Size>) -> Self {
        let mut next = ALIGN;
        let mut place = |size: Size| {
            let span = Span {
                offset: next,
                len: size.bytes().next_multiple_of(SECTOR),
            };
            next = (span.offset + span.len).next_multiple_of(ALIGN);
            span
        };
        let (boot, root, data) = (place(boot), place(root), data.map(&mut place));
        let last = data.unwrap_or(root);
        let size = (last.offset + last.len).next_multiple_of(1 << 20) + TAIL;
        Self {
            ids,
            boot,
            root,
            data,
            size,
        }
    }

    /// The table as bytes to be written: `(offset, bytes)` in order, none of
    /// them inside a partition.
    ///
    /// # Errors
    /// When the `gpt` crate refuses the plan.
    pub fn encode(&self) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
        // Basic data: what the Pi 5's bootloader is known to boot from.
        let boot = (
            1,
            "bootfs",
            partition_types::BASIC,
            self.ids.boot,
            self.boot,
        );
        // Plain Linux data, not the "root" and "var" types that
        // systemd-gpt-auto-generator(8) would mount by itself.
        let root = (
            2,
            "rootfs",
            partition_types::LINUX_FS,
            self.ids.root,
            self.root,
        );
        let data = self
            .data
            .map(|span| (3, "data", partition_types::LINUX_FS, self.ids.data, span));
        let entries: BTreeMap<u32, gpt::partition::Partition> = [Some(boot), Some(root), data]
            .into_iter()
            .flatten()
            .map(|(number, name, kind, guid, span)| {
                let entry = gpt::partition::Partition {
                    part_type_guid: kind,
                    part_guid: guid,
                    first_lba: span.offset / SECTOR,
                    last_lba: (span.offset + span.len) / SECTOR - 1,
                    flags: 0,
                    name: name.to_owned(),
                };
                (number, entry)
            })
            .collect();

        let mut disk = BlockCursor::new(Zeros(self.size));
        let sectors = u32::try_from(self.size / SECTOR - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk)?;
        let mut table = GptConfig::new()
            .writable(true)
            .create_from_device(disk, Some(self.ids.disk))?;
        table.update_partitions(entries)?;
        Ok(table.write()?.into_changed())
    }
}

/// An empty disk of this many bytes.
struct Zeros(u64);

impl ReadAt for Zeros {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_exact_at(&self, _: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;

    use super::*;
    use crate::cmd::Cmd;

    fn plan(data: Option<Size>) -> DiskPlan {
        let ids = NodeIds::derive(Uuid::from_u128(7), "pi-1");
        DiskPlan::new(ids, Size::mib(512), Size::mib(2400), data)
    }

    fn write(plan: &DiskPlan, file: &File) {
        file.set_len(plan.size).expect("size");
        for (offset, bytes) in plan.encode().expect("encode") {
            file.write_all_at(&bytes, offset).expect("write");
        }
    }

    #[test]
    fn a_written_table_reads_back_and_sgdisk_agrees() {
        for data in [None, Some(Size::mib(100))] {
            let plan = plan(data);
            let file = tempfile::NamedTempFile::new().expect("temporary file");
            write(&plan, file.as_file());
            let image = Region::whole(Arc::new(file.reopen().expect("open"))).expect("region");
            let table = Table::read(&image).expect("read");
            assert_eq!(table.scheme, Scheme::Gpt(plan.ids.disk));
            let found: Vec<_> = table
                .partitions
                .iter()
                .map(|p| (p.name.as_str(), p.offset, p.len))
                .collect();
            let mut expected = vec![
                ("bootfs", 8 << 20, 512 << 20),
                ("rootfs", 520 << 20, 2400 << 20),
            ];
            expected.extend(data.map(|size| ("data", 2920 << 20, size.bytes())));
            assert_eq!(found, expected);
            assert_eq!(table.partitions[1].partuuid, plan.ids.root.to_string());

            let output = Cmd::new("sgdisk", "apt install gdisk")
                .arg("-v")
                .arg(file.path())
                .run(&[0])
                .expect("sgdisk");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("No problems found"), "{text}");
        }
    }

    #[test]
    fn the_same_plan_gives_the_same_bytes() {
        assert_eq!(
            plan(None).encode().expect("encode"),
            plan(None).encode().expect("encode")
        );
    }

    #[test]
    fn damage_is_named() {
        let plan = plan(None);
        let file = tempfile::tempfile().expect("temporary file");
        write(&plan, &file);
        let file = Arc::new(file);
        let read = || Table::read(&Region::whole(Arc::clone(&file)).expect("region"));

        file.set_len(1000 << 20).expect("cut");
        assert!(matches!(
            read(),
            Err(LayoutError::Truncated { number: 2, .. })
        ));
        file.write_all_at(&[0xff; 8], SECTOR + 16)
            .expect("spoil the header's checksum");
        assert!(matches!(read(), Err(LayoutError::Damaged(_))));
        file.write_all_at(&[0; 2], 510)
            .expect("spoil the signature");
        assert!(matches!(read(), Err(LayoutError::NoTable(_))));
        file.set_len(100).expect("cut");
        assert!(matches!(read(), Err(LayoutError::NoTable(_))));
    }
}
