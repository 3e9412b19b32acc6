//! The recipe: base and overlay become a disk. Nothing is copied here; the
//! result says where each of its bytes lies, and a sink fetches them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rangemap::RangeSet;
use uuid::Uuid;

use crate::bootfs::{self, BootFs};
use crate::ids::NodeIds;
use crate::io::cow::Piece;
use crate::io::stream::same;
use crate::io::{CowRegion, ReadAt as _, Region, Stream};
use crate::layout::{ALIGN, DiskPlan, Frame, FrameError, Span};
use crate::overlay::{Change, Kind, Overlay, Part};
use crate::plan::{Disk, Extent, Size};
use crate::progress::Progress;
use crate::rootfs::{self, RootFs, RootView, Superblock};
use crate::source::{Base, Cache};

/// Free bytes a root must have left after the overlay: logs, host keys and the
/// first boot's own files.
const SLACK: u64 = 64 << 20;

/// A "rest" root that has to grow does so in these steps, so that nodes share
/// the enlarged base.
const GROW_STEP: u64 = 256 << 20;

/// What a node's disk is made of.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The verified base.
    pub base: &'a Base,
    /// What the node adds.
    pub overlay: &'a Overlay,
    /// The node's ids.
    pub ids: NodeIds,
    /// Partition sizes.
    pub disk: Disk,
    /// The disk they are to fill; none for an image file.
    pub frame: Option<Frame>,
    /// The time of every change, in seconds since 1970.
    pub epoch: i64,
}

/// A composed disk: base extents and changed blocks.
#[derive(Debug)]
pub struct Composed {
    /// Where the partitions lie.
    pub layout: DiskPlan,
    table: Vec<Piece>,
    boot: Arc<CowRegion>,
    root: Arc<CowRegion>,
}

/// Composes a node's disk. `scratch` is a directory for the changed blocks, on
/// the file system the result will be on.
///
/// # Errors
/// When the base is too small or too full for the overlay, a change cannot be
/// made, or what was written does not read back.
pub fn compose(
    recipe: Recipe<'_>,
    cache: &Cache,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> anyhow::Result<Composed> {
    let size = root_size(&recipe)?;
    let (root_base, superblock) = recipe.base.grown_root(size, cache, progress)?;
    let layout = plan_disk(&recipe, &root_base)?;
    let table = layout.encode().context("encoding the partition table")?;
    let table = table.into_iter().map(|(offset, bytes)| Piece {
        offset,
        bytes: Arc::<[u8]>::from(bytes).into(),
    });
    progress.step("composing", None);
    let boot = fill_boot(&recipe, &layout, scratch)?;
    let root = fill_root(&recipe, root_base, &superblock, scratch)?;
    check(&recipe, &boot, &root).context("reading back what was written")?;
    Ok(Composed {
        layout,
        table: table.collect(),
        boot,
        root,
    })
}

impl Composed {
    /// The disk's bytes, in order and without overlap; what is in no piece is
    /// zero.
    ///
    /// # Errors
    /// When the base cannot be searched for holes.
    pub fn pieces(&self) -> std::io::Result<Vec<Piece>> {
        let mut pieces = self.table.clone();
        for (region, span) in [
            (&self.boot, self.layout.boot),
            (&self.root, self.layout.root),
        ] {
            pieces.extend(region.pieces()?.into_iter().map(|piece| Piece {
                offset: span.offset + piece.offset,
                ..piece
            }));
        }
        pieces.sort_by_key(|piece| piece.offset);
        Ok(pieces)
    }

    /// What of the disk is in use, in bytes: the table, what the two file
    /// systems use, and the ends of what has no file system yet, where an earlier
    /// owner's must not be found. `kept` says that there is one in the data
    /// partition.
    ///
    /// # Errors
    /// When a file system cannot be read.
    pub fn used(&self, kept: bool) -> anyhow::Result<RangeSet<u64>> {
        let Self { layout, .. } = self;
        let mut used = RangeSet::new();
        used.extend(self.table.iter().map(Piece::range));
        let boot = bootfs::used(&self.boot).context("reading what the boot file system uses")?;
        let root = rootfs::used(&self.root).context("reading what the root file system uses")?;
        for (ranges, span) in [(boot, layout.boot), (root, layout.root)] {
            let on_disk = |range: &Range<u64>| span.offset + range.start..span.offset + range.end;
            used.extend(ranges.iter().map(on_disk));
            used.extend(signatures(span).into_iter().skip(1));
        }
        if let Some(data) = layout.data.filter(|_| !kept) {
            used.extend(signatures(data));
        }
        Ok(used)
    }
}

/// Where file systems, RAID and LVM put what they are recognised by: the first
/// and the last MiB of a partition.
pub fn signatures(span: Span) -> [Range<u64>; 2] {
    let len = span.len.min(Size::MIB);
    [span.offset..span.offset + len, span.end() - len..span.end()]
}

/// A profile whose root cannot hold what it must.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Smaller than the base's own.
    #[error("the profile's root of {root} is smaller than the base's, {base}; write at least that")]
    Base {
        /// What the profile says.
        root: Size,
        /// What the base has.
        base: Size,
    },
    /// No room for what the node adds.
    #[error(
        "the profile's root of {root} has no room for what the node adds ({adds}); write at least {least}"
    )]
    Overlay {
        /// What the profile says.
        root: Size,
        /// What is added, with what a first boot needs.
        adds: Size,
        /// A size that will do.
        least: Size,
    },
}

/// The root's size: the profile's, or what the overlay needs.
fn root_size(recipe: &Recipe<'_>) -> Result<Size, FitError> {
    let Recipe {
        base,
        overlay,
        disk,
        ..
    } = recipe;
    let have = base.superblock.len();
    // Content in whole blocks, and a block for the directory entry and inode.
    let needed = overlay.content_bytes(Part::Root)
        + overlay.changes(Part::Root).count() as u64 * 2 * 4096
        + SLACK;
    // A tenth of what is added to a file system is not free: inode tables, and
    // the twentieth that is kept for root (mke2fs(8), -i and -m).
    let short = needed.saturating_sub(base.superblock.free()) / 9 * 10;
    let root = match disk.root {
        Extent::Fixed(root) => root,
        Extent::Rest => return Ok(Size(have + short.next_multiple_of(GROW_STEP))),
    };
    if root.bytes() < have {
        Err(FitError::Base {
            root,
            base: Size(have),
        })
    } else if root.bytes() - have < short {
        let adds = Size(needed.next_multiple_of(Size::MIB));
        let least = Size((have + short).next_multiple_of(GROW_STEP));
        Err(FitError::Overlay { root, adds, least })
    } else {
        Ok(Size(root.bytes().next_multiple_of(ALIGN)))
    }
}

/// An image file has no "rest": a root of that kind is as large as it must be,
/// and a data partition of that kind is left to whoever knows the disk.
fn plan_disk(recipe: &Recipe<'_>, root: &Region) -> Result<DiskPlan, FrameError> {
    let (boot, root) = (Size(recipe.base.boot.len()), Size(root.len()));
    if let Some(frame) = recipe.frame {
        return DiskPlan::fitted(recipe.ids, boot, root, recipe.disk, frame);
    }
    let data = match recipe.disk.data {
        Some(Extent::Fixed(size)) => Some(size),
        Some(Extent::Rest) | None => None,
    };
    Ok(DiskPlan::new(recipe.ids, boot, root, data))
}

fn fill_boot(
    recipe: &Recipe<'_>,
    layout: &DiskPlan,
    scratch: &Path,
) -> anyhow::Result<Arc<CowRegion>> {
    let region = Arc::new(CowRegion::new(
        recipe.base.boot.clone(),
        recipe.base.boot.len(),
        scratch,
    )?);
    let fs = BootFs::open(Arc::clone(&region), recipe.epoch)?;
    for (path, change) in recipe.overlay.changes(Part::Boot) {
        fs.apply(path, change)?;
    }
    fs.finish()?;
    bootfs::set_identity(&region, recipe.ids.boot_serial, layout.boot.offset)?;
    Ok(region)
}

fn fill_root(
    recipe: &Recipe<'_>,
    base: Region,
    superblock: &Superblock,
    scratch: &Path,
) -> anyhow::Result<Arc<CowRegion>> {
    let len = base.len();
    let region = Arc::new(CowRegion::new(base, len, scratch)?);
    let fs = RootFs::open(Arc::clone(&region), recipe.epoch)?;
    for (path, change) in recipe.overlay.changes(Part::Root) {
        fs.apply(path, change)?;
    }
    fs.finish()?;
    if superblock.uuid_is_cheap() {
        set_root_uuid(&region, recipe.ids.root_fs)?;
    }
    Ok(region)
}

/// The superblock again: its counts changed with the files.
fn set_root_uuid(region: &CowRegion, uuid: Uuid) -> anyhow::Result<()> {
    Superblock::read(region)?.set_uuid(region, uuid)?;
    Ok(())
}

/// Reads every change back, the root with a reader that is not the writer's.
fn check(recipe: &Recipe<'_>, boot: &Arc<CowRegion>, root: &Arc<CowRegion>) -> anyhow::Result<()> {
    let fs = BootFs::open(Arc::clone(boot), 0)?;
    for (path, change) in recipe.overlay.changes(Part::Boot) {
        match change {
            Change::File { content, .. } => {
                let found = fs
                    .read(path)?
                    .with_context(|| format!("boot {path} is missing"))?;
                let wanted = Stream::new(content.blob());
                ensure!(same(found.as_slice(), wanted)?, "boot {path} differs");
            }
            Change::Remove => ensure!(fs.kind(path)?.is_none(), "boot {path} is still there"),
            Change::Dir { .. } | Change::Symlink { .. } | Change::Rename { .. } => {}
        }
    }
    let view = RootView::open(Arc::clone(root))?;
    for (path, change) in recipe.overlay.changes(Part::Root) {
        let entry = view.entry(path)?;
        match (change, entry) {
            (
                Change::File {
                    mode,
                    owner,
                    content,
                    ..
                },
                Some(entry),
            ) => {
                let found = view.open_file(path)?;
                let wanted = Stream::new(content.blob());
                let same = entry.kind == Kind::File
                    && (entry.mode, entry.uid, entry.gid) == (*mode, owner.uid, owner.gid)
                    && same(found, wanted)?;
                ensure!(same, "{path} differs");
            }
            (Change::Dir { mode, owner }, Some(entry)) => {
                let same = entry.kind == Kind::Dir
                    && (entry.mode, entry.uid, entry.gid) == (*mode, owner.uid, owner.gid);
                ensure!(same, "{path} differs");
            }
            (Change::Symlink { target }, Some(entry)) => {
                ensure!(
                    entry.kind == Kind::Symlink(target.clone()),
                    "{path} differs"
                );
            }
            (Change::Remove, None) => {}
            (Change::Rename { to }, entry) => {
                ensure!(view.entry(to)?.is_some(), "{to} is missing");
                let put_again = recipe.overlay.get(Part::Root, path).is_some();
                ensure!(entry.is_none() || put_again, "{path} is still there");
            }
            (Change::Remove, Some(_)) => bail!("{path} is still there"),
            (_, None) => bail!("{path} is missing"),
        }
    }
    Ok(())
}
