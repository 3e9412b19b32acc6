//! The disk of a node, planned and encoded.

use std::collections::BTreeMap;

use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};

use super::SECTOR;
use crate::ids::NodeIds;
use crate::io::{BlockCursor, ReadAt};
use crate::plan::{Disk, Extent, Size};

/// Partitions begin at multiples of this: the erase-block size assumed by
/// Raspberry Pi OS since 2025-05-06, and a multiple of every flash page.
pub const ALIGN: u64 = 8 << 20;

/// Room for the backup table behind the last partition: it needs 33 sectors,
/// and an image that is a whole number of MiB suits every writer.
const TAIL: u64 = 1 << 20;

/// A node's disk: GPT with `bootfs`, `rootfs` and perhaps `data`, as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskPlan {
    /// The disk's ids.
    pub ids: NodeIds,
    /// The boot partition.
    pub boot: Span,
    /// The root partition.
    pub root: Span,
    /// The data partition.
    pub data: Option<Span>,
    /// The whole disk.
    pub size: u64,
}

/// Where a partition lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Length.
    pub len: u64,
}

impl Span {
    /// The byte behind the last one.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// The disk a plan is to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its length in bytes.
    pub size: u64,
    /// A data partition on it that stays.
    pub kept: Option<Span>,
}

/// A disk that a plan does not fit.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is too small.
    #[error(
        "the disk has {has} bytes, and the node needs {needs}; take a larger one, or smaller sizes in the profile's [disk]"
    )]
    Small {
        /// What the plan needs.
        needs: Size,
        /// What the disk has, in bytes.
        has: u64,
    },
    /// What is to be kept is in the way.
    #[error(
        "the data partition at {} cannot be kept: the system needs the disk's first {needs}; make the root smaller, or write without --keep-data and lose the data", Size(kept.offset)
    )]
    Kept {
        /// Where it lies.
        kept: Span,
        /// What the system needs, from the disk's beginning.
        needs: Size,
    },
}

impl DiskPlan {
    /// Places the partitions one after another, each at a multiple of [`ALIGN`].
    pub fn new(ids: NodeIds, boot: Size, root: Size, data: Option<Size>) -> Self {
        let mut next = ALIGN;
        let mut place = |size: Size| {
            let span = Span {
                offset: next,
                len: size.bytes().next_multiple_of(SECTOR),
            };
            next = (span.offset + span.len).next_multiple_of(ALIGN);
            span
        };
        let (boot, root, data) = (place(boot), place(root), data.map(&mut place));
        let last = data.unwrap_or(root);
        let size = (last.offset + last.len).next_multiple_of(1 << 20) + TAIL;
        Self {
            ids,
            boot,
            root,
            data,
            size,
        }
    }

    /// As [`DiskPlan::new`], for a real disk: what is to have the rest gets it,
    /// and the backup table goes to the disk's end. `root` is the root file
    /// system's size; its partition may be larger.
    ///
    /// # Errors
    /// When the disk is too small, or what is kept on it is in the way.
    pub fn fitted(
        ids: NodeIds,
        boot: Size,
        root: Size,
        wanted: Disk,
        on: Frame,
    ) -> Result<Self, FrameError> {
        let fixed = match wanted.data {
            Some(Extent::Fixed(size)) => Some(size),
            // What is kept has its place already.
            Some(Extent::Rest) | None => None,
        };
        let fixed = fixed.filter(|_| on.kept.is_none());
        let mut plan = Self::new(ids, boot, root, fixed);
        // The last usable byte, and what is before it in whole MiB.
        let end = on.size.saturating_sub(TAIL) / Size::MIB * Size::MIB;
        let last = plan.data.unwrap_or(plan.root);
        if last.end() > end {
            return Err(FrameError::Small {
                needs: Size(plan.size),
                has: on.size,
            });
        }
        plan.size = on.size;
        let behind_root = plan.root.end().next_multiple_of(ALIGN);
        if let Some(kept) = on.kept {
            if kept.offset < behind_root || kept.end() > end + TAIL {
                return Err(FrameError::Kept {
                    kept,
                    needs: Size(behind_root),
                });
            }
            plan.data = Some(kept);
        } else if wanted.data == Some(Extent::Rest) {
            if behind_root + ALIGN > end {
                return Err(FrameError::Small {
                    needs: Size(behind_root + ALIGN + TAIL),
                    has: on.size,
                });
            }
            plan.data = Some(Span {
                offset: behind_root,
                len: end - behind_root,
            });
        }
        if wanted.root == Extent::Rest {
            // What is behind the root moves to the disk's end.
            if let (Some(data), None) = (&mut plan.data, on.kept) {
                data.offset = (end - data.len) / ALIGN * ALIGN;
            }
            plan.root.len = plan.data.map_or(end, |data| data.offset) - plan.root.offset;
        }
        Ok(plan)
    }

    /// The table as bytes to be written: `(offset, bytes)` in order, none of
    /// them inside a partition.
    ///
    /// # Errors
    /// When the `gpt` crate refuses the plan.
    pub fn encode(&self) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
        // Basic data: what the Pi 5's bootloader is known to boot from.
        let boot = (
            1,
            "bootfs",
            partition_types::BASIC,
            self.ids.boot,
            self.boot,
        );
        // Plain Linux data, not the "root" and "var" types that
        // systemd-gpt-auto-generator(8) would mount by itself.
        let root = (
            2,
            "rootfs",
            partition_types::LINUX_FS,
            self.ids.root,
            self.root,
        );
        let data = self
            .data
            .map(|span| (3, "data", partition_types::LINUX_FS, self.ids.data, span));
        let entries: BTreeMap<u32, gpt::partition::Partition> = [Some(boot), Some(root), data]
            .into_iter()
            .flatten()
            .map(|(number, name, kind, guid, span)| {
                let entry = gpt::partition::Partition {
                    part_type_guid: kind,
                    part_guid: guid,
                    first_lba: span.offset / SECTOR,
                    last_lba: (span.offset + span.len) / SECTOR - 1,
                    flags: 0,
                    name: name.to_owned(),
                };
                (number, entry)
            })
            .collect();

        let mut disk = BlockCursor::new(Zeros(self.size));
        let sectors = u32::try_from(self.size / SECTOR - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk)?;
        let mut table = GptConfig::new()
            .writable(true)
            .create_from_device(disk, Some(self.ids.disk))?;
        table.update_partitions(entries)?;
        Ok(table.write()?.into_changed())
    }
}

/// An empty disk of this many bytes.
struct Zeros(u64);

impl ReadAt for Zeros {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_exact_at(&self, _: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(0);
        Ok(())
    }
}
