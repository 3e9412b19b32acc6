//! A Debian arm64 image with the shape of Raspberry Pi OS Lite (trixie, as published in 2026), made from Debian's own packages.
//!
//! Tests compose nodes from it, so it imitates what composing has to deal with: the partition table, the two file systems and their
//! features, the files a builder edits, and the first-boot machinery a builder has to switch off. It is not Raspberry Pi OS: Debian's
//! kernel, no firmware, and stand-ins for Raspberry Pi's own units (`stock/`).
//! The shape is that of the public pi-gen sources; each room names its part.

mod image;
mod lend;
pub(crate) mod machine;
mod packages;
mod shape;
mod stock;
pub(crate) mod tree;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::cache::{self, Entry};
use crate::steps::Steps;

/// The time of everything in the image: 2026-09-15 00:00 UTC, the date of the release whose shape this is.
const EPOCH: u64 = 1_789_430_400;
/// A real image has a random one; this one is fixed so that the image is the same each time.
const DISK_ID: u32 = 0x1f8e_42c6;

/// Every text the image is made by: what changes one of them makes another image.
const RECIPE: &[&str] = &[
    include_str!("mod.rs"),
    include_str!("image.rs"),
    include_str!("lend.rs"),
    include_str!("machine.rs"),
    include_str!("packages.rs"),
    include_str!("shape.rs"),
    include_str!("stock.rs"),
    include_str!("tree.rs"),
];

#[derive(Args)]
pub(crate) struct Request {
    /// Debian release to make the image from
    #[arg(long, value_enum, default_value_t = Suite::Trixie)]
    suite: Suite,
    /// Where to put the link to the finished image [default: out/base/debian-SUITE-arm64.img]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    Trixie,
}

impl Suite {
    pub(crate) fn codename(self) -> &'static str {
        match self {
            Suite::Trixie => "trixie",
        }
    }
}

/// The recipe: packages to a root tree (as root), tree to an image (as anyone), image into the cache, link to it.
pub(crate) fn make(request: &Request) -> Result<()> {
    let steps = Steps::start("base");
    let out = request.out.clone().unwrap_or_else(|| {
        cache::out(&format!(
            "base/debian-{}-arm64.img",
            request.suite.codename()
        ))
    });
    let recipe = [request.suite.codename()].into_iter();
    let recipe = recipe.chain(RECIPE.iter().copied()).chain(stock::texts());
    let entry = Entry::of("base", recipe, image::NAME)?;
    if !entry.is_ready() {
        let room = entry.begin(steps)?;
        machine::build_tree_as_root(request.suite, room.dir(), steps)?;
        image::fill_boot(room.dir())?;
        image::assemble(room.dir(), steps)?;
        image::check(room.dir(), steps)?;
        room.finish()?;
    }
    entry.link_at(&out)?;
    steps.say(format_args!("{} is ready", out.display()));
    Ok(())
}
