//! The partition table as a value: read from a base; planned for a node and
//! encoded to bytes in `disk_plan`. On-disk structures: MBR, and GPT (UEFI
//! specification 2.10, chapter 5), through the `gpt` crate.

mod disk_plan;
mod read_gpt;
mod refit;
#[cfg(test)]
mod tests;

use std::fmt;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use uuid::Uuid;

pub use disk_plan::{ALIGN, DiskPlan, Frame, FrameError, Span};
pub use refit::refit;

use crate::io::{ReadAt as _, Region};

/// Sector size of images and of the tables in them.
pub const SECTOR: u64 = 512;

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
