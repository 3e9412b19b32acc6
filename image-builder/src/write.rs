//! From a node or an image to a disk: what is to be on it, and what of the old
//! content stays. The writing itself is `flash`'s; whether this is the right
//! disk was decided before.

mod eject;
mod image;

pub use eject::{Ejected, eject, reread};

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rangemap::RangeSet;
use uuid::Uuid;

use crate::build::Prepared;
use crate::flash::{Content, Disk, HEAD, RECORD_OFFSET, Target as _};
use crate::io::Region;
use crate::layout::{ALIGN, Frame, Span};
use crate::progress::Progress;

/// What is to be on the disk.
pub enum What<'a> {
    /// A node, composed for this disk.
    Node(&'a Prepared<'a>),
    /// An image file, raw.
    Image(&'a Region),
}

impl What<'_> {
    /// The id that a disk with this content has in its table (UEFI 5.3.2, "Disk
    /// GUID"); none with an MBR.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn disk_id(&self) -> std::io::Result<Option<Uuid>> {
        match self {
            What::Node(node) => Ok(Some(node.ids().disk)),
            What::Image(image) => image::disk_id(image),
        }
    }
}

/// The data partition of a disk that was written with the same content before:
/// the same node, or the same image.
///
/// # Errors
/// When the disk or the image cannot be read.
pub fn data_partition(disk: &Disk, what: &What<'_>) -> anyhow::Result<Option<(Span, Uuid)>> {
    let Some(id) = what.disk_id().context("reading the image")? else {
        return Ok(None);
    };
    let reader = disk.reader().context("reading the disk")?;
    let region = Region::new(Arc::new(reader), 0, disk.len()).context("reading the disk")?;
    Ok(image::data_on(&region, id))
}

/// What is to be on a disk of `size` bytes; `keep` is a data partition of it that
/// stays, from [`data_partition`]. `scratch` is a directory for scratch files.
///
/// # Errors
/// When the content does not fit the disk, or cannot be read.
pub fn content(
    what: &What<'_>,
    size: u64,
    keep: Option<(Span, Uuid)>,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> anyhow::Result<Content> {
    let kept = keep.map(|(span, _)| span);
    let frame = Frame { size, kept };
    let (pieces, used, first) = match what {
        What::Node(node) => {
            let disk = node.compose(Some(frame), scratch, progress)?;
            let mut used = disk.used(kept.is_some())?;
            used.insert(0..HEAD);
            (disk.pieces()?, used, ALIGN)
        }
        What::Image(image) => {
            let id = keep.map(|(_, id)| id).unwrap_or_default();
            let image::Imaged {
                pieces,
                used,
                first,
            } = image::content(image, frame, id)?;
            (pieces, used, first)
        }
    };
    let kept: RangeSet<u64> = kept.iter().map(|span| span.offset..span.end()).collect();
    // Where nothing of the content is, behind the head.
    let room = RECORD_OFFSET..first;
    let free = !room.is_empty() && !used.overlaps(&room);
    Ok(Content::new(size, pieces, used, kept, free.then_some(room)))
}
