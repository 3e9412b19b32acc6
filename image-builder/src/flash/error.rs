//! What goes wrong on a disk, and where.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::progress::Interrupted;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Clearing the disk's beginning and end, before anything else.
    Clearing,
    /// Telling the disk what is not needed.
    Discarding,
    /// Reading what is to be written.
    Reading,
    /// Writing.
    Writing,
    /// Zeroing what is in use and empty.
    Zeroing,
    /// Waiting for the disk to have it all on its medium.
    Syncing,
    /// Reading back.
    Verifying,
    /// Writing the disk's beginning, after everything else.
    Finishing,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Clearing => "clearing the first and the last MiB",
            Stage::Discarding => "discarding what is not needed",
            Stage::Reading => "reading what is to be written",
            Stage::Writing => "writing",
            Stage::Zeroing => "zeroing",
            Stage::Syncing => "waiting for the disk to finish",
            Stage::Verifying => "reading back",
            Stage::Finishing => "writing the first MiB",
        })
    }
}

/// What was found in place of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Zeros: the write never arrived.
    Zeros,
    /// The right bytes, so much further on (or back) than they should be.
    Shifted(i64),
    /// Something else: what was there before, perhaps.
    Other,
    /// Reading once more gave the right bytes.
    Unsteady,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Zeros => f.write_str(
                "zeros, so the write never arrived: the disk may be smaller than it says, or the adapter loses writes",
            ),
            Pattern::Shifted(by) => write!(
                f,
                "the right bytes, but {by} bytes off: the adapter mixes up addresses; use another one"
            ),
            Pattern::Other => f.write_str(
                "other bytes, perhaps what was there before: try another cable, port or adapter, and `usb-storage.quirks` if it is on USB",
            ),
            Pattern::Unsteady => f.write_str(
                "the right bytes when read once more: the link is not steady; try another cable or port",
            ),
        }
    }
}

/// Why a disk does not hold what it should. Offsets and lengths are in bytes.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The disk refused.
    #[error("{stage} at byte {offset}: the disk says: {error}")]
    Disk {
        /// What was being done.
        stage: Stage,
        /// Where.
        offset: u64,
        /// What the kernel says.
        error: io::Error,
    },
    /// What is to be written cannot be read.
    #[error("reading what is to be written at byte {offset}: {error}")]
    Content {
        /// Where it belongs.
        offset: u64,
        /// What the kernel says.
        error: io::Error,
    },
    /// It reads back otherwise than it was written.
    #[error("{len} bytes at {offset} do not read back as they were written; there are {pattern}")]
    Mismatch {
        /// The first wrong byte.
        offset: u64,
        /// From there to the last wrong byte nearby.
        len: u64,
        /// What is there.
        pattern: Pattern,
    },
    /// It has fewer bytes than it says.
    #[error(
        "what was written to byte {offset} is not there: the disk is smaller than the {len} bytes it claims, or dying; do not use it"
    )]
    Capacity {
        /// Where a mark was lost.
        offset: u64,
        /// What it claims.
        len: u64,
    },
    /// No answer.
    #[error(
        "{stage} at byte {offset}: no answer for {} s; unplug the disk, and try another cable, port or adapter", waited.as_secs()
    )]
    Stalled {
        /// What was being done.
        stage: Stage,
        /// Where.
        offset: u64,
        /// How long.
        waited: Duration,
    },
    /// Stopped by the user.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl FlashError {
    /// For `map_err`.
    pub(super) fn disk(stage: Stage, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Disk {
            stage,
            offset,
            error,
        }
    }
}

/// What is left of the disk after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// Its first MiB is empty or was about to be: nothing boots from it, and what it held is gone.
    Unbootable,
    /// It would not even take zeros any more.
    Unknown,
}

impl fmt::Display for Aftermath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aftermath::Unbootable => {
                "the disk has no partition table now and does not boot; write it again"
            }
            Aftermath::Unknown => {
                "the disk takes no more writes: it may look complete and is not; do not boot from it"
            }
        })
    }
}

/// A disk that was not written, and what is left of it.
#[derive(Debug, thiserror::Error)]
#[error("{error}\n{aftermath}")]
pub struct Failed {
    /// Why.
    #[source]
    pub error: FlashError,
    /// What is left.
    pub aftermath: Aftermath,
}
