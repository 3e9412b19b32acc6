//! Which partition is which, by what is in them: types and names differ
//! between the makers of images.

use super::BaseError;
use crate::bootfs::{self, BootFs, looks_like_fat};
use crate::io::{ReadAt as _, Region};
use crate::layout::{Partition, Table};
use crate::rootfs::{Ext4Error, Superblock};

/// The two partitions of a disk we work with, checked.
#[derive(Debug, Clone)]
pub struct Partitions {
    /// The whole table.
    pub table: Table,
    /// The FAT32 partition.
    pub boot: Region,
    /// The ext4 partition.
    pub root: Region,
    /// The ext4 partition's superblock.
    pub superblock: Superblock,
}

/// Finds the FAT and the ext4 partition of a disk image and checks both. One of
/// each kind is wanted; on a disk of ours the `data` partition does not count.
///
/// # Errors
/// When a kind is missing or there are two of it, or one cannot be used.
pub fn find_partitions(image: &Region) -> Result<Partitions, BaseError> {
    let table = Table::read(image)?;
    let mut fat = Vec::new();
    let mut ext4 = Vec::new();
    let mut words = Vec::new();
    for partition in table
        .partitions
        .iter()
        .filter(|partition| partition.name != "data")
    {
        let region = image
            .slice(partition.offset, partition.len)
            .map_err(|error| BaseError::Root(Ext4Error::Io(error)))?;
        words.push(format!(
            "partition {} holds {}",
            partition.number,
            content(&region, partition)
        ));
        match Superblock::read(&region) {
            Err(Ext4Error::NotExt4) => {}
            _ => {
                ext4.push(region);
                continue;
            }
        }
        if looks_like_fat(&region) {
            fat.push(region);
        }
    }
    let words = words.join(", ");
    let boot = single(fat, "FAT", &words)?;
    let root = single(ext4, "ext4", &words)?;
    bootfs::check(&boot)?;
    BootFs::open(boot.clone(), 0)?;
    let superblock = Superblock::read(&root)?;
    superblock.check(root.len())?;
    Ok(Partitions {
        table,
        boot,
        root,
        superblock,
    })
}

fn single(mut found: Vec<Region>, kind: &'static str, words: &str) -> Result<Region, BaseError> {
    match (found.pop(), found.len()) {
        (Some(region), 0) => Ok(region),
        (last, more) => Err(BaseError::Candidates {
            kind,
            found: more + usize::from(last.is_some()),
            partitions: words.to_owned(),
        }),
    }
}

fn content(region: &Region, partition: &Partition) -> &'static str {
    match Superblock::read(region) {
        Ok(_) => "ext4",
        Err(Ext4Error::NotExt4) if looks_like_fat(region) => "FAT",
        Err(Ext4Error::NotExt4) if partition.len < 1024 => "nothing",
        Err(Ext4Error::NotExt4) => "something else",
        Err(_) => "a damaged ext4",
    }
}
