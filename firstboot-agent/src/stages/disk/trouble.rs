//! The sentences of the disk stage: what is wrong, and what to do.

use node_config::paths;
use uuid::Uuid;

use super::table::Damage;
use crate::stages::StageError;

/// What neither waiting nor a retry heals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// An overlay, a network root.
    #[error(
        "/ is on {0}, which is no partition of a disk: start the node from the disk that was written for it"
    )]
    NoPartition(String),
    /// A 4096-byte sector.
    #[error(
        "{disk} has sectors of {sector} bytes, and the boot partition works with 512 only: take \
         another disk, or set this one to 512 (nvme format --lbaf) and write the image again"
    )]
    Sector {
        /// Kernel name of the disk.
        disk: String,
        /// Bytes in a sector.
        sector: String,
    },
    /// Not a table, or not one of ours.
    #[error("the partition table of {disk} cannot be used: {damage}; write the image again")]
    Table {
        /// Kernel name of the disk.
        disk: String,
        /// What is wrong.
        damage: Damage,
    },
    /// The node runs from somebody else's disk.
    #[error(
        "{disk} is the disk {found}, and this node was given {wanted}: it is left as it is; take \
         out the other disk, or write this node's image to it"
    )]
    OtherDisk {
        /// Kernel name of the disk.
        disk: String,
        /// Its GUID.
        found: Uuid,
        /// The one of node.toml.
        wanted: Uuid,
    },
    /// The same for the partition.
    #[error(
        "/ is partition {number} of {disk}, which is not the one this node was given ({wanted}): \
         it is left as it is; write this node's image again"
    )]
    OtherRoot {
        /// Kernel name of the disk.
        disk: String,
        /// Number of the partition.
        number: u32,
        /// Its GUID by node.toml.
        wanted: Uuid,
    },
    /// The image was cut off.
    #[error(
        "partition {number} of {disk} ends at byte {end}, and the disk at {size}: the image was \
         cut off; write it to a larger disk"
    )]
    Cut {
        /// Kernel name of the disk.
        disk: String,
        /// Number of the partition.
        number: u32,
        /// Where it should end.
        end: u64,
        /// Where the disk ends.
        size: u64,
    },
    /// No place for the data partition.
    #[error(
        "there is no room for a data partition on {disk}: it needs {needs} bytes and {has} are \
         left; take a larger disk, or smaller sizes in the profile's [disk]"
    )]
    NoRoom {
        /// Kernel name of the disk.
        disk: String,
        /// Bytes that are needed.
        needs: u64,
        /// Bytes that are there.
        has: u64,
    },
    /// Data of somebody else.
    #[error(
        "{device} is to be the data partition, and it holds {found}: it is left as it is; save \
         what is needed of it, then `wipefs --all {device}` and `blkdiscard --zeroout {device}`, \
         and start the node again"
    )]
    Foreign {
        /// The partition's device.
        device: String,
        /// What is in it.
        found: String,
    },
    /// Something else is at the mount point.
    #[error(
        "{target} is taken by {source_name}: unmount it and take it out of /etc/fstab, then start \
         the node again", target = paths::DATA_DIR
    )]
    Taken {
        /// What is mounted there.
        source_name: String,
    },
}

impl From<Trouble> for StageError {
    fn from(trouble: Trouble) -> Self {
        StageError::Fatal(trouble.to_string())
    }
}
