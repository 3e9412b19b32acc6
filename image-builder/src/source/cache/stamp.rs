//! By what a file is known to be the same as before, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

/// A file's place and times. Whoever writes to a file changes its ctime, which
/// nobody can set back (inode(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            len: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// As a line, which two stamps share only if they are equal.
    pub(super) fn line(&self) -> String {
        let Self {
            device,
            inode,
            len,
            mtime,
            ctime,
        } = self;
        format!(
            "{device} {inode} {len} {}.{:09} {}.{:09}",
            mtime.0, mtime.1, ctime.0, ctime.1
        )
    }
}
