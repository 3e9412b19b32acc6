//! What is on a disk, by its bytes alone. Of the disk's own word nothing is
//! believed that would take long or much memory.

use std::io;

use node_config::paths;

use super::{Contents, Holds, Part, magic, words};
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
fn holds(partition: &Region) -> io::Result<Option<Holds>> {
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
            kind: generation(&superblock.features()).to_owned(),
            label: words(superblock.label()),
        })),
        Err(Ext4Error::Io(error)) => Err(error),
        Err(Ext4Error::NotExt4) => Ok(magic::other(region)?.map(Holds::unlabelled)),
        Err(_) => Ok(Some(Holds::unlabelled("ext4"))),
    }
}

/// One superblock for three generations (libblkid's `ext.c`, without the rarer
/// features): extents came with the last, the journal with the one before.
fn generation(features: &[String]) -> &'static str {
    let has = |name: &str| features.iter().any(|feature| feature == name);
    match () {
        () if has("extent") || has("64bit") || has("flex_bg") => "ext4",
        () if has("has_journal") => "ext3",
        () => "ext2",
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
