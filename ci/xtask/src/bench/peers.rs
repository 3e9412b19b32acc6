//! The peers: the same disk by standard tools.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::added::Added;
use super::race::Contestant;
use crate::cmd::Cmd;

/// What both start from, and where they work.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) ready: &'a Path,
    pub(super) added: &'a Added,
    pub(super) dir: &'a Path,
}

impl Task<'_> {
    /// The image that a peer makes.
    pub(super) fn image(self) -> PathBuf {
        self.dir.join("peer.img")
    }

    fn copy_base(self) -> Result<()> {
        Cmd::new("cp")
            .arg("--sparse=always")
            .arg(self.ready)
            .arg(self.image())
            .run()
    }
}

/// Copies the ready base, and the added files beside it: what no way of composing can do without.
pub(super) struct Copy<'a>(pub(super) Task<'a>);

impl Copy<'_> {
    fn files(&self) -> PathBuf {
        self.0.dir.join("peer-added")
    }
}

impl Contestant for Copy<'_> {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.0.image(), self.files()]
    }

    fn run(&self) -> Result<()> {
        self.0.copy_base()?;
        // One file: a hundred would cost a hundred fsyncs, and flatter us.
        Cmd::new("cp")
            .arg(self.0.added.archive())
            .arg(self.files())
            .run()?;
        Cmd::new("sync")
            .arg(self.0.image())
            .arg(self.files())
            .arg(self.0.dir)
            .run()
    }
}

/// Copies the ready base and changes the copy, as well as that can be done: one debugfs for the
/// whole root, and no mtool twice.
pub(super) struct Pipeline<'a>(pub(super) Task<'a>);

impl Contestant for Pipeline<'_> {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.0.image()]
    }

    fn run(&self) -> Result<()> {
        let Task { added, dir, .. } = self.0;
        let image = self.0.image();
        let boot = added.parts.boot.for_mtools(&image);
        let root = added.parts.root.for_e2fsprogs(&image);
        self.0.copy_base()?;
        Cmd::new("debugfs")
            .args(["-w", "-f"])
            .arg(added.root.script())
            .arg(root)
            .run()?;
        if !added.boot.gone.is_empty() {
            Cmd::new("mdel")
                .args(["-i", &boot])
                .args(&added.boot.gone)
                .run()?;
        }
        Cmd::new("mcopy")
            .args(["-o", "-i", &boot])
            .args(&added.boot.files)
            .arg("::/")
            .run()?;
        Cmd::new("sync").arg(image).arg(dir).run()
    }
}
