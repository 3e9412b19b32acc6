//! An image file as a disk's content: its partitions as they are, its table
//! moved to the disk's end.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Context as _;
use rangemap::RangeSet;
use uuid::Uuid;

use crate::bootfs::{self, FatError};
use crate::compose::signatures;
use crate::flash::HEAD;
use crate::io::cow::Piece;
use crate::io::{Blob, ReadAt as _, Region};
use crate::layout::{Frame, FrameError, Partition, SECTOR, Scheme, Span, Table, refit};
use crate::plan::Size;
use crate::rootfs::{self, Ext4Error};

/// The backup table: a header, and 128 entries of 128 bytes (UEFI 5.3.1).
const BACKUP: u64 = 33 * SECTOR;

/// What of a disk an image is.
#[derive(Debug)]
pub(super) struct Imaged {
    /// The bytes, in order and without overlap.
    pub(super) pieces: Vec<Piece>,
    /// What of the disk is in use.
    pub(super) used: RangeSet<u64>,
    /// Where the first partition begins.
    pub(super) first: u64,
}

/// What an image puts on a disk; `data` is the id of the partition that stays.
///
/// # Errors
/// When the image has no table, a file system in it is damaged, or it does not
/// fit the disk.
pub(super) fn content(image: &Region, on: Frame, data: Uuid) -> anyhow::Result<Imaged> {
    let table = Table::read(image)?;
    let ends = table.partitions.iter().map(|p| p.offset + p.len);
    let end = ends.max().unwrap_or(0);
    let first = table.partitions.iter().map(|p| p.offset).min().unwrap_or(0);
    let needs = match table.scheme {
        Scheme::Gpt(_) => end.max(HEAD) + BACKUP,
        Scheme::Mbr(_) => end.max(HEAD),
    };
    if needs > on.size {
        let needs = Size(needs.next_multiple_of(Size::MIB));
        return Err(FrameError::Small {
            needs,
            has: on.size,
        }
        .into());
    }
    if let Some(kept) = on.kept
        && kept.offset < end
    {
        let needs = Size(end.next_multiple_of(Size::MIB));
        return Err(FrameError::Kept { kept, needs }.into());
    }
    let mut used = RangeSet::new();
    used.insert(0..HEAD);
    for partition in &table.partitions {
        let used_of = used_of(image, partition).with_context(|| {
            format!(
                "reading what partition {} of the image uses",
                partition.number
            )
        })?;
        used.extend(used_of);
    }
    // What lies between partitions is somebody's: a loader's, perhaps.
    let data_ranges = image.data().context("searching the image for holes")?;
    let behind_head = data_ranges.iter().map(|range| {
        let stop = range.end.min(end);
        range.start.clamp(HEAD, stop.max(HEAD))..stop.max(HEAD)
    });
    let behind_head: Vec<Range<u64>> = behind_head.filter(|range| !range.is_empty()).collect();
    let inside: RangeSet<u64> = table
        .partitions
        .iter()
        .map(|p| p.offset..p.offset + p.len)
        .collect();
    for range in &behind_head {
        used.extend(inside.gaps(range).collect::<Vec<_>>());
    }

    let mut head = vec![0; HEAD as usize];
    image.read_exact_at(0, &mut head[..HEAD.min(image.len()) as usize])?;
    let mut tail = Vec::new();
    if matches!(table.scheme, Scheme::Gpt(_)) {
        for (offset, bytes) in refit(image, on.size, on.kept.map(|kept| (kept, data)))? {
            match offset < HEAD {
                true => head[offset as usize..][..bytes.len()].copy_from_slice(&bytes),
                false => tail.push(piece(offset, bytes)),
            }
        }
        used.insert(on.size - BACKUP..on.size);
    }
    let mut pieces = vec![piece(0, head)];
    for Range { start, end } in behind_head {
        let bytes = Blob::File(image.slice(start, end - start)?);
        pieces.push(Piece {
            offset: start,
            bytes,
        });
    }
    pieces.extend(tail);
    Ok(Imaged {
        pieces,
        used,
        first,
    })
}

fn piece(offset: u64, bytes: Vec<u8>) -> Piece {
    let bytes = Arc::<[u8]>::from(bytes).into();
    Piece { offset, bytes }
}

/// What of a partition is in use, on the disk: what its file system says. Of an
/// empty one it is both ends, where an earlier owner's must not be found; all of
/// one that we do not know, or whose word counts for nothing because it was
/// copied while in use.
fn used_of(image: &Region, partition: &Partition) -> anyhow::Result<Vec<Range<u64>>> {
    let Partition { offset, len, .. } = *partition;
    let region = image.slice(offset, len)?;
    // Nothing at all is no file system: nobody reads there before there is one.
    if region.data()?.is_empty() {
        let span = Span { offset, len };
        return Ok(signatures(span).into());
    }
    let used = match bootfs::used(&region) {
        Ok(used) => used,
        Err(FatError::Io(error)) => return Err(error.into()),
        Err(_) => match rootfs::used(&region) {
            Ok(used) => used,
            Err(Ext4Error::Io(error)) => return Err(error.into()),
            Err(_) => return Ok(whole(partition)),
        },
    };
    let on_disk = used
        .iter()
        .map(|range| offset + range.start..offset + range.end);
    Ok(on_disk.collect())
}

fn whole(partition: &Partition) -> Vec<Range<u64>> {
    std::iter::once(partition.offset..partition.offset + partition.len).collect()
}

/// The ids an image's table gives its disk, to recognise a disk it was on.
pub(super) fn disk_id(image: &Region) -> io::Result<Option<Uuid>> {
    Ok(match Table::read(image) {
        Ok(Table {
            scheme: Scheme::Gpt(id),
            ..
        }) => Some(id),
        _ => None,
    })
}

/// A data partition that a disk has already: where it lies, and its id.
pub(super) fn data_on(disk: &Region, disk_id: Uuid) -> Option<(Span, Uuid)> {
    let table = Table::read(disk).ok()?;
    if table.scheme != Scheme::Gpt(disk_id) {
        return None;
    }
    let data = table
        .partitions
        .iter()
        .find(|partition| partition.name == "data")?;
    let span = Span {
        offset: data.offset,
        len: data.len,
    };
    Some((span, data.partuuid.parse().ok()?))
}
