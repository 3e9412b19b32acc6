//! Which disk / is on, and what the kernel knows of its partitions. By sysfs
//! alone: lsblk would ask udev, which may still be at work this early.

use super::table::{Partition, SECTOR};
use super::trouble::Trouble;
use crate::stages::StageError;
use crate::system::{System, SystemError, read_text};

/// A disk, by its name in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// `nvme0n1`, `sda`.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// Number of the partition / is on.
    pub(super) root: u32,
}

/// A mount, of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// `259:2`.
    pub(super) device: String,
    /// `/dev/nvme0n1p2`.
    pub(super) source: String,
}

impl Mount {
    /// What is seen at a path: the last one, for it covers those before.
    pub(super) fn at(mountinfo: &str, path: &str) -> Option<Self> {
        let line = mountinfo
            .lines()
            .rfind(|line| line.split(' ').nth(4) == Some(path))?;
        // Behind a dash: kind, source, options.
        let (fields, behind) = line.split_once(" - ")?;
        Some(Self {
            device: fields.split(' ').nth(2)?.into(),
            source: behind.split(' ').nth(1)?.into(),
        })
    }

    /// The disk's name and the partition's number; none of what is no partition.
    fn partition(&self, sys: &dyn System) -> Result<Option<(String, u32)>, SystemError> {
        let uevent = read_text(sys, &format!("/sys/dev/block/{}/uevent", self.device))?;
        let field = |key: &str| {
            let mut lines = uevent.lines().filter_map(|line| line.split_once('='));
            lines.find(|(of, _)| *of == key).map(|(_, value)| value)
        };
        let partition = field("DEVNAME").zip(field("PARTN").and_then(|n| n.parse().ok()));
        Ok(partition.and_then(|(name, number)| Some((disk_of(name, number)?, number))))
    }
}

/// The name of the disk / is on, `nvme0n1`; none where it is on no partition.
pub(in crate::stages) fn name_of_root(sys: &dyn System) -> Result<Option<String>, SystemError> {
    let mounts = read_text(sys, "/proc/self/mountinfo")?;
    let Some(mount) = Mount::at(&mounts, "/") else {
        return Ok(None);
    };
    Ok(mount.partition(sys)?.map(|(name, _)| name))
}

impl Disk {
    /// The disk that / is on.
    pub(super) fn of_root(sys: &dyn System) -> Result<Self, StageError> {
        let mounts = read_text(sys, "/proc/self/mountinfo")?;
        let Some(mount) = Mount::at(&mounts, "/") else {
            return Err(StageError::Retry(
                "the kernel does not say where / is".into(),
            ));
        };
        let Some((name, root)) = mount.partition(sys)? else {
            return Err(Trouble::NoPartition(mount.source).into());
        };
        let mut disk = Self {
            name,
            size: 0,
            root,
        };
        let sector = disk.read(sys, "queue/logical_block_size")?;
        if sector != SECTOR.to_string() {
            let disk = disk.name;
            return Err(Trouble::Sector { disk, sector }.into());
        }
        // In units of 512 bytes, whatever the sectors.
        let Ok(sectors) = disk.read(sys, "size")?.parse::<u64>() else {
            let name = disk.name;
            return Err(StageError::Retry(format!(
                "the kernel does not say how large {name} is"
            )));
        };
        disk.size = sectors.saturating_mul(SECTOR);
        Ok(disk)
    }

    /// The whole disk's device.
    pub(super) fn device(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// A partition's device.
    pub(super) fn partition(&self, number: u32) -> String {
        format!("/dev/{}", partition_of(&self.name, number))
    }

    /// Whether the kernel has the partition where the table has it.
    pub(super) fn knows(&self, sys: &dyn System, of: &Partition) -> Result<bool, SystemError> {
        let [start, size] = ["start", "size"].map(|what| self.of_partition(sys, of.number, what));
        let [offset, len] = [of.offset, of.len].map(|bytes| (bytes / SECTOR).to_string());
        Ok(start? == offset && size? == len)
    }

    /// Device number of a partition, `259:3`.
    pub(super) fn number_of(&self, sys: &dyn System, number: u32) -> Result<String, SystemError> {
        self.of_partition(sys, number, "dev")
    }

    fn of_partition(
        &self,
        sys: &dyn System,
        number: u32,
        what: &str,
    ) -> Result<String, SystemError> {
        let partition = partition_of(&self.name, number);
        self.read(sys, &format!("{partition}/{what}"))
    }

    fn read(&self, sys: &dyn System, what: &str) -> Result<String, SystemError> {
        let text = read_text(sys, &format!("/sys/class/block/{}/{what}", self.name))?;
        Ok(text.trim().to_string())
    }
}

/// `nvme0n1` has `nvme0n1p2`, `sda` has `sda2` (the kernel's `disk_name`).
fn partition_of(disk: &str, number: u32) -> String {
    let p = if disk.ends_with(|last: char| last.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{p}{number}")
}

/// The other way round.
fn disk_of(partition: &str, number: u32) -> Option<String> {
    let stem = partition.strip_suffix(&number.to_string())?;
    let names = [stem.strip_suffix('p').unwrap_or(stem), stem];
    let disk = names
        .into_iter()
        .find(|disk| partition_of(disk, number) == partition)?;
    Some(disk.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_disks_and_partitions() {
        for (disk, number, partition) in [
            ("nvme0n1", 2, "nvme0n1p2"),
            ("mmcblk0", 12, "mmcblk0p12"),
            ("sda", 2, "sda2"),
            ("vdp", 3, "vdp3"),
        ] {
            assert_eq!(partition_of(disk, number), partition);
            assert_eq!(disk_of(partition, number).as_deref(), Some(disk));
        }
        assert_eq!(disk_of("dm-0", 2), None);
    }

    #[test]
    fn the_last_mount_of_a_path_counts() {
        let mounts = "1 1 0:2 / / rw - rootfs rootfs rw\n\
                      22 1 259:2 / / rw,noatime shared:1 - ext4 /dev/nvme0n1p2 rw\n\
                      30 22 259:1 / /boot/firmware rw - vfat /dev/nvme0n1p1 rw\n";
        let mount = Mount::at(mounts, "/").expect("root");
        assert_eq!(
            (&*mount.device, &*mount.source),
            ("259:2", "/dev/nvme0n1p2")
        );
        assert_eq!(Mount::at(mounts, "/boot"), None);
        assert_eq!(Mount::at("22 1 259:2 / / rw", "/"), None);
    }
}
