//! What a disk holds, as far as somebody who may lose it has to know. Nothing
//! is written, and of the disk's own word nothing is believed that would take
//! long or much memory.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use nix::unistd::geteuid;
use node_config::paths;
use serde::Serialize;

use super::snapshot::device_at;
use super::{Bytes, Device, System, magic, udev::Properties, words};
use crate::bootfs::{self, BootFs, looks_like_fat};
use crate::io::{ReadAt as _, Region};
use crate::layout::{LayoutError, Scheme, Table};
use crate::overlay::manifest::Manifest;
use crate::rootfs::{Ext4Error, Superblock};

/// Our boot partitions are far smaller; to check a FAT takes a byte of memory
/// for every kilobyte or so.
const BOOT_MAX: u64 = 4 << 30;

/// Our manifests are of some 600 bytes.
const MANIFEST_MAX: u64 = 64 << 10;

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

/// What is on a disk, by its bytes alone.
///
/// # Errors
/// When it cannot be read.
pub fn look(disk: &Region) -> io::Result<Contents> {
    // A disk that cannot be read at all is not one that holds nothing.
    disk.read_exact_at(0, &mut [0; 512][..disk.len().min(512) as usize])?;
    let table = match Table::read_cut(disk) {
        Ok(table) => Some(table),
        Err(LayoutError::Io(error)) => return Err(error),
        Err(_) => None,
    };
    // A FAT and its like begin as a disk with an MBR does.
    if !matches!(&table, Some(table) if matches!(table.scheme, Scheme::Gpt(_)))
        && let Some(holds) = in_boot_sector(disk)?
    {
        return Ok(Contents::FileSystem(holds));
    }
    match table {
        Some(table) => in_partitions(disk, &table),
        None => Ok(elsewhere(disk)?.map_or(Contents::Nothing, Contents::FileSystem)),
    }
}

/// What a partition holds.
///
/// # Errors
/// When it cannot be read.
pub(super) fn holds(partition: &Region) -> io::Result<Option<Holds>> {
    match in_boot_sector(partition)? {
        Some(holds) => Ok(Some(holds)),
        None => elsewhere(partition),
    }
}

fn in_boot_sector(region: &Region) -> io::Result<Option<Holds>> {
    if let Some(kind) = magic::boot_sector(region)? {
        return Ok(Some(Holds::unlabelled(kind)));
    }
    if !looks_like_fat(region) {
        return Ok(None);
    }
    let label = BootFs::open_to_read(region.clone()).ok();
    let label = label.and_then(|fat| words(&fat.label()));
    let kind = "vfat".to_owned();
    Ok(Some(Holds { kind, label }))
}

fn elsewhere(region: &Region) -> io::Result<Option<Holds>> {
    match Superblock::read(region) {
        Ok(superblock) => Ok(Some(Holds {
            kind: "ext4".to_owned(),
            label: words(superblock.label()),
        })),
        Err(Ext4Error::Io(error)) => Err(error),
        Err(Ext4Error::NotExt4) => Ok(magic::other(region)?.map(Holds::unlabelled)),
        Err(_) => Ok(Some(Holds::unlabelled("ext4"))),
    }
}

fn in_partitions(disk: &Region, table: &Table) -> io::Result<Contents> {
    let mut parts = Vec::new();
    let mut manifest = None;
    for partition in &table.partitions {
        let offset = partition.offset.min(disk.len());
        let region = disk.slice(offset, partition.len.min(disk.len() - offset))?;
        let holds = holds(&region)?;
        let is_fat = holds.as_ref().is_some_and(|holds| holds.kind == "vfat");
        if is_fat && manifest.is_none() {
            manifest = node(region);
        }
        parts.push(Part {
            number: partition.number,
            bytes: partition.len,
            name: words(&partition.name).unwrap_or_default(),
            holds,
        });
    }
    Ok(match manifest {
        Some(manifest) => Contents::Node {
            cluster: words(&manifest.cluster.name).unwrap_or_default(),
            node: words(&manifest.node.name).unwrap_or_default(),
            data: parts.iter().any(|part| part.name == "data"),
        },
        None => Contents::Partitions(parts),
    })
}

/// Our manifest, on our boot partition. What is damaged is not ours any more.
fn node(fat: Region) -> Option<Manifest> {
    if fat.len() > BOOT_MAX {
        return None;
    }
    let path = paths::in_boot(paths::BOOT_MANIFEST)?;
    let boot = BootFs::open_to_read(fat.clone()).ok()?;
    // Whether its chains have ends, before one is followed.
    if !bootfs::examine(&fat).ok()?.readable {
        return None;
    }
    if boot.entry(path).ok()??.len > MANIFEST_MAX {
        return None;
    }
    let text = boot.read(path).ok()??;
    Manifest::parse(&String::from_utf8_lossy(&text)).ok()
}

impl Holds {
    fn unlabelled(kind: &str) -> Self {
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
