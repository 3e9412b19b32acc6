//! Changes on the running root and the boot partition, one by one. The same that the
//! builder makes in an image, with the same rules: links among a path's directories
//! are followed, missing directories are root's, a file takes a link's place.

use node_config::links::{self, Last};
use node_config::seed::{Change, Index, Part, What, is_of_root};
use node_config::{Seed, paths};

use super::find::Trouble;
use crate::system::{Entry, Kind, System};

/// Bytes of the bundle that are held at a time.
const PART: u64 = 256 << 10;

/// What a new file is called until it is complete, in its own directory. Always the
/// same, so that what a cut leaves is written over; and not longer for a long name.
const BESIDE: &str = ".imgbuild-seed";

/// Makes all changes. The last makes it a node, once all others are on the disk.
pub(super) fn all(sys: &dyn System, seed: &Seed, index: &Index) -> Result<(), Trouble> {
    let mut at = seed.bundle.index;
    let Some((node, others)) = index.changes().split_last() else {
        return Ok(());
    };
    for change in others {
        at += one(sys, change, at)?;
    }
    sys.sync()?;
    one(sys, node, at)?;
    Ok(sys.sync()?)
}

/// Makes one change; what of the bundle was its own.
fn one(sys: &dyn System, change: &Change, at: u64) -> Result<u64, Trouble> {
    let path = &real(sys, change.part, &change.path)?;
    let there = sys.entry(path)?;
    match &change.what {
        What::File {
            mode,
            uid,
            gid,
            len,
            sha256,
        } => {
            let attributes = match change.part {
                Part::Root => Some((*mode, *uid, *gid)),
                Part::Boot => None,
            };
            if !is_file(sys, path, there, attributes, sha256)? {
                put(sys, path, attributes, at, *len)?;
            }
            return Ok(*len);
        }
        What::Dir { mode, uid, gid } => dir(sys, path, there, (*mode, *uid, *gid))?,
        What::Link { to } => link(sys, path, there, to)?,
        What::Remove => {
            if there.is_some() {
                sys.remove_all(path)?;
            }
        }
        What::Rename { to } => {
            let to = real(sys, change.part, to)?;
            match (there, sys.entry(&to)?) {
                // Done before the cut. What is here now was put here after that.
                (_, Some(_)) => {}
                (Some(_), None) => {
                    make_parent(sys, &to)?;
                    sys.rename(path, &to)?;
                }
                (None, None) => return Err(obstacle(path, "it is not there")),
            }
        }
    }
    Ok(0)
}

/// A path of the running system with no link among its directories; one that is
/// still of its own file system.
fn real(sys: &dyn System, part: Part, path: &str) -> Result<String, Trouble> {
    if part == Part::Boot {
        // FAT has no links.
        return Ok(format!("{}{path}", paths::BOOT_DIR));
    }
    let target = |path: &str| {
        Ok::<_, Trouble>(match sys.entry(path)? {
            Some(Entry {
                kind: Kind::Link(target),
                ..
            }) => Some(target),
            _ => None,
        })
    };
    let real = links::follow(path, Last::Kept, target)?;
    match is_of_root(&real) && !real.is_empty() {
        true => Ok(real),
        false => Err(obstacle(path, "a link leads out of the root file system")),
    }
}

/// Whether what is wanted is there.
fn is_file(
    sys: &dyn System,
    path: &str,
    there: Option<Entry>,
    attributes: Option<(u32, u32, u32)>,
    sha256: &str,
) -> Result<bool, Trouble> {
    let Some(there) = there else {
        return Ok(false);
    };
    match there.kind {
        Kind::Dir => return Err(obstacle(path, "there is a directory")),
        Kind::File => {}
        Kind::Link(_) | Kind::Other => return Ok(false),
    }
    let has = (there.mode, there.uid, there.gid);
    Ok(attributes.is_none_or(|wanted| wanted == has)
        && sys.digest(path)?.as_deref() == Some(sha256))
}

fn put(
    sys: &dyn System,
    path: &str,
    attributes: Option<(u32, u32, u32)>,
    at: u64,
    len: u64,
) -> Result<(), Trouble> {
    make_parent(sys, path)?;
    let beside = beside(path);
    // Nobody reads it before it has its owner. Whatever has none is for everybody.
    let mode = attributes.map_or(0o644, |_| 0o600);
    let first = part(sys, at, len.min(PART))?;
    sys.write(&beside, mode, &first)?;
    let mut done = PART;
    while done < len {
        let next = part(sys, at + done, (len - done).min(PART))?;
        sys.append(&beside, mode, &next)?;
        done += PART;
    }
    if let Some((mode, uid, gid)) = attributes {
        // In this order: a change of owner clears set-id bits (chown(2)).
        sys.set_owner(&beside, uid, gid)?;
        sys.set_mode(&beside, mode)?;
    }
    Ok(sys.rename(&beside, path)?)
}

fn part(sys: &dyn System, at: u64, len: u64) -> Result<Vec<u8>, Trouble> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(sys.read_at(paths::BOOT_SEED_BUNDLE, at, len)?)
}

fn dir(
    sys: &dyn System,
    path: &str,
    there: Option<Entry>,
    (mode, uid, gid): (u32, u32, u32),
) -> Result<(), Trouble> {
    match &there {
        Some(there) if there.kind != Kind::Dir => return Err(obstacle(path, "there is a file")),
        Some(there) if (there.mode, there.uid, there.gid) == (mode, uid, gid) => return Ok(()),
        Some(_) => {}
        None => {
            make_parent(sys, path)?;
            sys.make_dir(path, 0o700)?;
        }
    }
    sys.set_owner(path, uid, gid)?;
    Ok(sys.set_mode(path, mode)?)
}

fn link(sys: &dyn System, path: &str, there: Option<Entry>, to: &str) -> Result<(), Trouble> {
    match there.map(|there| there.kind) {
        Some(Kind::Dir) => return Err(obstacle(path, "there is a directory")),
        Some(Kind::Link(target)) if target == to => return Ok(()),
        _ => {}
    }
    make_parent(sys, path)?;
    let beside = beside(path);
    sys.link(&beside, to)?;
    Ok(sys.rename(&beside, path)?)
}

fn beside(path: &str) -> String {
    let (parent, _) = path.rsplit_once('/').unwrap_or_default();
    format!("{parent}/{BESIDE}")
}

fn make_parent(sys: &dyn System, path: &str) -> Result<(), Trouble> {
    match path.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => Ok(sys.make_dir(parent, 0o755)?),
        _ => Ok(()),
    }
}

fn obstacle(path: &str, why: &'static str) -> Trouble {
    Trouble::Obstacle {
        path: path.into(),
        why,
    }
}
