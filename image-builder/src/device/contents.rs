//! What a disk holds, as far as somebody who may lose it has to know. Nothing
//! is written.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use nix::unistd::geteuid;
use serde::Serialize;

use super::snapshot::device_at;
use super::udev::Properties;
use super::{Bytes, Device, System, look};
use crate::io::{ReadAt as _, Region};

/// Partitions shown in the one line.
const SHOWN: usize = 4;

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "with", rename_all = "snake_case")]
pub enum Contents {
    /// No signature was found; there may be data all the same.
    Nothing,
    /// A disk of ours.
    Node {
        /// The cluster's name.
        cluster: String,
        /// The node's name.
        node: String,
        /// Whether it has a data partition.
        data: bool,
    },
    /// A partition table of somebody else's.
    Partitions(Vec<Part>),
    /// A file system, or a part of a volume, without a table.
    FileSystem(Holds),
    /// It could not be read: why, and what to do.
    Unreadable(String),
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Number, from 1.
    pub number: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// Its name in the table; empty where that has none.
    pub name: String,
    /// What is in it, where that is known.
    pub holds: Option<Holds>,
}

/// A file system or a part of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// As udev and blkid(8) name it: `ext4`, `vfat`, `LVM2_member`.
    pub kind: String,
    /// Its label.
    pub label: Option<String>,
}

impl System {
    /// What is on a disk. Needs the right to read it; without that, and for what
    /// is not recognised, udev's word is shown.
    pub fn contents(&self, device: &Device) -> Contents {
        if device.size == 0 {
            return Contents::Nothing;
        }
        let looked = self.open(device).and_then(|disk| look(&disk));
        match looked {
            Ok(Contents::Nothing) => self.known(device).unwrap_or(Contents::Nothing),
            Ok(contents) => contents,
            Err(error) => {
                let mut why = unreadable(device, &error);
                if let Some(known) = self.known(device) {
                    why += &format!("; it is known to hold {known}");
                }
                Contents::Unreadable(why)
            }
        }
    }

    /// Opens a disk to read.
    pub(super) fn open(&self, device: &Device) -> io::Result<Region> {
        let file = Arc::new(File::open(self.real(&device.path))?);
        let whole = Region::whole(file)?;
        // It may have become another one since it was looked at.
        whole.slice(0, device.size.min(whole.len()))
    }

    /// What others found out: udev of the file systems, the kernel of the
    /// partitions, whose tables may be of a kind we do not read.
    fn known(&self, device: &Device) -> Option<Contents> {
        let blocks = self.blocks().ok()?;
        let block = device_at(self, &blocks, &device.path)?;
        let holds = |number| holds_by_udev(&Properties::of(&self.real("/run"), number));
        let mut parts: Vec<Part> = blocks
            .partitions(&block.name)
            .filter_map(|part| {
                Some(Part {
                    number: part.partition.as_ref()?.0,
                    bytes: part.size,
                    name: String::new(),
                    holds: holds(part.number),
                })
            })
            .collect();
        parts.sort_by_key(|part| part.number);
        match parts.is_empty() {
            false => Some(Contents::Partitions(parts)),
            true => Some(Contents::FileSystem(holds(block.number)?)),
        }
    }
}

/// Why a disk cannot be read, and what to do.
fn unreadable(device: &Device, error: &io::Error) -> String {
    let path = device.path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied if geteuid().is_root() => {
            format!("{path} may not be read even by root: a container, or a policy, forbids it")
        }
        io::ErrorKind::PermissionDenied => format!(
            "{path} may not be read: run this with sudo, or as a member of the group that \
             `ls -l {path}` shows (often `disk`)"
        ),
        _ => format!("reading {path}: {error}"),
    }
}

/// What udev says that a device holds.
pub(super) fn holds_by_udev(udev: &Properties) -> Option<Holds> {
    Some(Holds {
        kind: udev.get("ID_FS_TYPE")?.to_owned(),
        label: udev.text("ID_FS_LABEL"),
    })
}

impl Holds {
    pub(super) fn unlabelled(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            label: None,
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Nothing => f.write_str("nothing that is recognised"),
            Contents::Node {
                cluster,
                node,
                data,
            } => {
                let data = if *data { ", with a data partition" } else { "" };
                write!(f, "node {node} of the cluster {cluster}{data}")
            }
            Contents::Partitions(parts) => {
                let s = if parts.len() == 1 { "" } else { "s" };
                write!(f, "{} partition{s}", parts.len())?;
                for (at, part) in parts.iter().take(SHOWN).enumerate() {
                    write!(f, "{}{part}", if at == 0 { ": " } else { ", " })?;
                }
                let more = if parts.len() > SHOWN { ", ..." } else { "" };
                f.write_str(more)
            }
            Contents::FileSystem(holds) => write!(f, "{holds}, no partitions"),
            Contents::Unreadable(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holds {
            Some(holds) => write!(f, "{holds}")?,
            None => f.write_str("unknown")?,
        }
        let labelled = self.holds.as_ref().is_some_and(|held| held.label.is_some());
        if !labelled && !self.name.is_empty() {
            write!(f, " \"{}\"", self.name)?;
        }
        write!(f, " {}", Bytes(self.bytes).short())
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind.as_str() {
            "LVM2_member" => "part of an LVM volume group",
            "zfs_member" => "part of a ZFS pool",
            "linux_raid_member" => "part of a RAID array",
            "crypto_LUKS" => "LUKS",
            kind => kind,
        })?;
        match &self.label {
            Some(label) => write!(f, " \"{label}\""),
            None => Ok(()),
        }
    }
}
