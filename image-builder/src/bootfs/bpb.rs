//! The boot sector and the BIOS parameter block in it (FAT32 specification
//! 1.03, "Boot Sector and BPB"). `fatfs` computes with these fields before it
//! doubts them, so nothing reaches it that was not looked at here.

use std::io;

use fatfs::FatType;

use super::FatError;
use crate::io::{CowRegion, ReadAt};
use crate::layout::SECTOR;

/// Field offsets, in bytes.
const BYTES_PER_SECTOR: usize = 11;
const SECTORS_PER_CLUSTER: usize = 13;
const RESERVED_SECTORS: usize = 14;
const FATS: usize = 16;
const ROOT_ENTRIES: usize = 17;
const SECTORS_16: usize = 19;
const FAT_SECTORS_16: usize = 22;
const HIDDEN_SECTORS: usize = 28;
const SECTORS_32: usize = 32;
const FAT_SECTORS_32: usize = 36;
const FLAGS: usize = 40;
const ROOT_CLUSTER: usize = 44;
const BACKUP_SECTOR: usize = 50;
const STATE: usize = 65;
const VOLUME_ID: usize = 67;
const SIGNATURE: usize = 510;

/// "FAT Type Determination": below these counts of clusters it is FAT12, FAT16.
const MIN_FAT16: u64 = 4085;
const MIN_FAT32: u64 = 65525;

/// Clusters a boot partition may have: 8 GiB of the smallest ones. The check
/// holds the whole table, 64 MiB of it then; the specification would allow 1 GiB.
const MAX_CLUSTERS: u64 = 1 << 24;

/// A FAT32 boot sector whose fields fit together and into their partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bpb {
    /// Bytes per cluster.
    pub(super) cluster_len: u64,
    /// Sectors before the first FAT.
    pub(super) reserved: u64,
    /// Number of FATs, 1 or 2.
    pub(super) fats: u64,
    /// Sectors of one FAT.
    pub(super) fat_sectors: u64,
    /// Clusters for data; their numbers are `2..clusters + 2`.
    pub(super) clusters: u32,
    /// The root directory's first cluster.
    pub(super) root: u32,
    /// The copy of the boot sector, if there is one.
    pub(super) backup: Option<u64>,
    /// The flags of a volume in use, or used with errors.
    pub(super) dirty: bool,
}

impl Bpb {
    /// Reads and checks the boot sector of a partition.
    ///
    /// # Errors
    /// [`FatError::NotFat`] without its signature, [`FatError::NotFat32`],
    /// [`FatError::Truncated`], and [`FatError::Damaged`] for fields that
    /// contradict each other.
    pub(super) fn read(partition: &impl ReadAt) -> Result<Self, FatError> {
        if partition.len() < SECTOR {
            return Err(not_fat("it is shorter than a sector"));
        }
        let mut sector = [0; SECTOR as usize];
        partition.read_exact_at(0, &mut sector)?;
        Self::parse(&sector, partition.len())
    }

    fn parse(sector: &[u8; SECTOR as usize], partition: u64) -> Result<Self, FatError> {
        let short = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let long = |at: usize| short(at) | short(at + 2) << 16;
        if sector[SIGNATURE..] != [0x55, 0xaa] {
            return Err(not_fat("its boot sector lacks the signature 55 aa"));
        }
        if short(BYTES_PER_SECTOR) != SECTOR {
            return Err(damaged(format!(
                "its sectors are {} bytes long; only 512 is supported",
                short(BYTES_PER_SECTOR)
            )));
        }
        let per_cluster = u64::from(sector[SECTORS_PER_CLUSTER]);
        if !per_cluster.is_power_of_two() {
            return Err(damaged(format!("it has {per_cluster} sectors per cluster")));
        }
        let fat_sectors = match short(FAT_SECTORS_16) {
            0 => long(FAT_SECTORS_32),
            sectors => sectors,
        };
        let sectors = match short(SECTORS_16) {
            0 => long(SECTORS_32),
            sectors => sectors,
        };
        let needed = sectors * SECTOR;
        if needed > partition {
            return Err(FatError::Truncated {
                needed,
                found: partition,
            });
        }
        let reserved = short(RESERVED_SECTORS);
        let fats = u64::from(sector[FATS]);
        let before_data =
            reserved + fats * fat_sectors + (short(ROOT_ENTRIES) * 32).div_ceil(SECTOR);
        let clusters = sectors.saturating_sub(before_data) / per_cluster;
        match clusters {
            0 => return Err(damaged("its tables leave no room for data".into())),
            1..MIN_FAT16 => return Err(FatError::NotFat32(FatType::Fat12)),
            MIN_FAT16..MIN_FAT32 => return Err(FatError::NotFat32(FatType::Fat16)),
            MIN_FAT32..=MAX_CLUSTERS => {}
            _ => {
                return Err(damaged(format!(
                    "it has {clusters} clusters; at most {MAX_CLUSTERS} are supported"
                )));
            }
        }
        let wrong =
            if short(FAT_SECTORS_16) != 0 || short(SECTORS_16) != 0 || short(ROOT_ENTRIES) != 0 {
                Some("it has the size of FAT32 and fields of FAT16")
            } else if reserved == 0 {
                Some("it has no reserved sectors")
            } else if !(1..=2).contains(&fats) {
                Some("it has neither one nor two allocation tables")
            } else if fat_sectors * SECTOR / 4 < clusters + 2 {
                Some("its allocation table is too short for its clusters")
            } else if short(FLAGS) & 0x80 != 0 {
                Some("its allocation tables are not mirrored")
            } else if !(2..clusters + 2).contains(&long(ROOT_CLUSTER)) {
                Some("its root directory lies outside of it")
            } else {
                None
            };
        if let Some(wrong) = wrong {
            return Err(damaged(wrong.into()));
        }
        // 0 and ffff mean that there is no backup.
        let backup = match short(BACKUP_SECTOR) {
            0 | 0xffff => None,
            sector if sector < reserved => Some(sector * SECTOR),
            sector => {
                return Err(damaged(format!(
                    "the backup of its boot sector, in sector {sector}, is not among the {reserved} reserved ones"
                )));
            }
        };
        Ok(Self {
            cluster_len: per_cluster * SECTOR,
            reserved,
            fats,
            fat_sectors,
            clusters: clusters as u32,
            root: long(ROOT_CLUSTER) as u32,
            backup,
            dirty: sector[STATE] & 3 != 0,
        })
    }

    /// Where in the partition FAT `copy` begins, from 0.
    pub(super) fn fat_offset(&self, copy: u64) -> u64 {
        (self.reserved + copy * self.fat_sectors) * SECTOR
    }

    /// Where in the partition a cluster begins; it must be one of the data's.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        self.fat_offset(self.fats) + u64::from(cluster.saturating_sub(2)) * self.cluster_len
    }
}

/// Whether a partition begins like a FAT: the signature, a jump, and a sector
/// size. Opening it says whether it is any good.
pub(crate) fn looks_like_fat(partition: &impl ReadAt) -> bool {
    let mut sector = [0; SECTOR as usize];
    partition.len() >= SECTOR
        && partition.read_exact_at(0, &mut sector).is_ok()
        && sector[SIGNATURE..] == [0x55, 0xaa]
        && matches!(sector[0], 0xeb | 0xe9)
        && matches!(
            u16::from_le_bytes([sector[BYTES_PER_SECTOR], sector[BYTES_PER_SECTOR + 1]]),
            512 | 1024 | 2048 | 4096
        )
}

/// Gives the file system in a region its own serial, and the partition's first
/// sector as its "hidden sectors", in the boot sector and its backup.
///
/// # Errors
/// When the region cannot be read or written, or its boot sector is damaged:
/// a wrong field would send the backup's bytes into a file.
pub fn set_identity(
    region: &CowRegion,
    serial: u32,
    partition_offset: u64,
) -> Result<(), FatError> {
    let backup = Bpb::read(region)?.backup;
    let hidden = u32::try_from(partition_offset / SECTOR).map_err(io::Error::other)?;
    for sector in std::iter::once(0).chain(backup) {
        region.write_all_at(sector + HIDDEN_SECTORS as u64, &hidden.to_le_bytes())?;
        region.write_all_at(sector + VOLUME_ID as u64, &serial.to_le_bytes())?;
    }
    Ok(())
}

fn not_fat(why: &'static str) -> FatError {
    FatError::NotFat(io::Error::other(why))
}

fn damaged(why: String) -> FatError {
    FatError::Damaged(why)
}
