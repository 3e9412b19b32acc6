//! Reading an ext4 file system, by a reader that shares no code with the
//! writer.

use anyhow::{Context as _, ensure};
use ext4_view::{Ext4, Ext4Error, FileType, Metadata};

use crate::io::ReadAt;
use crate::overlay::Kind;

/// An ext4 file system to look into. Paths are absolute; links are followed
/// inside the image.
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
    /// When the file system is damaged, or the path is a directory.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let what = || format!("reading {path} in the root file system");
        let Some(metadata) = missing(self.ext4.metadata(path)).with_context(what)? else {
            return Ok(None);
        };
        self.check_len(&metadata).with_context(what)?;
        missing(self.ext4.read(path)).with_context(what)
    }

    /// A file to be read in order. A final link is followed.
    ///
    /// # Errors
    /// When there is none, or the file system is damaged.
    pub fn open_file(&self, path: &str) -> anyhow::Result<impl std::io::Read> {
        let what = || format!("opening {path} in the root file system");
        self.ext4.open(path).with_context(what)
    }

    /// The reader makes room for what an inode says before it looks for it. What
    /// we read is no sparse file: more than the partition holds is damage.
    fn check_len(&self, metadata: &Metadata) -> anyhow::Result<()> {
        let len = Metadata::len(metadata);
        ensure!(
            len <= self.len,
            "it has {len} bytes, more than its file system"
        );
        Ok(())
    }

    /// What lies at a path, `None` if nothing does. A final link is not followed.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn entry(&self, path: &str) -> anyhow::Result<Option<Entry>> {
        let what = || format!("looking at {path} in the root file system");
        let Some(metadata) = missing(self.ext4.symlink_metadata(path)).with_context(what)? else {
            return Ok(None);
        };
        let kind = match metadata.file_type() {
            FileType::Regular => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => {
                self.check_len(&metadata).with_context(what)?;
                let target = self.ext4.read_link(path).with_context(what)?;
                Kind::Symlink(target.display().to_string())
            }
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
        let Some(entries) = missing(self.ext4.read_dir(path)).with_context(what)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.with_context(what)?.file_name().display().to_string();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// `None` where the path, or a directory on it, does not exist.
fn missing<T>(result: Result<T, Ext4Error>) -> Result<Option<T>, Ext4Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Ext4Error::NotFound) => Ok(None),
        Err(error) => Err(error),
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
