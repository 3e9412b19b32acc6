//! Why a disk is not written to, in words: the reason, who holds it, what to do.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Bytes, lossy};

/// Why a disk is not written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", content = "with", rename_all = "snake_case")]
pub enum Refusal {
    /// Another disk has its name now.
    #[error("it is not the disk it was a moment ago: it was plugged out or in; run this again")]
    Changed,
    /// Not a disk at all: `a RAID array`.
    #[error("it is {kind}, not a disk; name a whole disk")]
    NotADisk {
        /// What it is.
        kind: &'static str,
    },
    /// This system runs from it.
    #[error("this system runs from it: it holds {what}; name another disk")]
    SystemDisk {
        /// `/` or what else it holds.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
    },
    /// What this run works with is on it.
    #[error(
        "{what} is on it, which this run needs; move that to another disk, or name another one"
    )]
    Backs {
        /// The working directory, the cache, or an image.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
    },
    /// Mounted.
    #[error(
        "{what} is mounted at {at}{}{}; {}",
        others(*more), within(process.as_deref()), unmount(what, at, *more, process.as_deref())
    )]
    Mounted {
        /// The disk, a partition, or what is made of one.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
        /// Where; the shortest of several places.
        #[serde(serialize_with = "lossy")]
        at: PathBuf,
        /// How many places there are besides.
        more: usize,
        /// A process in the namespace that has it, `4711 (containerd)`; none
        /// if that is our own.
        process: Option<String>,
    },
    /// In use as swap space.
    #[error("{what} is in use as swap space; `swapoff {what}`")]
    Swap {
        /// The disk, a partition, or what is made of one.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
    },
    /// Something is made of it.
    #[error("{what} is held by {holder}, {kind}; {remedy}")]
    Holder {
        /// The disk, a partition, or what is made of one.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
        /// Who holds it.
        holder: String,
        /// What that is.
        kind: String,
        /// What ends it.
        remedy: String,
    },
    /// A part of something that is not put together now.
    #[error(
        "{what} is part of {of}, which may be in use elsewhere or come up again; \
         if nobody needs it, `wipefs --all {what}`"
    )]
    Member {
        /// The disk or a partition.
        #[serde(serialize_with = "lossy")]
        what: PathBuf,
        /// `a ZFS pool`.
        of: &'static str,
    },
    /// No medium.
    #[error("there is no medium in it; insert one, or name another reader")]
    Empty,
    /// Write-protected.
    #[error(
        "it is write-protected; look for a switch on the card or its adapter, \
         or try `blockdev --setrw`; worn-out flash protects itself for good"
    )]
    ReadOnly,
    /// Too small.
    #[error(
        "it is too small: {}, and {} are needed; take a larger disk, or make the partitions \
         smaller in the profile", Bytes(*has), Bytes(*needs)
    )]
    TooSmall {
        /// Bytes needed.
        needs: u64,
        /// Bytes it has.
        has: u64,
    },
    /// Sectors of another size than 512 bytes.
    #[error(
        "its sectors have {0} bytes, and the boot partition is made for 512; \
         `nvme format --lbaf` or `hdparm --set-sector-size 512` can change some disks, \
         another USB adapter others"
    )]
    SectorSize(u32),
    /// Soldered or screwed in.
    #[error("it is an internal disk; if you mean it, say --internal")]
    Internal,
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " and one other place".to_owned(),
        more => format!(" and {more} other places"),
    }
}

fn within(process: Option<&str>) -> String {
    process.map_or_else(String::new, |process| {
        format!(", as process {process} sees it")
    })
}

fn unmount(what: &Path, at: &Path, more: usize, process: Option<&str>) -> String {
    let pid = process.and_then(|process| process.split(' ').next());
    match pid {
        None if more > 0 => format!("`umount --all-targets {}`", what.display()),
        None => format!("`umount {}`", what.display()),
        Some(pid) => format!(
            "end that process, or `nsenter --target {pid} --mount umount {}`",
            quoted(at)
        ),
    }
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+:@".contains(char);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
