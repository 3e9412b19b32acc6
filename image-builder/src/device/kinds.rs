//! The small values that a device is described with.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::Serialize;

/// What kind of block device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A disk, a stick, a card.
    Disk,
    /// A loop device.
    Loop,
    /// Another one, in words: `a RAID array`.
    Other(&'static str),
}

/// How a disk is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// USB, card readers on it included.
    Usb,
    /// NVMe.
    Nvme,
    /// SATA, or ATA before it.
    Sata,
    /// A card or eMMC in a slot or on a bus of its own.
    Mmc,
    /// A virtual machine's.
    Virtio,
    /// A file.
    Loop,
    /// udev's word for it, or `unknown`.
    Other(String),
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// A size as disks are sold, and as partitions are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Number {
    /// From `st_dev` or `st_rdev` of stat(2).
    pub fn of(dev: u64) -> Self {
        let part = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX);
        Self {
            major: part(nix::sys::stat::major(dev)),
            minor: part(nix::sys::stat::minor(dev)),
        }
    }

    /// Given to file systems that have no device, or several (Linux: major 0,
    /// "unnamed").
    pub fn is_anonymous(self) -> bool {
        self.major == 0
    }
}

/// `8:16`, as in sysfs and mountinfo.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Number {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            major: major.parse()?,
            minor: minor.parse()?,
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Usb => "USB",
            Transport::Nvme => "NVMe",
            Transport::Sata => "SATA",
            Transport::Mmc => "MMC",
            Transport::Virtio => "virtio",
            Transport::Loop => "loop",
            Transport::Other(word) => word,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Disk => "a disk",
            Kind::Loop => "a loop device",
            Kind::Other(what) => what,
        })
    }
}

impl Bytes {
    /// As sold only: `500.1 GB`, with one digit behind the point, rounded down.
    pub fn short(self) -> String {
        const DECIMAL: [(u64, &str); 4] = [
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        scaled(self.0, &DECIMAL)
    }
}

/// `500.1 GB (465.7 GiB)`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [(u64, &str); 4] = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        write!(f, "{} ({})", self.short(), scaled(self.0, &BINARY))
    }
}

/// Rounded down: no disk is shown larger than it is.
fn scaled(bytes: u64, units: &[(u64, &str)]) -> String {
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => {
            let tenth = bytes % unit / (unit / 10);
            format!("{}.{} {name}", bytes / unit, tenth.min(9))
        }
    }
}

macro_rules! serialize_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(Number, Transport, Kind);
