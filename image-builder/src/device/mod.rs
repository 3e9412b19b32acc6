//! Which disks there are, what they are and hold, and why one is not written to.
//! Only looks: at sysfs, `/proc`, udev's database, and the disks' own bytes. Needs
//! no privilege for all but the last, and no udev, which only adds words.

mod contents;
mod describe;
mod find;
mod kinds;
mod look;
mod magic;
pub mod mounts;
mod refusal;
mod refuse;
mod snapshot;
mod sysfs;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod udev;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use contents::{Contents, Holds, Part};
pub use find::FindError;
pub use kinds::{Bytes, Kind, Number, Transport};
pub use look::look;
pub use refusal::Refusal;
pub use refuse::Ask;

use snapshot::device_at;
use sysfs::{Block, Blocks};
use udev::Properties;

/// The machine whose disks are meant.
#[derive(Debug, Clone)]
pub struct System {
    root: PathBuf,
}

/// One disk, or what looks like one, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its node, `/dev/sda`.
    pub path: PathBuf,
    /// Its name in `/sys/class/block`, with `!` for a slash.
    pub name: String,
    /// Its device number: of an open file, `st_rdev` must be this one.
    pub number: Number,
    /// The kernel's count of disks when this one came; each has one of its own,
    /// in kernels since 5.15.
    pub diskseq: Option<u64>,
    /// Links in `/dev/disk/by-id` to it, sorted.
    pub by_id: Vec<PathBuf>,
    /// Maker and model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// How it is connected.
    pub transport: Transport,
    /// What kind of device it is.
    pub kind: Kind,
    /// The file of a loop device.
    #[serde(serialize_with = "lossy_option")]
    pub backing: Option<PathBuf>,
    /// Its medium can be taken out.
    pub removable: bool,
    /// Neither removable, nor on USB, nor a card, nor a loop device. A disk in a
    /// Thunderbolt case counts as internal: nothing tells it from one inside.
    pub internal: bool,
    /// It cannot be written to.
    pub read_only: bool,
    /// Bytes; 0 without a medium.
    pub size: u64,
    /// Bytes of a logical sector.
    pub sector: u32,
}

impl System {
    /// This machine.
    pub fn host() -> Self {
        Self::at("/")
    }

    /// A tree with `sys/class/block`, `proc`, `run/udev/data`, `dev` below it. A
    /// file in its `dev` stands for the block device of that name.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Every block device that is no partition, by name; with those that can
    /// never be written to.
    ///
    /// # Errors
    /// When there is no sysfs, or it cannot be read.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let blocks = self.blocks()?;
        let by_id = self.by_id(&blocks)?;
        let whole = blocks.iter().filter(|block| block.partition.is_none());
        Ok(whole.map(|block| self.device(block, &by_id)).collect())
    }

    fn blocks(&self) -> io::Result<Blocks> {
        Blocks::read(&self.real("/sys")).map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound => "there is no /sys/class/block; disks are found on Linux only, with sysfs mounted".to_owned(),
                _ => format!("reading /sys/class/block: {error}"),
            };
            io::Error::new(error.kind(), what)
        })
    }

    fn device(&self, block: &Block, by_id: &[(String, PathBuf)]) -> Device {
        let udev = Properties::of(&self.real("/run"), block.number);
        let is_set = |name: &str| block.value(name) == Some(1);
        let transport = describe::transport(block, &udev);
        let removable = is_set("removable");
        let links = by_id.iter().filter(|(name, _)| *name == block.name);
        Device {
            path: block.path(),
            name: block.name.clone(),
            number: block.number,
            diskseq: block.value("diskseq"),
            by_id: links.map(|(_, link)| link.clone()).collect(),
            model: describe::model(block, &udev),
            serial: describe::serial(block, &udev),
            internal: describe::internal(block, &transport, removable),
            transport,
            kind: block.kind,
            backing: block.backing.clone(),
            removable,
            read_only: is_set("ro"),
            size: match block.size {
                0 if removable => self.size_when_opened(block),
                size => size,
            },
            // Every queue has one; were it not so, nothing would be written.
            sector: block.value("queue/logical_block_size").unwrap_or(0),
        }
    }

    /// Without udev, nobody makes the kernel look whether a card was put in; that
    /// somebody opens the reader does.
    fn size_when_opened(&self, block: &Block) -> u64 {
        drop(File::open(self.real(block.path())));
        block.size_now().unwrap_or(0)
    }

    /// The names of devices, and links to them that say which they are.
    fn by_id(&self, blocks: &Blocks) -> io::Result<Vec<(String, PathBuf)>> {
        const DIR: &str = "/dev/disk/by-id";
        let entries = match fs::read_dir(self.real(DIR)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut links = Vec::new();
        for entry in entries {
            let link = Path::new(DIR).join(entry?.file_name());
            if let Some(block) = device_at(self, blocks, &link) {
                links.push((block.name.clone(), link));
            }
        }
        links.sort();
        Ok(links)
    }

    /// Where a path of the machine is for us.
    fn real(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path of the machine without links.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_host() {
            return fs::canonicalize(path);
        }
        let root = fs::canonicalize(&self.root)?;
        let real = fs::canonicalize(self.real(path))?;
        let inside = real.strip_prefix(root).map_err(io::Error::other)?;
        Ok(Path::new("/").join(inside))
    }

    fn is_host(&self) -> bool {
        self.root == Path::new("/")
    }
}

impl Device {
    /// Whether it is a disk that could be meant: nothing virtual, but for loop
    /// devices that have a file.
    pub fn is_disk(&self) -> bool {
        match self.kind {
            Kind::Disk | Kind::Loop => true,
            Kind::Other(_) => false,
        }
    }
}

/// A path of any bytes as text: JSON has no other.
fn lossy<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

fn lossy_option<S: serde::Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => lossy(path, to),
        None => to.serialize_none(),
    }
}

/// A device's words about itself, single spaces between them; `None` without any.
fn words(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}
