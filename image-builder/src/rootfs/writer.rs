//! Changing files in an ext4 file system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};
use fs_ext4::block_io::BlockDevice;
use fs_ext4::inode::Inode;
use fs_ext4::runtime::Runtime;
use fs_ext4::{Error, Filesystem};

use super::allocate::{Run, allocate};
use crate::io::cow::BLOCK;
use crate::io::{Blob, CowRegion, ReadAt as _};
use crate::overlay::{Change, Owner, is_normal};

/// The root directory's inode (`EXT4_ROOT_INO`).
const ROOT: u32 = 2;

/// Symbolic links followed on one path before it counts as a loop, as in the
/// kernel (`MAXSYMLINKS`, path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Directories within each other that are removed with what is in them: a path
/// has 4096 bytes (`PATH_MAX`), and a real root some 20 levels.
const MAX_DEPTH: usize = 256;

/// The journal's inode (`EXT4_JOURNAL_INO`).
const JOURNAL: u32 = 8;

/// A path that cannot be written to, by what the base has there.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// A link climbs above the root.
    #[error("a symbolic link in its path leads out of the root file system")]
    Outside,
    /// Links that lead to each other.
    #[error("its path goes through more than {MAX_LINKS} symbolic links: a loop")]
    Loop,
    /// A file where a directory is needed.
    #[error("{0} in its path is not a directory")]
    NotADirectory(String),
    /// A directory that holds one it is in, or lies deeper than any path goes.
    #[error("its directories run in a circle: the file system is damaged")]
    Circle,
    /// A directory where a file or link was to be.
    #[error("there is a directory")]
    IsADirectory,
    /// A file or link where a directory was to be.
    #[error("there is a file")]
    IsAFile,
}

/// An ext4 file system being changed. Times and inode generations are given,
/// so the same changes give the same bytes.
pub struct RootFs {
    fs: Filesystem,
    region: Arc<CowRegion>,
    epoch: i64,
}

impl RootFs {
    /// Opens the file system in a region that was checked before
    /// ([`super::Superblock::check`]). `epoch` is the time of every change, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// When the file system is damaged in a way its opening shows.
    pub fn open(region: Arc<CowRegion>, epoch: i64) -> anyhow::Result<Self> {
        let runtime = Arc::new(Fixed {
            epoch,
            generation: AtomicU32::new(1),
        });
        let fs = Filesystem::mount_with_runtime(Arc::new(Device(Arc::clone(&region))), runtime)
            .context("opening the root file system")?;
        Ok(Self { fs, region, epoch })
    }

    /// Makes one change. Missing parents are made as root's, mode 0755.
    ///
    /// # Errors
    /// When the path leads out of the root or into a loop of symbolic links, a
    /// directory is where a file should be or the other way round, or the file
    /// system is full or damaged.
    pub fn apply(&self, path: &str, change: &Change) -> anyhow::Result<()> {
        let what = || format!("writing {path} into the root file system");
        match change {
            Change::File {
                mode,
                owner,
                content,
                ..
            } => self.put(path, *mode, *owner, &content.blob()),
            Change::Dir { mode, owner } => self.dir(path, *mode, *owner),
            Change::Symlink { target } => self.symlink(path, target),
            Change::Remove => self.remove(path),
            Change::Rename { to } => self.rename(path, to),
        }
        .with_context(what)
    }

    /// Ends the work, marks the file system clean, and puts the journal back
    /// as the base had it: an image has no use for the tale of how it was made.
    /// The base's journal is empty (that was checked), so its old blocks and
    /// its old superblock fit each other and the file system.
    ///
    /// # Errors
    /// When the last writes fail.
    pub fn finish(self) -> anyhow::Result<()> {
        let journal = self.journal_blocks().context("finding the journal")?;
        self.fs.finish().context("finishing the root file system")?;
        for block in journal {
            self.region.revert(block * BLOCK);
        }
        Ok(())
    }

    fn journal_blocks(&self) -> anyhow::Result<Vec<u64>> {
        let (journal, _) = self.fs.read_inode_verified(JOURNAL)?;
        let mut blocks = Vec::new();
        for logical in 0..journal.size / BLOCK {
            blocks.extend(self.fs.map_inode_logical(&journal, logical)?);
        }
        Ok(blocks)
    }

    fn put(&self, path: &str, mode: u16, owner: Owner, content: &Blob) -> anyhow::Result<()> {
        let place = self.parent(path)?;
        // A new inode, not new content in the old one: the old one may have
        // other names (hard links), and those files were not to change.
        match self.entry(&place)? {
            Some((_, inode)) if inode.is_dir() => return Err(PathError::IsADirectory.into()),
            Some(_) => self.fs.apply_unlink_at(place.dir, place.name())?,
            None => {}
        }
        let ino = self.fs.apply_create_at(place.dir, place.name(), mode)?;
        for run in allocate(&self.fs, ino, content.len())? {
            self.fill(run, content)?;
        }
        self.attributes(ino, mode, owner)
    }

    /// Puts a file's bytes into its blocks: whole blocks by reference, the rest
    /// of the last one as zeros.
    fn fill(&self, run: Run, content: &Blob) -> anyhow::Result<()> {
        let left = content.len().checked_sub(run.logical);
        let left = left.context("it was given blocks behind its end")?;
        let len = run.len.min(left);
        let whole = len / BLOCK * BLOCK;
        if whole != 0 {
            let blocks = content.slice(run.logical, whole)?;
            self.region.place(run.physical, blocks)?;
        }
        if whole != len {
            let mut last = vec![0; BLOCK as usize];
            content.read_exact_at(run.logical + whole, &mut last[..(len - whole) as usize])?;
            self.region.write_all_at(run.physical + whole, &last)?;
        }
        Ok(())
    }

    fn dir(&self, path: &str, mode: u16, owner: Owner) -> anyhow::Result<()> {
        let place = self.parent(path)?;
        let ino = match self.entry(&place)? {
            Some((ino, inode)) if inode.is_dir() => ino,
            Some(_) => return Err(PathError::IsAFile.into()),
            None => self.fs.apply_mkdir_at(place.dir, place.name(), mode)?,
        };
        self.attributes(ino, mode, owner)
    }

    fn symlink(&self, path: &str, target: &str) -> anyhow::Result<()> {
        let place = self.parent(path)?;
        match self.entry(&place)? {
            Some((_, inode)) if inode.is_dir() => return Err(PathError::IsADirectory.into()),
            Some(_) => self.fs.apply_unlink_at(place.dir, place.name())?,
            None => {}
        }
        self.fs
            .apply_symlink_at(place.dir, place.name(), target.as_bytes())?;
        Ok(())
    }

    fn remove(&self, path: &str) -> anyhow::Result<()> {
        // Nothing to remove where even the parent is missing.
        let Some(place) = self.existing_parent(path)? else {
            return Ok(());
        };
        match self.entry(&place)? {
            Some((ino, inode)) => {
                self.remove_tree(place.dir, place.name(), (ino, &inode), &mut Vec::new())
            }
            None => Ok(()),
        }
    }

    /// `above` are the directories that this one is in, as far as they go too.
    fn remove_tree(
        &self,
        dir: u32,
        name: &[u8],
        (ino, inode): (u32, &Inode),
        above: &mut Vec<u32>,
    ) -> anyhow::Result<()> {
        if !inode.is_dir() {
            self.fs.apply_unlink_at(dir, name)?;
            return Ok(());
        }
        if above.contains(&ino) || above.len() > MAX_DEPTH {
            return Err(PathError::Circle.into());
        }
        above.push(ino);
        for entry in self.fs.read_dir_ino(ino)? {
            if entry.name != b"." && entry.name != b".." {
                let child = self.fs.stat_ino(entry.inode)?;
                self.remove_tree(ino, &entry.name, (entry.inode, &child), above)?;
            }
        }
        above.pop();
        self.fs.apply_rmdir_at(dir, name)?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let source = self.parent(from)?;
        if self.entry(&source)?.is_none() {
            bail!("there is nothing to rename to {to}");
        }
        let target = self.parent(to)?;
        if self.entry(&target)?.is_some() {
            bail!("{to} is there already");
        }
        self.fs
            .apply_rename_at(source.dir, source.name(), target.dir, target.name(), false)?;
        Ok(())
    }

    fn attributes(&self, ino: u32, mode: u16, owner: Owner) -> anyhow::Result<()> {
        // Owner first: like chown(2), changing it clears setuid and setgid.
        self.fs.apply_chown_ino(ino, owner.uid, owner.gid)?;
        self.fs.apply_chmod_ino(ino, mode)?;
        self.fs
            .apply_utimens_ino(ino, self.epoch, 0, self.epoch, 0)?;
        Ok(())
    }

    /// What lies at a place, a symbolic link itself.
    fn entry(&self, place: &Place) -> anyhow::Result<Option<(u32, Inode)>> {
        match self.fs.lookup_at(place.dir, place.name()) {
            Ok(ino) => Ok(Some((ino, self.fs.stat_ino(ino)?))),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn parent(&self, path: &str) -> anyhow::Result<Place> {
        let walk = Walk {
            fs: self,
            make: true,
            links: 0,
        };
        walk.parent(path)?.context("its directory vanished")
    }

    fn existing_parent(&self, path: &str) -> anyhow::Result<Option<Place>> {
        Walk {
            fs: self,
            make: false,
            links: 0,
        }
        .parent(path)
    }
}

/// A directory, and a name in it.
struct Place {
    dir: u32,
    name: String,
}

impl Place {
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// Resolves the directories of a path inside the image: an absolute link
/// starts again at the image's root, and none may climb above it.
struct Walk<'a> {
    fs: &'a RootFs,
    /// Make directories that are missing.
    make: bool,
    links: usize,
}

impl Walk<'_> {
    /// The directory a path lies in, `None` if it is missing and not to be made.
    fn parent(mut self, path: &str) -> anyhow::Result<Option<Place>> {
        if !is_normal(path) {
            bail!("{path:?} is not an absolute path without . and ..");
        }
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        // Directories from the root to where we are; the last is the current.
        let mut stack = vec![ROOT];
        if !self.descend(&mut stack, dirs)? {
            return Ok(None);
        }
        let dir = *stack.last().unwrap_or(&ROOT);
        Ok(Some(Place {
            dir,
            name: name.to_owned(),
        }))
    }

    fn descend(&mut self, stack: &mut Vec<u32>, path: &str) -> anyhow::Result<bool> {
        let fs = &self.fs.fs;
        for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
            if name == ".." {
                stack.pop();
                if stack.is_empty() {
                    return Err(PathError::Outside.into());
                }
                continue;
            }
            let dir = *stack.last().unwrap_or(&ROOT);
            let ino = match fs.lookup_at(dir, name.as_bytes()) {
                Ok(ino) => ino,
                Err(Error::NotFound) if self.make => {
                    let ino = fs.apply_mkdir_at(dir, name.as_bytes(), 0o755)?;
                    self.fs.attributes(ino, 0o755, Owner::ROOT)?;
                    ino
                }
                Err(Error::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let inode = fs.stat_ino(ino)?;
            if inode.is_dir() {
                stack.push(ino);
            } else if inode.is_symlink() {
                self.links += 1;
                if self.links > MAX_LINKS {
                    return Err(PathError::Loop.into());
                }
                let target = fs.read_link_ino(ino)?;
                let target =
                    std::str::from_utf8(&target).context("a symbolic link is not UTF-8")?;
                if target.starts_with('/') {
                    stack.truncate(1);
                }
                if !self.descend(stack, target)? {
                    return Ok(false);
                }
            } else {
                return Err(PathError::NotADirectory(name.to_owned()).into());
            }
        }
        Ok(true)
    }
}

/// The crate's view of a region. Its `flush` is empty: the region's scratch
/// file is thrown away on any failure, and the sink syncs what it made of it.
struct Device(Arc<CowRegion>);

impl BlockDevice for Device {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> fs_ext4::Result<()> {
        Ok(self.0.read_exact_at(offset, buf)?)
    }

    fn size_bytes(&self) -> u64 {
        self.0.len()
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> fs_ext4::Result<()> {
        Ok(self.0.write_all_at(offset, buf)?)
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// A clock that stands, and generations that count.
struct Fixed {
    epoch: i64,
    generation: AtomicU32,
}

impl Runtime for Fixed {
    fn now_unix_seconds(&self) -> i64 {
        self.epoch
    }

    fn next_inode_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }
}
