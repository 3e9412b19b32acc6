//! The peers: the same disk by standard tools.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::added::Added;
use super::image::{Parts, at, mtools_at};
use super::race::Contestant;
use crate::cmd::Cmd;

/// Where the peers make their image; the last one's is compared with ours.
pub(super) const IMAGE: &str = "peer.img";
const FILES: &str = "peer-added";

/// Copies the ready base, and the added files beside it: what no way of composing can do without.
pub(super) struct Copy<'a> {
    pub(super) ready: &'a Path,
    pub(super) added: &'a Added,
    pub(super) dir: &'a Path,
}

impl Contestant for Copy<'_> {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.dir.join(IMAGE), self.dir.join(FILES)]
    }

    fn run(&self) -> Result<()> {
        let (image, files) = (self.dir.join(IMAGE), self.dir.join(FILES));
        Cmd::new("cp")
            .arg("--sparse=always")
            .args([self.ready, &image])
            .run()?;
        // One file: a hundred would cost a hundred fsyncs, and flatter us.
        Cmd::new("cp").args([&self.added.archive(), &files]).run()?;
        Cmd::new("sync").args([&*image, &*files, self.dir]).run()
    }
}

/// Copies the ready base and changes the copy as well as it can be done: one debugfs for all of the root, one call of each mtool.
pub(super) struct Pipeline<'a> {
    pub(super) ready: &'a Path,
    pub(super) added: &'a Added,
    pub(super) dir: &'a Path,
}

impl Contestant for Pipeline<'_> {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.dir.join(IMAGE)]
    }

    fn run(&self) -> Result<()> {
        let image = self.dir.join(IMAGE);
        Cmd::new("cp")
            .arg("--sparse=always")
            .args([self.ready, &image])
            .run()?;
        let parts = Parts::of(self.ready)?;
        let (boot, root) = (
            mtools_at(&image, parts.boot.offset),
            at(&image, parts.root.offset),
        );
        Cmd::new("debugfs")
            .args(["-w", "-f"])
            .arg(self.added.script())
            .arg(root)
            .run()?;
        if !self.added.boot_gone().is_empty() {
            Cmd::new("mdel")
                .args(["-i", &boot])
                .args(self.added.boot_gone())
                .run()?;
        }
        Cmd::new("mcopy")
            .args(["-o", "-i", &boot])
            .args(self.added.boot_files())
            .arg("::/")
            .run()?;
        Cmd::new("sync").args([&*image, self.dir]).run()
    }
}
