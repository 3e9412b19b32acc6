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

impl BaseView for ImageView {
    fn read(&self, part: Part, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match part {
            Part::Boot => self.boot.read(path),
            Part::Root => self.root.read(path),
        }
    }

    fn kind(&self, part: Part, path: &str) -> anyhow::Result<Option<Kind>> {
        match part {
            Part::Boot => self.boot.kind(path),
            Part::Root => Ok(self.root.entry(path)?.map(|entry| entry.kind)),
        }
    }

    fn list(&self, part: Part, path: &str) -> anyhow::Result<Vec<String>> {
        match part {
            Part::Boot => Ok(self
                .boot
                .entries(path)?
                .into_iter()
                .map(|entry| entry.name)
                .collect()),
            Part::Root => self.root.list(path),
        }
    }
}
