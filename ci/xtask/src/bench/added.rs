//! What a node adds to its base, found by foreign tools that look at both. Not asked of `imgbuild`:
//! the peers are to add what is there, not what it says is there.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::boot::AddedBoot;
use super::image::Parts;
use super::root::AddedRoot;
use crate::cmd::Cmd;

/// The difference between two disks, ready to be added to the one by other means.
pub(super) struct Added {
    pub(super) parts: Parts,
    pub(super) boot: AddedBoot,
    pub(super) root: AddedRoot,
    archive: PathBuf,
}

impl Added {
    /// What `node` has and `base` has not, kept in `dir`.
    pub(super) fn between(base: &Path, node: &Path, dir: &Path) -> Result<Added> {
        let parts = Parts::of(node)?;
        ensure!(
            parts == Parts::of(base)?,
            "the ready base and the node have different tables"
        );
        let (in_boot, in_root) = (dir.join("boot"), dir.join("root"));
        for folder in [&in_boot, &in_root] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let [before, after] = [base, node].map(|image| parts.boot.for_mtools(image));
        let boot = AddedBoot::between(&before, &after, &in_boot)?;
        let [before, after] = [base, node].map(|image| parts.root.for_e2fsprogs(image));
        let root = AddedRoot::between(&before, &after, &in_root)?;
        let archive = dir.join("archive");
        Cmd::new("tar")
            .arg("-cPf")
            .arg(&archive)
            .arg(&in_root)
            .args(&boot.files)
            .run()?;
        Ok(Added {
            parts,
            boot,
            root,
            archive,
        })
    }

    /// Every added file in one.
    pub(super) fn archive(&self) -> &Path {
        &self.archive
    }

    /// Fails unless an image has the same files: a peer that did less would be no peer.
    pub(super) fn expect_in(&self, image: &Path, scratch: &Path) -> Result<()> {
        self.boot
            .expect_in(&self.parts.boot.for_mtools(image), scratch)?;
        self.root.expect_in(&self.parts.root.for_e2fsprogs(image))
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Added { boot, root, .. } = self;
        let bytes = boot.bytes + root.bytes;
        write!(
            f,
            "{} entries in the root and {} files in the boot partition, {} KiB",
            root.entries,
            boot.files.len(),
            bytes / 1024
        )
    }
}
