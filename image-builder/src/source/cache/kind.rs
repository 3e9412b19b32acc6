//! What lies in the cache.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use serde::Serialize;

use crate::io::Region;
use crate::progress::Progress;
use crate::source::digest;

/// A kind of entry; each has a directory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A base as it is published.
    Download,
    /// What a repository of charts had, the last time it was asked.
    ChartIndex,
    /// An unpacked base.
    RawBase,
    /// A base's root file system at a node's size.
    EnlargedRoot,
}

impl Kind {
    /// All of them, in the order they are made from one another.
    pub const ALL: [Self; 4] = [
        Self::Download,
        Self::ChartIndex,
        Self::RawBase,
        Self::EnlargedRoot,
    ];

    /// The directory's name.
    pub(super) fn dir(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::ChartIndex => "index",
            Self::RawBase => "raw",
            Self::EnlargedRoot => "root",
        }
    }

    /// Bytes that [`Kind::digest`] reads of a file.
    pub(super) fn to_read(self, file: &Metadata) -> u64 {
        match self {
            Self::Download | Self::ChartIndex | Self::RawBase => file.len(),
            Self::EnlargedRoot => file.blocks() * 512,
        }
    }

    /// By what an entry's content is known. A root is mostly holes, so it is
    /// known by what is in them.
    pub(super) fn digest(self, file: &File, progress: &mut dyn Progress) -> io::Result<String> {
        match self {
            Self::Download | Self::ChartIndex | Self::RawBase => {
                digest::sha256(&mut &*file, progress)
            }
            Self::EnlargedRoot => {
                let region = Region::whole(Arc::new(file.try_clone()?))?;
                digest::sha256_of_data(&region, progress)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Download => "download",
            Self::ChartIndex => "chart index",
            Self::RawBase => "raw base",
            Self::EnlargedRoot => "enlarged root",
        })
    }
}
