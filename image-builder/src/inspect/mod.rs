//! Looking into an image: partitions, file systems, what it says of itself.
//! Nothing is mounted, nothing is written. What most needs looking into is a
//! disk that was cut off: every part is shown as far as it can be read, and only
//! what cannot be read is refused.

pub mod diff;
mod partition;
pub mod text;

use anyhow::{Context as _, anyhow, bail};
use node_config::paths;
use serde::Serialize;

use crate::bootfs::{BootFs, FatEntry};
use crate::io::{ReadAt as _, Region};
use crate::layout::Table;
use crate::overlay::Kind;
use crate::overlay::manifest::Manifest;
use crate::rootfs::RootView;
use crate::source::BaseError;
pub use partition::{FileSystem, State};
use partition::{Found, Reader};

/// An image to look into.
pub struct Image {
    len: u64,
    table: Table,
    partitions: Vec<Found>,
}

/// Why something in an image cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Paths are those of the running node.
    #[error("{0} is not an absolute path; write /{0}")]
    Relative(String),
    /// A directory or a device, which has no content to show.
    #[error("{0} is not a file; `ls` shows what it is")]
    NotAFile(String),
    /// The file system it would be in is missing or damaged.
    #[error(transparent)]
    Unreadable(#[from] anyhow::Error),
}

/// What `imgbuild inspect` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The image's length in bytes.
    pub bytes: u64,
    /// The kind of partition table and the disk's id.
    pub table: String,
    /// The partitions, by number.
    pub partitions: Vec<PartitionSummary>,
    /// `PRETTY_NAME` of os-release(5).
    pub os: Option<String>,
    /// Kernel versions with modules.
    pub kernels: Vec<String>,
    /// Our own manifest, on images of ours.
    pub manifest: Option<Manifest>,
    /// What should be there and could not be read.
    pub problems: Vec<String>,
}

/// One partition.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionSummary {
    /// Number, from 1.
    pub number: u32,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// GPT name.
    pub name: String,
    /// As in `PARTUUID=`.
    pub partuuid: String,
    /// What is wrong with where it lies.
    pub problem: Option<String>,
    /// What is in it, where that is known.
    pub filesystem: Option<FileSystem>,
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `file`, `dir`, `link` or `other`.
    pub kind: &'static str,
    /// Permission bits in octal; none on FAT.
    pub mode: Option<String>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub bytes: u64,
    /// The name.
    pub name: String,
    /// A link's target.
    pub target: Option<String>,
}

impl Image {
    /// Opens an image of ours, a base, or a copy of a node's disk.
    ///
    /// # Errors
    /// When it has no partition table that can be read.
    pub fn open(image: Region) -> Result<Self, BaseError> {
        let table = Table::read_cut(&image)?;
        let look = |partition| Found::look(&image, partition);
        let partitions = table.partitions.iter().map(look).collect();
        Ok(Self {
            len: image.len(),
            table,
            partitions,
        })
    }

    /// Everything about it that can be read.
    pub fn summary(&self) -> Summary {
        let mut problems = Vec::new();
        let mut keep = |error: anyhow::Error| problems.push(problem(error));
        let root = self.root().map_err(&mut keep).ok();
        let os = root.and_then(|root| {
            let content = root.read("/etc/os-release").map_err(&mut keep).ok()??;
            pretty_name(&content)
        });
        let kernels = root.map(|root| {
            let names = root.list("/usr/lib/modules").map_err(&mut keep);
            names.unwrap_or_default()
        });
        let boot = self.boot().map_err(&mut keep).ok();
        let manifest = boot.and_then(|boot| {
            let path = boot_path(paths::BOOT_MANIFEST).unwrap_or_default();
            let content = boot.read(path).map_err(&mut keep).ok()??;
            Manifest::parse(&String::from_utf8_lossy(&content))
                .map_err(|error| keep(anyhow!(error)))
                .ok()
        });
        let summaries = self.partitions.iter().map(|found| found.summary.clone());
        Summary {
            bytes: self.len,
            table: self.table.scheme.to_string(),
            partitions: summaries.collect(),
            os,
            kernels: kernels.unwrap_or_default(),
            manifest,
            problems,
        }
    }

    /// The boot file system: the one called `bootfs`, or else the first FAT.
    fn boot(&self) -> anyhow::Result<&BootFs<Region>> {
        match self.reader("vfat", "bootfs")? {
            Reader::Boot(boot) => Ok(boot),
            Reader::Root(_) => bail!("it has no boot file system"),
        }
    }

    /// The root file system: the one called `rootfs`, or else the first ext4.
    fn root(&self) -> anyhow::Result<&RootView> {
        match self.reader("ext4", "rootfs")? {
            Reader::Root(root) => Ok(root),
            Reader::Boot(_) => bail!("it has no root file system"),
        }
    }

    fn reader(&self, kind: &str, name: &str) -> anyhow::Result<&Reader> {
        let of_kind = |found: &&Found| {
            let filesystem = found.summary.filesystem.as_ref();
            filesystem.is_some_and(|fs| fs.kind == kind)
        };
        let mut all = self.partitions.iter().filter(of_kind);
        let named = all.clone().find(|found| found.is_called(name));
        let found = named
            .or_else(|| all.next())
            .with_context(|| format!("it has no {kind} partition"))?;
        let number = found.summary.number;
        match &found.reader {
            Some(Ok(reader)) => Ok(reader),
            Some(Err(error)) => bail!("partition {number} cannot be read: {error:#}"),
            None => bail!("partition {number} cannot be read"),
        }
    }

    /// The entries of a directory, or the one entry of a file; `None` if the
    /// path does not exist.
    ///
    /// # Errors
    /// When the path is not absolute or a file system is damaged.
    pub fn ls(&self, path: &str) -> Result<Option<Vec<Row>>, LookError> {
        let path = absolute(path)?;
        if let Some(inside) = boot_path(path) {
            return Ok(self.ls_boot(inside)?);
        }
        let root = self.root()?;
        match root.entry(path)? {
            None => Ok(None),
            Some(entry) if entry.kind == Kind::Dir => {
                let below = |name: &str| format!("{}/{name}", path.trim_end_matches('/'));
                let rows = root.list(path)?.into_iter().map(|name| {
                    let entry = root
                        .entry(&below(&name))?
                        .with_context(|| format!("{name} vanished"))?;
                    Ok(root_row(name, entry))
                });
                Ok(Some(rows.collect::<anyhow::Result<_>>()?))
            }
            Some(entry) => Ok(Some(vec![root_row(path.to_owned(), entry)])),
        }
    }

    /// A file's content; `None` if the path does not exist.
    ///
    /// # Errors
    /// When the path is not absolute, is not a file's, or a file system is
    /// damaged.
    pub fn cat(&self, path: &str) -> Result<Option<Vec<u8>>, LookError> {
        let path = absolute(path)?;
        let not_a_file = || LookError::NotAFile(path.to_owned());
        if let Some(inside) = boot_path(path) {
            let boot = self.boot()?;
            return match boot.kind(inside)? {
                Some(Kind::File) => Ok(boot.read(inside)?),
                Some(_) => Err(not_a_file()),
                None => Ok(None),
            };
        }
        let root = self.root()?;
        match root.entry_behind_links(path)?.map(|entry| entry.kind) {
            Some(Kind::File) => Ok(root.read(path)?),
            Some(_) => Err(not_a_file()),
            None => Ok(None),
        }
    }

    fn ls_boot(&self, path: &str) -> anyhow::Result<Option<Vec<Row>>> {
        let boot = self.boot()?;
        let entries = match boot.entry(path)? {
            None => return Ok(None),
            Some(entry) if entry.dir => boot.entries(path)?,
            Some(entry) => vec![entry],
        };
        Ok(Some(entries.into_iter().map(boot_row).collect()))
    }
}

fn boot_row(entry: FatEntry) -> Row {
    Row {
        kind: if entry.dir { "dir" } else { "file" },
        mode: None,
        uid: None,
        gid: None,
        bytes: entry.len,
        name: entry.name,
        target: None,
    }
}

fn root_row(name: String, entry: crate::rootfs::view::Entry) -> Row {
    let (kind, target) = match entry.kind {
        Kind::File => ("file", None),
        Kind::Dir => ("dir", None),
        Kind::Symlink(target) => ("link", Some(target)),
        Kind::Other => ("other", None),
    };
    Row {
        kind,
        mode: Some(format!("{:04o}", entry.mode)),
        uid: Some(entry.uid),
        gid: Some(entry.gid),
        bytes: entry.len,
        name,
        target,
    }
}

fn absolute(path: &str) -> Result<&str, LookError> {
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(LookError::Relative(path.to_owned())),
    }
}

/// The path inside the boot file system of a path on the running node.
fn boot_path(path: &str) -> Option<&str> {
    match path.strip_prefix(paths::BOOT_DIR)? {
        "" => Some("/"),
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

fn pretty_name(os_release: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(os_release);
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// An error in one line, with everything behind it.
fn problem(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
