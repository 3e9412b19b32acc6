//! Whether there is a seed for this disk, all of it.

use node_config::links::LinkLoop;
use node_config::seed::{self, Bundle, Index, IndexError, MAX_SEED, SeedError};
use node_config::{Seed, paths};

use crate::status::is_mount_point;
use crate::supervisor::authority::sha256;
use crate::system::light::Sign;
use crate::system::{System, SystemError, read_text};

/// A seed that is whole, and for this disk.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) seed: Seed,
    pub(super) index: Index,
}

/// Why the disk is no node yet, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "this disk is the release {release} and has no node. Switch off, plug the disk into your \
         machine and run `imgbuild seed NODE DIR --release IMAGE`, DIR being where its first \
         partition is mounted"
    )]
    NoSeed { release: String },
    #[error(
        "the boot partition is not mounted, so there is no place for a seed; look at `systemctl status boot-firmware.mount`"
    )]
    NotMounted,
    #[error("the seed cannot be used: {0}; make it anew with `imgbuild seed`")]
    Seed(#[from] SeedError),
    #[error(
        "the seed of {node} is not all there: its bundle has {found} of {len} bytes; copy both files again, imgbuild-seed.json last"
    )]
    Cut { node: String, found: u64, len: u64 },
    #[error(
        "the seed of {node} was changed on its way: its bundle has another sha256 than imgbuild-seed.json says; copy both files again"
    )]
    Changed { node: String },
    #[error(
        "the seed of {node} is for {wanted}, and this disk is the release {release}; name the image of this one with --release"
    )]
    OtherRelease {
        node: String,
        wanted: String,
        release: String,
    },
    #[error("the seed of {node} is not applied: {why}; make it anew with `imgbuild seed`")]
    Index { node: String, why: IndexError },
    #[error(
        "another seed than this one was begun on this disk, and some of it is on it; write the release to the disk again, and then the seed"
    )]
    Begun,
    #[error(
        "the seed stops at {path}: {why}; write the release to the disk again, and then the seed"
    )]
    Obstacle { path: String, why: &'static str },
    #[error("the seed stops: {0}")]
    Loop(#[from] LinkLoop),
    #[error("the seed stops, and is tried again: {0}")]
    System(#[from] SystemError),
}

impl Trouble {
    pub(super) fn sign(&self) -> Sign {
        match self {
            Trouble::NoSeed { .. } => Sign::Empty,
            Trouble::System(_) => Sign::Waiting,
            _ => Sign::Stopped,
        }
    }
}

/// Looks for a seed.
pub(super) fn look(sys: &dyn System) -> Result<Found, Trouble> {
    let description = sys.read(paths::RELEASE)?.unwrap_or_default();
    let release = seed::release_name(&description).map_err(SeedError::from)?;
    let mounts = read_text(sys, "/proc/self/mountinfo")?;
    if !is_mount_point(&mounts, paths::BOOT_DIR) {
        return Err(Trouble::NotMounted);
    }
    // A name alone is what a copy begins with.
    let there = sys.entry(paths::BOOT_SEED)?;
    if !there.is_some_and(|entry| (1..=MAX_SEED).contains(&entry.len)) {
        return Err(Trouble::NoSeed { release });
    }
    let text = sys.read(paths::BOOT_SEED)?.unwrap_or_default();
    let seed = Seed::parse(&text)?;
    let node = || seed.node.clone();
    if seed.release.sha256 != sha256(&description) {
        let wanted = match seed.release.name == release {
            true => format!("another release of that name, {release}"),
            false => format!("the release {}", seed.release.name),
        };
        return Err(Trouble::OtherRelease {
            node: node(),
            wanted,
            release,
        });
    }
    let Bundle {
        index,
        len,
        sha256: digest,
    } = &seed.bundle;
    let found = sys.entry(paths::BOOT_SEED_BUNDLE)?.map_or(0, |of| of.len);
    if found != *len {
        return Err(Trouble::Cut {
            node: node(),
            found,
            len: *len,
        });
    }
    if sys.digest(paths::BOOT_SEED_BUNDLE)?.as_ref() != Some(digest) {
        return Err(Trouble::Changed { node: node() });
    }
    let bytes = usize::try_from(*index).unwrap_or(usize::MAX);
    let text = sys.read_at(paths::BOOT_SEED_BUNDLE, 0, bytes)?;
    let index =
        Index::parse(&text, len - index).map_err(|why| Trouble::Index { node: node(), why })?;
    Ok(Found { seed, index })
}
