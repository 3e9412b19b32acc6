//! What the superblock of an ext4 file system says of its size and its use
//! (Documentation/filesystems/ext4/super.rst of the kernel).

use uuid::Uuid;

/// Where it lies in a partition, and how long it is.
pub(crate) const OFFSET: u64 = 1024;
/// See [`OFFSET`].
pub(crate) const LEN: usize = 1024;

/// As much of it as is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// UUID of the file system.
    pub(crate) uuid: Uuid,
    /// Length of the file system, in bytes.
    pub(crate) len: u64,
    /// It was mounted at least once.
    pub(crate) was_mounted: bool,
}

impl Superblock {
    /// Reads it; none where there is no ext file system, or one of a size that
    /// cannot be.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        if u16_at(56) != 0xef53 {
            return None;
        }
        // s_log_block_size: 1 KiB to 64 KiB.
        let shift = 10 + Some(u32_at(24)).filter(|log| *log <= 6)?;
        // s_blocks_count_hi is one with the feature "64bit" only.
        let high = if u32_at(96) & 0x80 != 0 {
            u32_at(336)
        } else {
            0
        };
        let blocks = u64::from(high) << 32 | u64::from(u32_at(4));
        Some(Self {
            uuid: Uuid::from_bytes(bytes[104..120].try_into().ok()?),
            len: blocks.checked_mul(1 << shift)?,
            // s_mtime, s_mnt_count.
            was_mounted: u32_at(44) != 0 || u16_at(52) != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn mke2fs_agrees() {
        let uuid = "5f0c4a3e-95bb-5e0a-b3c9-5d8c5f6f1a22";
        for (options, size) in [("64bit", 24 << 20), ("^64bit", 16 << 20)] {
            let file = tempfile::NamedTempFile::new().expect("file");
            file.as_file().set_len(size).expect("size");
            let mut mke2fs = Command::new("/usr/sbin/mke2fs");
            mke2fs.args(["-q", "-t", "ext4", "-O", options, "-U", uuid]);
            assert!(mke2fs.arg(file.path()).status().expect("mke2fs").success());
            let bytes = fs::read(file.path()).expect("read");
            let expected = Superblock {
                uuid: uuid.parse().expect("a UUID"),
                len: size,
                was_mounted: false,
            };
            let found = Superblock::read(&bytes[1024..2048]);
            assert_eq!(found, Some(expected), "{options}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let mut bytes = vec![0; LEN];
        assert_eq!(Superblock::read(&bytes), None);
        bytes[56..58].copy_from_slice(&[0x53, 0xef]);
        assert!(Superblock::read(&bytes).is_some());
        bytes[24] = 7;
        assert_eq!(Superblock::read(&bytes), None);
        assert_eq!(Superblock::read(&bytes[1..]), None);
    }
}
