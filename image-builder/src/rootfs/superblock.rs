//! The ext4 superblock: what a base must be, and the one field we change.
//! Layout: kernel documentation, `filesystems/ext4/super.rst`.

use fs_ext4::checksum::linux_crc32c;
use uuid::Uuid;

use crate::io::{CowRegion, ReadAt};

/// Where the first superblock lies, and how long one is.
const OFFSET: u64 = 1024;
const LEN: usize = 1024;

/// Field offsets within a superblock.
const UUID: usize = 0x68;
const CHECKSUM: usize = 0x3fc;

/// `s_state`: the file system was unmounted cleanly, and errors were found.
const STATE_VALID: u16 = 1;
const STATE_ERRORS: u16 = 2;

/// The only block size the image code is tested with.
const BLOCK_SIZE: u32 = 4096;

/// Features by their names in `dumpe2fs`, and whether a base may have them.
/// The accepted ones are those of the five ways pi-gen and Debian make a root,
/// all of which the writer was measured on.
const COMPAT: &[(u32, &str, bool)] = &[
    (0x0004, "has_journal", true),
    (0x0008, "ext_attr", true),
    (0x0010, "resize_inode", true),
    (0x0020, "dir_index", true),
    (0x0200, "sparse_super2", false),
    (0x0400, "fast_commit", false),
    (0x0800, "stable_inodes", false),
    (0x1000, "orphan_file", true),
];
const INCOMPAT: &[(u32, &str, bool)] = &[
    (0x0001, "compression", false),
    (0x0002, "filetype", true),
    (0x0004, "needs_recovery", false),
    (0x0008, "journal_dev", false),
    (0x0010, "meta_bg", false),
    (0x0040, "extent", true),
    (0x0080, "64bit", true),
    (0x0100, "mmp", false),
    (0x0200, "flex_bg", true),
    (0x0400, "ea_inode", false),
    (0x2000, "metadata_csum_seed", true),
    (0x4000, "large_dir", false),
    (0x8000, "inline_data", false),
    (0x1_0000, "encrypt", false),
    (0x2_0000, "casefold", false),
];
const RO_COMPAT: &[(u32, &str, bool)] = &[
    (0x0001, "sparse_super", true),
    (0x0002, "large_file", true),
    (0x0008, "huge_file", true),
    (0x0010, "uninit_bg", true),
    (0x0020, "dir_nlink", true),
    (0x0040, "extra_isize", true),
    (0x0100, "quota", false),
    (0x0200, "bigalloc", false),
    (0x0400, "metadata_csum", true),
    (0x1000, "read-only", false),
    (0x2000, "project", false),
    (0x8000, "verity", false),
    (0x1_0000, "orphan_present", false),
];
const METADATA_CSUM: u32 = 0x0400;
const METADATA_CSUM_SEED: u32 = 0x2000;
const NEEDS_RECOVERY: u32 = 0x0004;
const ORPHAN_PRESENT: u32 = 0x1_0000;

/// Why a root file system cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    /// No ext4 magic number.
    #[error("it is not ext4 (no magic number at byte 1080)")]
    NotExt4,
    /// The superblock contradicts itself or its checksum.
    #[error("its superblock is damaged: {0}; fetch the image again, or run e2fsck on it")]
    Damaged(String),
    /// In use, or not unmounted when it was copied.
    #[error(
        "it is dirty ({0}); it was copied while mounted: run `e2fsck -fy` on it, or fetch the image again"
    )]
    Dirty(&'static str),
    /// A feature that is not known to be written correctly.
    #[error(
        "it has the ext4 feature {0}, which imgbuild cannot write safely; use a base without it"
    )]
    Feature(String),
    /// A block size that was never tested.
    #[error("its block size is {0} bytes; only 4096 is supported")]
    BlockSize(u32),
    /// Longer than its partition.
    #[error("it is {needed} bytes long and its partition {found}: the image is cut short")]
    Truncated {
        /// What the superblock says.
        needed: u64,
        /// The partition's length.
        found: u64,
    },
    /// The partition cannot be read.
    #[error("reading its superblock")]
    Io(#[from] std::io::Error),
}

/// A superblock that was read and, with [`Superblock::check`], found usable.
#[derive(Debug, Clone)]
pub struct Superblock {
    parsed: fs_ext4::Superblock,
}

impl Superblock {
    /// Reads the first superblock of a partition.
    ///
    /// # Errors
    /// When there is none, or its checksum is wrong.
    pub fn read(partition: &impl ReadAt) -> Result<Self, Ext4Error> {
        if partition.len() < OFFSET + LEN as u64 {
            return Err(Ext4Error::NotExt4);
        }
        let mut raw = vec![0; LEN];
        partition.read_exact_at(OFFSET, &mut raw)?;
        Self::parse(raw)
    }

    /// Parses a superblock's 1024 bytes.
    ///
    /// # Errors
    /// As [`Superblock::read`].
    pub fn parse(raw: Vec<u8>) -> Result<Self, Ext4Error> {
        let parsed = fs_ext4::Superblock::parse(raw).map_err(|error| match error {
            fs_ext4::Error::BadMagic { .. } => Ext4Error::NotExt4,
            other => Ext4Error::Damaged(other.to_string()),
        })?;
        let this = Self { parsed };
        if this.has_checksums() && checksum(&this.parsed.raw) != stored_checksum(&this.parsed.raw) {
            return Err(Ext4Error::Damaged("its checksum is wrong".into()));
        }
        Ok(this)
    }

    /// Whether the writer may work on this file system.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self, partition_len: u64) -> Result<(), Ext4Error> {
        let sb = &self.parsed;
        // What is wrong with this copy comes before what is wrong with its kind.
        if sb.feature_incompat & NEEDS_RECOVERY != 0 {
            return Err(Ext4Error::Dirty("its journal was not replayed"));
        }
        if sb.feature_ro_compat & ORPHAN_PRESENT != 0 || sb.last_orphan != 0 {
            return Err(Ext4Error::Dirty("deleted files are still held open"));
        }
        if sb.state & STATE_ERRORS != 0 {
            return Err(Ext4Error::Dirty("the kernel found errors in it"));
        }
        if sb.state & STATE_VALID == 0 {
            return Err(Ext4Error::Dirty("it was not unmounted"));
        }
        if let Some(feature) = self.refused_feature() {
            return Err(Ext4Error::Feature(feature));
        }
        if sb.block_size() != BLOCK_SIZE {
            return Err(Ext4Error::BlockSize(sb.block_size()));
        }
        let needed = self.len();
        if needed > partition_len {
            return Err(Ext4Error::Truncated {
                needed,
                found: partition_len,
            });
        }
        Ok(())
    }

    /// Its fields, for this room's other files.
    pub(super) fn parsed(&self) -> &fs_ext4::Superblock {
        &self.parsed
    }

    /// Length of the file system in bytes.
    pub fn len(&self) -> u64 {
        self.parsed.filesystem_bytes().unwrap_or(u64::MAX)
    }

    /// Whether the length is 0, which no real superblock says.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Free bytes, those reserved for root not counted.
    pub fn free(&self) -> u64 {
        let blocks = self
            .parsed
            .free_blocks_count
            .saturating_sub(self.parsed.r_blocks_count);
        blocks.saturating_mul(u64::from(self.parsed.block_size()))
    }

    /// The file system's id.
    pub fn uuid(&self) -> Uuid {
        Uuid::from_bytes(self.parsed.uuid)
    }

    /// The volume label.
    pub fn label(&self) -> &str {
        &self.parsed.volume_name
    }

    /// When it was last written, in seconds since 1970.
    pub fn written(&self) -> i64 {
        i64::from(self.parsed.wtime)
    }

    /// The features, in the names of `dumpe2fs`; unknown bits as numbers.
    pub fn features(&self) -> Vec<String> {
        self.feature_bits().map(|(name, _)| name).collect()
    }

    fn refused_feature(&self) -> Option<String> {
        self.feature_bits()
            .find(|(_, accepted)| !accepted)
            .map(|(name, _)| name)
    }

    fn feature_bits(&self) -> impl Iterator<Item = (String, bool)> {
        let sb = &self.parsed;
        let words = [
            (sb.feature_compat, COMPAT, "compat"),
            (sb.feature_incompat, INCOMPAT, "incompat"),
            (sb.feature_ro_compat, RO_COMPAT, "ro_compat"),
        ];
        words.into_iter().flat_map(|(word, known, kind)| {
            (0..32)
                .map(|bit| 1 << bit)
                .filter(move |bit| word & bit != 0)
                .map(
                    move |bit| match known.iter().find(|(value, ..)| *value == bit) {
                        Some((_, name, accepted)) => ((*name).to_owned(), *accepted),
                        None => (format!("{kind}:{bit:#x}"), false),
                    },
                )
        })
    }

    fn has_checksums(&self) -> bool {
        self.parsed.feature_ro_compat & METADATA_CSUM != 0
    }

    /// Whether the UUID can be changed by writing superblocks alone. Without
    /// the seed every metadata checksum is computed from the UUID; without
    /// checksums nothing is.
    pub fn uuid_is_cheap(&self) -> bool {
        !self.has_checksums() || self.parsed.feature_incompat & METADATA_CSUM_SEED != 0
    }

    /// Gives the file system another UUID, in the superblock and in every
    /// backup, as `tune2fs -U` does.
    ///
    /// # Errors
    /// When the partition cannot be read or written, or a backup superblock is
    /// not where it should be.
    pub fn set_uuid(&self, partition: &CowRegion, uuid: Uuid) -> Result<(), Ext4Error> {
        let sb = &self.parsed;
        let group_len = u64::from(sb.blocks_per_group) * u64::from(sb.block_size());
        for group in (0..sb.block_group_count()).filter(|group| sb.group_has_super(*group)) {
            // Group 0 begins with the boot block, the others with the backup.
            let offset = if group == 0 {
                OFFSET
            } else {
                group * group_len
            };
            let mut raw = vec![0; LEN];
            partition.read_exact_at(offset, &mut raw)?;
            if fs_ext4::Superblock::parse(raw.clone()).is_err() {
                return Err(Ext4Error::Damaged(format!(
                    "no backup superblock in group {group}"
                )));
            }
            raw[UUID..UUID + 16].copy_from_slice(uuid.as_bytes());
            if self.has_checksums() {
                let sum = checksum(&raw);
                raw[CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
            }
            partition.write_all_at(offset, &raw)?;
        }
        Ok(())
    }
}

/// crc32c over everything before the checksum, seeded with all ones.
fn checksum(raw: &[u8]) -> u32 {
    linux_crc32c(!0, &raw[..CHECKSUM])
}

fn stored_checksum(raw: &[u8]) -> u32 {
    raw[CHECKSUM..]
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
