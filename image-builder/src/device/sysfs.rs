//! Block devices as the kernel shows them below `/sys/class/block` (kernel:
//! `Documentation/ABI/stable/sysfs-block`): what each is, and which is made of
//! which. Names with a slash have `!` for it there, `cciss!c0d0`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Kind, Number};

/// `size` and `start` count these, whatever the disk's own sectors are.
const UNIT: u64 = 512;

/// One entry of `/sys/class/block`.
#[derive(Debug)]
pub(super) struct Block {
    /// Its name there.
    pub(super) name: String,
    pub(super) number: Number,
    /// The directory behind the entry.
    pub(super) dir: PathBuf,
    /// Of a partition: its number, its disk's name, its first byte on that.
    pub(super) partition: Option<(u32, String, u64)>,
    pub(super) kind: Kind,
    /// In bytes.
    pub(super) size: u64,
    /// A loop device's file, or the device it is over.
    pub(super) backing: Option<PathBuf>,
    /// Names of devices that are made of this one.
    pub(super) holders: Vec<String>,
    /// Names of devices that this one is made of.
    pub(super) slaves: Vec<String>,
}

impl Block {
    /// `None` when it vanished.
    fn read(entry: &Path) -> Option<Self> {
        let dir = fs::canonicalize(entry).ok()?;
        let name = dir.file_name()?.to_str()?.to_owned();
        let number = attribute(&dir, "dev")?.parse().ok()?;
        let partition = attribute(&dir, "partition").and_then(|text| {
            let disk = dir.parent()?.file_name()?.to_str()?.to_owned();
            let start = value::<u64>(&dir, "start")?;
            Some((text.parse().ok()?, disk, start.saturating_mul(UNIT)))
        });
        Some(Self {
            kind: kind(&dir, &name),
            size: size(&dir)?,
            backing: attribute(&dir, "loop/backing_file").map(PathBuf::from),
            holders: names(&dir.join("holders")),
            slaves: names(&dir.join("slaves")),
            name,
            number,
            dir,
            partition,
        })
    }

    /// Its node, `/dev/cciss/c0d0`.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/dev").join(self.name.replace('!', "/"))
    }

    /// The node of its partition with that number, be it known to the kernel or
    /// not: after a digit the kernel puts a `p`.
    pub(super) fn partition_path(&self, number: u32) -> PathBuf {
        let path = self.path().display().to_string();
        let digit = path.ends_with(|last: char| last.is_ascii_digit());
        PathBuf::from(format!("{path}{}{number}", if digit { "p" } else { "" }))
    }

    /// An attribute's text; `None` where there is none, or it is empty.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.dir, name)
    }

    /// Its size, read again.
    pub(super) fn size_now(&self) -> Option<u64> {
        size(&self.dir)
    }

    /// An attribute that is a number.
    pub(super) fn value<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        value(&self.dir, name)
    }
}

/// All block devices at one moment.
#[derive(Debug)]
pub(super) struct Blocks(BTreeMap<String, Block>);

impl Blocks {
    /// `sys` is where sysfs is mounted.
    pub(super) fn read(sys: &Path) -> io::Result<Self> {
        let mut blocks = BTreeMap::new();
        for entry in fs::read_dir(sys.join("class/block"))? {
            if let Some(block) = Block::read(&entry?.path()) {
                blocks.insert(block.name.clone(), block);
            }
        }
        Ok(Self(blocks))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.0.values()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Block> {
        self.0.get(name)
    }

    pub(super) fn by_number(&self, number: Number) -> Option<&Block> {
        self.iter().find(|block| block.number == number)
    }

    /// By the path of its node, which is no link.
    pub(super) fn by_node(&self, path: &Path) -> Option<&Block> {
        let name = path.strip_prefix("/dev").ok()?.to_str()?;
        self.get(&name.replace('/', "!"))
    }

    /// A disk's partitions, in the order of their names.
    pub(super) fn partitions(&self, disk: &str) -> impl Iterator<Item = &Block> {
        self.iter().filter(move |block| {
            let partition = block.partition.as_ref();
            partition.is_some_and(|(_, of, _)| of == disk)
        })
    }
}

fn kind(dir: &Path, name: &str) -> Kind {
    let has = |what: &str| dir.join(what).exists();
    let is = |prefix: &str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    // SCSI's type of a CD drive (SPC, "peripheral device type").
    const OPTICAL: &str = "5";
    if has("partition") {
        return Kind::Other("a partition");
    }
    if is("loop") {
        return match has("loop/backing_file") {
            true => Kind::Loop,
            false => Kind::Other("a loop device without a file"),
        };
    }
    // `mmcblk0boot0`, `mmcblk0rpmb`: of the size of a firmware, beside the disk.
    let card = name.strip_prefix("mmcblk");
    if card.is_some_and(|rest| !rest.bytes().all(|byte| byte.is_ascii_digit())) {
        return Kind::Other("a special area of flash memory");
    }
    if has("dm") {
        return Kind::Other("a device-mapper volume");
    }
    if has("md") {
        return Kind::Other("a RAID array");
    }
    if is("sr") || attribute(dir, "device/type").as_deref() == Some(OPTICAL) {
        return Kind::Other("an optical drive");
    }
    let others = [
        ("zram", "compressed memory"),
        ("ram", "a RAM disk"),
        ("fd", "a floppy drive"),
        ("nbd", "a network block device"),
        ("rbd", "a network block device"),
        ("drbd", "a replicated volume"),
        ("bcache", "a bcache volume"),
        ("zd", "a ZFS volume"),
        ("mtdblock", "raw flash memory"),
        ("ubiblock", "raw flash memory"),
    ];
    match others.iter().find(|(prefix, _)| is(prefix)) {
        Some((_, what)) => Kind::Other(what),
        // A path of several to one disk, which has a name of its own.
        None if attribute(dir, "hidden").as_deref() == Some("1") => {
            Kind::Other("one of several ways to a disk")
        }
        None => Kind::Disk,
    }
}

/// The text of `NAME` in a directory of sysfs. A file that cannot be read says
/// nothing: many drivers answer some of them with an error.
pub(super) fn attribute(dir: &Path, name: &str) -> Option<String> {
    let text = fs::read(dir.join(name)).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn value<T: std::str::FromStr>(dir: &Path, name: &str) -> Option<T> {
    attribute(dir, name)?.parse().ok()
}

fn size(dir: &Path) -> Option<u64> {
    Some(value::<u64>(dir, "size")?.saturating_mul(UNIT))
}

/// The names in a directory, sorted; none if there is no directory.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
