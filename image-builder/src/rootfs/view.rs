//! Reading an ext4 file system, by a reader that shares no code with the
//! writer.

use anyhow::{Context as _, ensure};
use ext4_view::{Ext4, Ext4Error, FileType, Metadata};

use crate::io::ReadAt;
use crate::overlay::Kind;
use crate::overlay::links::{self, Last};

/// The longest target of a link, in bytes: a path the kernel takes (`PATH_MAX`).
const MAX_TARGET: u64 = 4096;

/// An ext4 file system to look into. Paths are absolute; links are followed
/// inside the image.
///
/// The `ext4-view` crate makes room for what an inode says of its length before
/// it looks for the content, 16 TiB perhaps. So no length reaches it unchecked,
/// and it never follows a link by itself: it is given paths without any.
pub struct RootView {
    ext4: Ext4,
    len: u64,
}

/// What `inspect ls` shows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub len: u64,
}

impl RootView {
    /// Opens the file system in a partition.
    ///
    /// # Errors
    /// When it is not ext4, damaged, or has features the reader does not know.
    pub fn open(partition: impl ReadAt + 'static) -> anyhow::Result<Self> {
        let len = partition.len();
        let ext4 =
            Ext4::load(Box::new(Reader(partition))).context("reading the root file system")?;
        Ok(Self { ext4, len })
    }

    /// A file's content, `None` if there is none. A final link is followed.
    ///
    /// # Errors
    /// When the file system is damaged, or the path is not a file's.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let what = || format!("reading {path} in the root file system");
        let Some((real, metadata)) = self.find(path, Last::Followed).with_context(what)? else {
            return Ok(None);
        };
        let read = || {
            let len = Metadata::len(&metadata);
            // What we read is no sparse file: more is damage.
            ensure!(
                len <= self.len,
                "it has {len} bytes, more than its file system"
            );
            Ok(self.ext4.read(&real)?)
        };
        read().with_context(what).map(Some)
    }

    /// A file to be read in order. A final link is followed.
    ///
    /// # Errors
    /// When there is none, or the file system is damaged.
    pub fn open_file(&self, path: &str) -> anyhow::Result<impl std::io::Read> {
        let what = || format!("opening {path} in the root file system");
        let found = self.find(path, Last::Followed).with_context(what)?;
        let (real, _) = found.context("it is missing").with_context(what)?;
        self.ext4.open(&real).with_context(what)
    }

    /// What lies at a path, `None` if nothing does. A final link is not followed.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn entry(&self, path: &str) -> anyhow::Result<Option<Entry>> {
        self.look(path, Last::Kept)
    }

    /// As [`RootView::entry`], but a final link is followed.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn entry_behind_links(&self, path: &str) -> anyhow::Result<Option<Entry>> {
        self.look(path, Last::Followed)
    }

    fn look(&self, path: &str, last: Last) -> anyhow::Result<Option<Entry>> {
        let what = || format!("looking at {path} in the root file system");
        let Some((real, metadata)) = self.find(path, last).with_context(what)? else {
            return Ok(None);
        };
        let kind = match metadata.file_type() {
            FileType::Regular => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Symlink(self.target(&real, &metadata).with_context(what)?),
            _ => Kind::Other,
        };
        Ok(Some(Entry {
            kind,
            // The reader leaves out the set-id and sticky bits of no type.
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            len: Metadata::len(&metadata),
        }))
    }

    /// The names in a directory, sorted; none if it does not exist.
    ///
    /// # Errors
    /// When the file system is damaged, or the path is not a directory.
    pub fn list(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let what = || format!("listing {path} in the root file system");
        let Some((real, _)) = self.find(path, Last::Followed).with_context(what)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in self.ext4.read_dir(&real).with_context(what)? {
            let name = entry.with_context(what)?.file_name().display().to_string();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Where a path leads, without a link in it, and what is there.
    fn find(&self, path: &str, last: Last) -> anyhow::Result<Option<(String, Metadata)>> {
        let mut missing = false;
        let real = links::follow(path, last, |path| match self.metadata(path)? {
            Some(metadata) if metadata.is_symlink() => self.target(path, &metadata).map(Some),
            found => {
                missing |= found.is_none();
                Ok(None)
            }
        })?;
        if missing {
            return Ok(None);
        }
        let real = if real.is_empty() { "/".into() } else { real };
        Ok(self.metadata(&real)?.map(|metadata| (real, metadata)))
    }

    /// What lies at a path without a link in it; `None` also where something on
    /// the way is no directory.
    fn metadata(&self, path: &str) -> Result<Option<Metadata>, Ext4Error> {
        match self.ext4.symlink_metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn target(&self, path: &str, metadata: &Metadata) -> anyhow::Result<String> {
        let len = Metadata::len(metadata);
        ensure!(
            len <= MAX_TARGET,
            "the link {path} is damaged: its target has {len} bytes, and {MAX_TARGET} is the most"
        );
        Ok(self.ext4.read_link(path)?.display().to_string())
    }
}

struct Reader<R>(R);

impl<R: ReadAt> ext4_view::Ext4Read for Reader<R> {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        self.0.read_exact_at(start_byte, dst).map_err(Into::into)
    }
}
