//! What two images differ in. Each becomes a sorted list of facts (a partition, a
//! kernel word, a package, a unit, a file), and the lists are compared.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Image, LookError};
use crate::bootfs::BootFs;
use crate::debian;
use crate::io::Region;
use crate::overlay::{Kind, hex};
use crate::rootfs::RootView;
use crate::rootfs::view::Entry;

/// Deeper than any system's directories: more is a damaged one.
const DEPTH: usize = 64;

/// What a difference is about, from the outside in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// The kind of table, and the disk's id.
    Table,
    /// A partition by its number: place, name, file system.
    Partition,
    /// A word of the kernel's command line.
    KernelWord,
    /// An installed package.
    Package,
    /// A unit: enabled by whom, or masked.
    Unit,
    /// A file of the boot partition.
    Boot,
    /// A file of the root.
    Root,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Aspect::Table => "table",
            Aspect::Partition => "partition",
            Aspect::KernelWord => "word",
            Aspect::Package => "package",
            Aspect::Unit => "unit",
            Aspect::Boot => "boot",
            Aspect::Root => "root",
        })
    }
}

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing.
    pub aspect: Aspect,
    /// Its name: a path, a package.
    pub name: String,
    /// What the first image has; none if it has no such thing.
    pub one: Option<String>,
    /// What the second has.
    pub two: Option<String>,
}

/// A line, as diff(1) marks them.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            aspect,
            name,
            one,
            two,
        } = self;
        let with = |value: &str| match value.is_empty() {
            true => String::new(),
            false => format!("  {value}"),
        };
        match (one, two) {
            (Some(one), Some(two)) => write!(f, "~ {aspect:9} {name}  {one} -> {two}"),
            (Some(one), None) => write!(f, "- {aspect:9} {name}{}", with(one)),
            (None, Some(two)) => write!(f, "+ {aspect:9} {name}{}", with(two)),
            (None, None) => Ok(()),
        }
    }
}

/// What differs, sorted.
///
/// # Errors
/// When either image's file systems cannot be read.
pub fn diff(one: &Image, two: &Image) -> Result<Vec<Difference>, LookError> {
    let (one, mut two) = (facts(one)?, facts(two)?);
    let mut found = Vec::new();
    for ((aspect, name), one) in one {
        let two = two.remove(&(aspect, name.clone()));
        if two.as_ref() != Some(&one) {
            let one = Some(one);
            found.push(Difference {
                aspect,
                name,
                one,
                two,
            });
        }
    }
    found.extend(two.into_iter().map(|((aspect, name), two)| Difference {
        aspect,
        name,
        one: None,
        two: Some(two),
    }));
    found.sort_by(|a, b| (a.aspect, &a.name).cmp(&(b.aspect, &b.name)));
    Ok(found)
}

type Facts = BTreeMap<(Aspect, String), String>;

fn facts(image: &Image) -> Result<Facts, LookError> {
    let mut facts = Facts::new();
    let mut add = |aspect, name: String, value: String| drop(facts.insert((aspect, name), value));
    let summary = image.summary();
    add(
        Aspect::Table,
        summary.table,
        format!("{} bytes", summary.bytes),
    );
    for partition in summary.partitions {
        let kind = partition.filesystem.map_or("unknown", |fs| fs.kind);
        let place = format!("{} bytes at {}", partition.bytes, partition.offset);
        let value = format!("{} {place} {kind} {}", partition.name, partition.partuuid);
        add(Aspect::Partition, partition.number.to_string(), value);
    }
    let (boot, root) = (image.boot()?, image.root()?);
    if let Some(line) = boot.read("/cmdline.txt")? {
        for word in String::from_utf8_lossy(&line).split_whitespace() {
            add(Aspect::KernelWord, word.to_owned(), String::new());
        }
    }
    if let Some(status) = root.read(debian::STATUS)? {
        for package in debian::parse_inventory(&String::from_utf8_lossy(&status))? {
            let name = format!("{}:{}", package.name, package.architecture);
            add(Aspect::Package, name, package.version);
        }
    }
    boot_files(boot, "", &mut add)?;
    root_files(root, &mut add)?;
    Ok(facts)
}

fn boot_files(
    boot: &BootFs<Region>,
    dir: &str,
    add: &mut dyn FnMut(Aspect, String, String),
) -> anyhow::Result<()> {
    let path = if dir.is_empty() { "/" } else { dir };
    for entry in boot.entries(path)? {
        let path = format!("{dir}/{}", entry.name);
        if entry.dir {
            add(Aspect::Boot, path.clone(), "dir".into());
            // FAT has no links, and a chain in a circle is refused by its reader.
            if path.matches('/').count() < DEPTH {
                boot_files(boot, &path, add)?;
            }
            continue;
        }
        let content = boot.read(&path)?.unwrap_or_default();
        let value = format!(
            "file {} bytes {}",
            entry.len,
            short(&hex(&Sha256::digest(&content)))
        );
        add(Aspect::Boot, path, value);
    }
    Ok(())
}

fn root_files(root: &RootView, add: &mut dyn FnMut(Aspect, String, String)) -> anyhow::Result<()> {
    let mut waiting = vec![String::new()];
    while let Some(dir) = waiting.pop() {
        let path = if dir.is_empty() { "/" } else { &dir };
        for name in root.list(path)? {
            let path = format!("{dir}/{name}");
            let Some(entry) = root.entry(&path)? else {
                continue;
            };
            if let Some((unit, state)) = unit(&path, &entry) {
                add(Aspect::Unit, unit, state);
            }
            let value = value(root, &path, &entry)?;
            if entry.kind == Kind::Dir && path.matches('/').count() < DEPTH {
                waiting.push(path.clone());
            }
            add(Aspect::Root, path, value);
        }
    }
    Ok(())
}

fn value(root: &RootView, path: &str, entry: &Entry) -> anyhow::Result<String> {
    let Entry {
        kind,
        mode,
        uid,
        gid,
        len,
    } = entry;
    let owner = format!("{mode:04o} {uid}:{gid}");
    Ok(match kind {
        Kind::Dir => format!("dir {owner}"),
        Kind::Symlink(target) => format!("link {uid}:{gid} to {target}"),
        Kind::Other => format!("other {owner}"),
        Kind::File => {
            let mut file = root.open_file(path)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 64 << 10];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    len => hash.update(&buffer[..len]),
                }
            }
            format!("file {owner} {len} bytes {}", short(&hex(&hash.finalize())))
        }
    })
}

/// What systemd makes of a link in its folder: a mask, or a want of somebody.
fn unit(path: &str, entry: &Entry) -> Option<(String, String)> {
    let Kind::Symlink(target) = &entry.kind else {
        return None;
    };
    let below = path.strip_prefix("/etc/systemd/system/")?;
    match below.split_once('/') {
        None if target == "/dev/null" => Some((below.to_owned(), "masked".into())),
        None => None,
        Some((by, unit)) => {
            let (of, how) = by.rsplit_once('.')?;
            let word = matches!(how, "wants" | "requires").then_some(how)?;
            Some((format!("{unit} ({of})"), format!("{word}, by {of}")))
        }
    }
}

/// Enough of a digest to tell two apart.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}
