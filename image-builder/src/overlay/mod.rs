//! What a node adds to its base, as a value: a sorted list of changes to the
//! boot and the root file system. Pure: rendered from a plan and a view of the
//! base, compared and tested as text, applied by `bootfs` and `rootfs`.

mod k3s;
pub mod manifest;

mod accounts;
mod agent;
mod block;
mod cmdline;
mod content;
mod extra;
mod firmware;
mod homes;
mod locale;
mod look;
mod mounts;
mod network;
mod packages;
mod payload;
pub mod release;
mod render;
mod ssh;
mod stock;
mod system;
mod table;
mod text;
mod units;
mod users;

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use content::Content;
pub use k3s::Entrance;
pub use node_config::links;
pub use node_config::paths::is_normal;
pub use payload::{Payload, PayloadFile};
pub use release::{Carried, ReleaseRequest, render_release};
pub use render::{Rendered, Request, render};
pub(crate) use text::hex;

/// Which file system a change belongs to. Paths in the boot file system are
/// given without its mount point: `/config.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The FAT partition, mounted at `/boot/firmware` on the node.
    Boot,
    /// The ext4 root.
    Root,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Boot => "boot",
            Part::Root => "root",
        })
    }
}

/// What lies at a path of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// A device, socket or pipe.
    Other,
}

/// The base as the overlay's rules see it. `None` and an empty list mean that
/// the path does not exist; an error means that it could not be looked at.
pub trait BaseView {
    /// A file's content; symbolic links are followed.
    ///
    /// # Errors
    /// When the file system cannot be read, or the path is not a file.
    fn read(&self, part: Part, path: &str) -> anyhow::Result<Option<Vec<u8>>>;

    /// What lies at the path; a final symbolic link is not followed.
    ///
    /// # Errors
    /// When the file system cannot be read.
    fn kind(&self, part: Part, path: &str) -> anyhow::Result<Option<Kind>>;

    /// The names in a directory, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// When the file system cannot be read, or the path is not a directory.
    fn list(&self, part: Part, path: &str) -> anyhow::Result<Vec<String>>;
}

/// Numeric user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// The superuser.
    pub const ROOT: Owner = Owner { uid: 0, gid: 0 };
}

/// One change. Applying it twice is the same as applying it once.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// A file with this content, replacing what lies there.
    File {
        /// Permission bits; the boot file system has none.
        mode: u16,
        /// Owner; the boot file system has none.
        owner: Owner,
        /// The bytes.
        content: Content,
        /// Never shown: a private key, a token.
        secret: bool,
    },
    /// A directory with this mode and owner, kept with what is in it if there.
    Dir {
        /// Permission bits.
        mode: u16,
        /// Owner.
        owner: Owner,
    },
    /// A symbolic link, replacing a file or link that lies there.
    Symlink {
        /// The target, as written into the link.
        target: String,
    },
    /// The file, link or directory with everything below it is gone.
    Remove,
    /// What lies here moves to another path of the same file system. Renames
    /// come before every other change.
    Rename {
        /// The new path.
        to: String,
    },
}

/// Changes by part and path. Later calls for the same path replace earlier ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    // Apart: what moves away from a path and what is put there are two changes.
    renames: BTreeMap<(Part, String), Change>,
    changes: BTreeMap<(Part, String), Change>,
}

impl Overlay {
    /// Sets the change at a path, which is absolute and normal: it starts with
    /// a slash and has no empty, `.` or `..` component.
    ///
    /// # Panics
    /// When the path is not; paths from outside are checked where they are read.
    pub fn set(&mut self, part: Part, path: &str, change: Change) {
        assert!(
            is_normal(path),
            "overlay path {path:?} is not absolute and normal"
        );
        let map = match change {
            Change::Rename { .. } => &mut self.renames,
            _ => &mut self.changes,
        };
        map.insert((part, path.to_owned()), change);
    }

    /// A file owned by root.
    pub fn file(&mut self, part: Part, path: &str, mode: u16, content: impl Into<Content>) {
        let change = Change::File {
            mode,
            owner: Owner::ROOT,
            content: content.into(),
            secret: false,
        };
        self.set(part, path, change);
    }

    /// A directory.
    pub fn dir(&mut self, part: Part, path: &str, mode: u16, owner: Owner) {
        self.set(part, path, Change::Dir { mode, owner });
    }

    /// A symbolic link.
    pub fn link(&mut self, part: Part, path: &str, target: &str) {
        self.set(
            part,
            path,
            Change::Symlink {
                target: target.to_owned(),
            },
        );
    }

    /// Takes away what the base has at a path.
    pub fn remove(&mut self, part: Part, path: &str) {
        self.set(part, path, Change::Remove);
    }

    /// The change at a path, if there is one; not what moves away from it.
    pub fn get(&self, part: Part, path: &str) -> Option<&Change> {
        self.changes.get(&(part, path.to_owned()))
    }

    /// Every change in the order to apply them: renames, then the rest by path,
    /// so that a directory comes before what is in it.
    pub fn all(&self) -> impl Iterator<Item = (Part, &str, &Change)> {
        let in_order = self.renames.iter().chain(&self.changes);
        in_order.map(|((part, path), change)| (*part, path.as_str(), change))
    }

    /// The changes of one part, in the order to apply them.
    pub fn changes(&self, part: Part) -> impl Iterator<Item = (&str, &Change)> {
        self.all()
            .filter(move |(of, ..)| *of == part)
            .map(|(_, path, change)| (path, change))
    }

    /// Bytes of file content in one part.
    pub fn content_bytes(&self, part: Part) -> u64 {
        self.changes(part)
            .map(|(_, change)| match change {
                Change::File { content, .. } => content.len(),
                _ => 0,
            })
            .sum()
    }
}

/// A change in one line, without the content: for `Debug` and for listings.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::File {
                mode,
                owner,
                content,
                secret,
            } => {
                write!(
                    f,
                    "file {mode:04o} {}:{} {} bytes",
                    owner.uid,
                    owner.gid,
                    content.len()
                )?;
                if *secret {
                    f.write_str(", secret")
                } else {
                    Ok(())
                }
            }
            Change::Dir { mode, owner } => write!(f, "dir {mode:04o} {}:{}", owner.uid, owner.gid),
            Change::Symlink { target } => write!(f, "link -> {target}"),
            Change::Remove => f.write_str("remove"),
            Change::Rename { to } => write!(f, "rename to {to}"),
        }
    }
}

// Contents hold private keys: `Debug` shows what a listing shows.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self
            .all()
            .map(|(part, path, change)| (format!("{part}:{path}"), change));
        f.debug_map().entries(entries).finish()
    }
}
