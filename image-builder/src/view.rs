//! A whole image to look into: both file systems, read only.

use crate::bootfs::BootFs;
use crate::io::Region;
use crate::overlay::{BaseView, Kind, Part};
use crate::rootfs::RootView;

/// The boot and the root file system of one image.
pub struct ImageView {
    boot: BootFs<Region>,
    root: RootView,
}

impl ImageView {
    /// Opens both file systems.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn open(boot: Region, root: Region) -> anyhow::Result<Self> {
        Ok(Self {
            boot: BootFs::open(boot, 0)?,
            root: RootView::open(root)?,
        })
    }

    /// The boot file system.
    pub fn boot(&self) -> &BootFs<Region> {
        &self.boot
    }

    /// The root file system.
    pub fn root(&self) -> &RootView {
        &self.root
    }
}

/// What the image has at a path cannot be read: it is damaged, its links lead in a
/// circle, or it is of another kind than every good image has there.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unreadable(#[from] anyhow::Error);

impl BaseView for ImageView {
    fn read(&self, part: Part, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let content = match part {
            Part::Boot => self.boot.read(path),
            Part::Root => self.root.read(path),
        };
        Ok(content.map_err(Unreadable)?)
    }

    fn kind(&self, part: Part, path: &str) -> anyhow::Result<Option<Kind>> {
        let kind = match part {
            Part::Boot => self.boot.kind(path),
            Part::Root => self.root.entry(path).map(|entry| Some(entry?.kind)),
        };
        Ok(kind.map_err(Unreadable)?)
    }

    fn list(&self, part: Part, path: &str) -> anyhow::Result<Vec<String>> {
        let names = match part {
            Part::Boot => self.boot.entries(path).map(|entries| {
                let names = entries.into_iter().map(|entry| entry.name);
                names.collect()
            }),
            Part::Root => self.root.list(path),
        };
        Ok(names.map_err(Unreadable)?)
    }
}
