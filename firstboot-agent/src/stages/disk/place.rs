//! Where the partitions belong. The same rule by which the builder places them on
//! a disk it knows (`DiskPlan::fitted`; a test there compares the two): whichever
//! tool wrote the image, the disk ends up the same.

use node_config::disk::{self, Data, Extent};

use super::table::{Partition, SECTOR, Table};
use super::trouble::Trouble;

/// Partitions begin at multiples of this.
const ALIGN: u64 = 8 << 20;

/// Room for the second copy of the table, and the step in which the last
/// partition ends.
const MIB: u64 = 1 << 20;

/// Less than this is not worth touching a disk for. It is also what a file system
/// can leave over of its partition, being made of groups of 128 MiB: so a root
/// partition that was grown always has room that its file system shows to lack,
/// and a cut between the two is seen.
pub(super) const GROUP: u64 = 128 << 20;

/// What is in the data partition that the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing: it may be moved.
    Nothing,
    /// Something of ours: it stays where it is.
    Ours,
}

/// The partitions as they are to be: root and data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// The root partition, never smaller than it was.
    pub(super) root: Partition,
    /// The data partition, if there is to be one.
    pub(super) data: Option<Partition>,
}

/// Places root and data on a disk of `size` bytes. `holds` is of the data
/// partition that the table has, if it has one.
pub(super) fn place(
    name: &str,
    size: u64,
    table: &Table,
    want: &disk::Disk,
    root: &Partition,
    holds: Holds,
) -> Result<Places, Trouble> {
    let mut root = *root;
    let have = |data: &Data| table.partitions.iter().find(|of| of.id == data.id).copied();
    let old = want.data.as_ref().and_then(have);
    // Up to what somebody else has put behind it, or to the disk's end.
    let others = table
        .partitions
        .iter()
        .filter(|of| of.offset >= root.end() && want.data.is_none_or(|data| data.id != of.id));
    let last = size.saturating_sub(MIB) / MIB * MIB;
    let end = others.map(|of| of.offset).min().unwrap_or(last).min(last);

    let largest = |root: &Partition, limit: u64| match want.root.size {
        Extent::Fixed(bytes) => bytes
            .next_multiple_of(ALIGN)
            .min(limit.saturating_sub(root.offset)),
        Extent::Rest => limit.saturating_sub(root.offset),
    };
    let grow = |root: &mut Partition, limit: u64| {
        let len = largest(root, limit);
        if len >= root.len.saturating_add(GROUP) {
            root.len = len;
        }
    };
    let (wanted, old) = match (want.data, old) {
        (None, _) => {
            grow(&mut root, end);
            return Ok(Places { root, data: None });
        }
        (Some(_), Some(kept)) if holds == Holds::Ours => {
            // Behind it there is the rest of the disk, perhaps: it stays unused.
            if kept.offset >= root.end() {
                grow(&mut root, kept.offset.min(end));
            }
            let data = Some(kept);
            return Ok(Places { root, data });
        }
        (Some(wanted), old) => (wanted, old),
    };

    let number = old.map_or(table.partitions.len() as u32 + 1, |old| old.number);
    let has = end.saturating_sub(root.end());
    let no_room = |needs: u64| Trouble::NoRoom {
        disk: name.into(),
        needs,
        has,
    };
    let data = match wanted.size {
        Extent::Rest => {
            grow(&mut root, end.saturating_sub(ALIGN) / ALIGN * ALIGN);
            let offset = root.end().next_multiple_of(ALIGN);
            if offset.saturating_add(ALIGN) > end {
                return Err(no_room(ALIGN));
            }
            (offset, end - offset)
        }
        Extent::Fixed(bytes) => {
            let len = bytes.next_multiple_of(SECTOR);
            let highest = end.saturating_sub(len) / ALIGN * ALIGN;
            if highest < root.end() {
                return Err(no_room(len));
            }
            let before = root.len;
            grow(&mut root, highest);
            let offset = match (want.root.size, old) {
                (Extent::Fixed(_), _) => root.end().next_multiple_of(ALIGN),
                // Nothing was to be gained by a move.
                (Extent::Rest, Some(old))
                    if root.len == before && old.len == len && old.offset >= root.end() =>
                {
                    old.offset
                }
                (Extent::Rest, _) => highest,
            };
            (offset, len)
        }
    };
    let data = Partition {
        number,
        id: wanted.id,
        offset: data.0,
        len: data.1,
    };
    Ok(Places {
        root,
        data: Some(data),
    })
}
