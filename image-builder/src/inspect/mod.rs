//! Looking into an image: partitions, file systems, what it says of itself.
//! Nothing is mounted, nothing is written.

pub mod text;

use anyhow::{Context as _, bail};
use node_config::paths;
use serde::Serialize;

use crate::io::{ReadAt as _, Region};
use crate::layout::Partition;
use crate::overlay::manifest::Manifest;
use crate::overlay::{BaseView as _, Kind, Part};
use crate::source::{BaseError, Partitions, find_partitions};
use crate::view::ImageView;

/// An image to look into.
pub struct Image {
    len: u64,
    parts: Partitions,
    view: ImageView,
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
    /// What is in it, where that is known.
    pub filesystem: Option<FileSystem>,
}

/// One file system.
#[derive(Debug, Clone, Serialize)]
pub struct FileSystem {
    /// `vfat` or `ext4`.
    pub kind: &'static str,
    /// The volume label.
    pub label: String,
    /// UUID, or FAT serial as in `UUID=`.
    pub uuid: String,
    /// Bytes free.
    pub free: u64,
    /// ext4's features, or FAT's cluster size.
    pub features: Vec<String>,
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
    /// Opens an image of ours or a base.
    ///
    /// # Errors
    /// When it has no table, or not one FAT and one ext4 partition that can be
    /// read.
    pub fn open(image: Region) -> anyhow::Result<Self> {
        let parts = find_partitions(&image)?;
        let view = ImageView::open(parts.boot.clone(), parts.root.clone())?;
        Ok(Self {
            len: image.len(),
            parts,
            view,
        })
    }

    /// Everything about it.
    ///
    /// # Errors
    /// When a file system is damaged, or a manifest is there but not readable.
    pub fn summary(&self) -> anyhow::Result<Summary> {
        let partitions = self.parts.table.partitions.iter();
        let partitions = partitions
            .map(|partition| self.partition(partition))
            .collect::<anyhow::Result<_>>()?;
        let os = self.view.read(Part::Root, "/etc/os-release")?;
        let manifest = self.view.read(
            Part::Boot,
            boot_path(paths::BOOT_MANIFEST).unwrap_or_default(),
        )?;
        Ok(Summary {
            bytes: self.len,
            table: self.parts.table.scheme.to_string(),
            partitions,
            os: os.as_deref().and_then(pretty_name),
            kernels: self.view.list(Part::Root, "/usr/lib/modules")?,
            manifest: manifest
                .map(|bytes| Manifest::parse(&String::from_utf8_lossy(&bytes)))
                .transpose()?,
        })
    }

    /// The entries of a directory, or the one entry of a file; `None` if the
    /// path does not exist.
    ///
    /// # Errors
    /// When the path is not absolute or a file system is damaged.
    pub fn ls(&self, path: &str) -> anyhow::Result<Option<Vec<Row>>> {
        let path = absolute(path)?;
        if let Some(inside) = boot_path(path) {
            return self.ls_boot(inside);
        }
        let root = self.view.root();
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
                rows.collect::<anyhow::Result<_>>().map(Some)
            }
            Some(entry) => Ok(Some(vec![root_row(path.to_owned(), entry)])),
        }
    }

    /// A file's content; `None` if the path does not exist.
    ///
    /// # Errors
    /// When the path is not absolute, is a directory, or a file system is
    /// damaged.
    pub fn cat(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = absolute(path)?;
        match boot_path(path) {
            Some(inside) => self.view.read(Part::Boot, inside),
            None => self.view.read(Part::Root, path),
        }
    }

    fn ls_boot(&self, path: &str) -> anyhow::Result<Option<Vec<Row>>> {
        let boot = self.view.boot();
        let rows = |entries: Vec<crate::bootfs::FatEntry>| {
            let row = |entry: crate::bootfs::FatEntry| Row {
                kind: if entry.dir { "dir" } else { "file" },
                mode: None,
                uid: None,
                gid: None,
                bytes: entry.len,
                name: entry.name,
                target: None,
            };
            entries.into_iter().map(row).collect()
        };
        match boot.kind(path)? {
            None => Ok(None),
            Some(Kind::Dir) => Ok(Some(rows(boot.entries(path)?))),
            Some(_) => {
                let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
                let mut entries = boot.entries(dir)?;
                entries.retain(|entry| entry.name.eq_ignore_ascii_case(name));
                Ok(Some(rows(entries)))
            }
        }
    }

    fn partition(&self, partition: &Partition) -> anyhow::Result<PartitionSummary> {
        let here = |region: &Region| region.place().1 == partition.offset;
        let filesystem = if here(&self.parts.boot) {
            let boot = self.view.boot();
            let (free, cluster) = boot
                .space()
                .map_err(|error| BaseError::Boot(error.into()))?;
            let serial = boot.serial();
            Some(FileSystem {
                kind: "vfat",
                label: boot.label().trim_end().to_owned(),
                uuid: format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff),
                free,
                features: vec![format!("{cluster}-byte clusters")],
            })
        } else if here(&self.parts.root) {
            let superblock = &self.parts.superblock;
            Some(FileSystem {
                kind: "ext4",
                label: superblock.label().to_owned(),
                uuid: superblock.uuid().to_string(),
                free: superblock.free(),
                features: superblock.features(),
            })
        } else {
            None
        };
        let Partition {
            number,
            offset,
            len,
            name,
            partuuid,
        } = partition.clone();
        Ok(PartitionSummary {
            number,
            offset,
            bytes: len,
            name,
            partuuid,
            filesystem,
        })
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

fn absolute(path: &str) -> anyhow::Result<&str> {
    if !path.starts_with('/') {
        bail!("{path} is not an absolute path; write /{path}");
    }
    Ok(path)
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
