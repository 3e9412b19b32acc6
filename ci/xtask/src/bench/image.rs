//! What is in a disk image, by foreign tools: sfdisk, debugfs and mtools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::site::EPOCH_SHOWN;
use crate::cmd::Cmd;

/// Where a partition lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The first two partitions: boot and root, of the base and of what is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) boot: Place,
    pub(super) root: Place,
}

impl Parts {
    pub(super) fn of(image: &Path) -> Result<Parts> {
        let dump = Cmd::new("sfdisk").arg("--dump").arg(image).read()?;
        Parts::parse(&dump)
            .with_context(|| format!("finding two partitions in {}", image.display()))
    }

    /// From lines such as `a.img1 : start=       16384, size=     1048576, type=c`.
    fn parse(dump: &str) -> Option<Parts> {
        let mut places = dump.lines().filter_map(|line| {
            let (_, fields) = line.split_once(" : ")?;
            let bytes = |name| {
                fields
                    .split(',')
                    .find_map(|field| field.trim().strip_prefix(name)?.trim().parse::<u64>().ok())
                    .map(|sectors| sectors * 512)
            };
            Some(Place {
                offset: bytes("start=")?,
                len: bytes("size=")?,
            })
        });
        Some(Parts {
            boot: places.next()?,
            root: places.next()?,
        })
    }
}

/// How e2fsprogs name a file system inside an image.
pub(super) fn at(image: &Path, offset: u64) -> String {
    format!("{}?offset={offset}", image.display())
}

/// How mtools do.
pub(super) fn mtools_at(image: &Path, offset: u64) -> String {
    format!("{}@@{offset}", image.display())
}

/// A file, directory or link of an ext4 file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) inode: u32,
    /// Type and permissions, as in stat(2).
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    /// Whether `imgbuild` wrote it.
    pub(super) dated: bool,
}

impl Entry {
    pub(super) fn is_dir(&self) -> bool {
        self.mode >> 12 == 0o04
    }

    pub(super) fn is_link(&self) -> bool {
        self.mode >> 12 == 0o12
    }

    /// What `debugfs` can be told to make the same. A directory's size is its own business.
    pub(super) fn is_like(&self, other: &Entry) -> bool {
        (self.mode, self.owner) == (other.mode, other.owner)
            && (self.is_dir() || self.size == other.size)
    }
}

/// Everything in an ext4 file system by its path, `/` left out.
pub(super) type Tree = BTreeMap<String, Entry>;

/// Lists a file system: one debugfs a level, for there are thousands of directories.
pub(super) fn tree(device: &str) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut level = vec![(String::new(), 2)];
    while !level.is_empty() {
        let requests: Vec<String> = level
            .iter()
            .map(|(_, inode)| format!("ls -l <{inode}>"))
            .collect();
        let said = debugfs(device, &requests)?;
        let mut next = Vec::new();
        for ((dir, _), rows) in level.iter().zip(said) {
            for (name, entry) in rows
                .lines()
                .filter_map(row)
                .filter(|(name, _)| !matches!(*name, "." | ".."))
            {
                let path = format!("{dir}/{name}");
                if entry.is_dir() {
                    next.push((path.clone(), entry.inode));
                }
                tree.insert(path, entry);
            }
        }
        level = next;
    }
    Ok(tree)
}

/// Runs requests in one process; gives what it said to each.
pub(super) fn debugfs(device: &str, requests: &[String]) -> Result<Vec<String>> {
    let script = std::env::temp_dir().join(format!("imgbuild-bench-{}", std::process::id()));
    fs::write(&script, requests.join("\n") + "\n")
        .with_context(|| format!("writing {}", script.display()))?;
    let said = Cmd::new("debugfs")
        .arg("-f")
        .arg(&script)
        .arg(device)
        .read();
    fs::remove_file(&script)?;
    let said = said?;
    // It repeats each request after its prompt.
    let answers: Vec<String> = said
        .split("debugfs: ")
        .skip(1)
        .map(|part| {
            part.split_once('\n')
                .map_or("", |(_, rest)| rest)
                .to_owned()
        })
        .collect();
    ensure!(
        answers.len() == requests.len(),
        "debugfs answered {} of {} requests on {device}",
        answers.len(),
        requests.len()
    );
    Ok(answers)
}

/// From `     12   40755 (2)      0      0    4096 23-Nov-2026 22:04 etc`.
fn row(line: &str) -> Option<(&str, Entry)> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (inode, mode, _type) = (
        word()?.parse().ok()?,
        u32::from_str_radix(word()?, 8).ok()?,
        word()?,
    );
    let (owner, size) = (
        (word()?.parse().ok()?, word()?.parse().ok()?),
        word()?.parse().ok()?,
    );
    let date = format!("{} {}", word()?, word()?);
    Some((
        rest,
        Entry {
            inode,
            mode,
            owner,
            size,
            dated: date == EPOCH_SHOWN,
        },
    ))
}

/// The files of a boot partition and their contents, through a folder.
pub(super) fn boot_files(
    image: &Path,
    offset: u64,
    folder: &Path,
) -> Result<BTreeMap<String, Vec<u8>>> {
    fs::create_dir_all(folder)?;
    Cmd::new("mcopy")
        .args(["-s", "-n", "-i", &mtools_at(image, offset), "::*"])
        .arg(folder)
        .run()?;
    let mut files = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                files.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Entry, Parts, Place, row};

    #[test]
    fn rows_of_debugfs() {
        let line = "     13  120777 (7)      0   1000       6  9-Sep-2001 01:46 a name";
        let entry = Entry {
            inode: 13,
            mode: 0o120_777,
            owner: (0, 1000),
            size: 6,
            dated: true,
        };
        assert!(entry.is_link() && !entry.is_dir());
        assert_eq!(row(line), Some(("a name", entry)));
        assert_eq!(row(""), None);
    }

    #[test]
    fn partitions_of_sfdisk() {
        let dump = "label: gpt\nunit: sectors\n\na.img1 : start=        64, size=         8, type=c\na.img2 : start= 72, size= 16, name=\"x\"\n";
        let place = |offset: u64, len: u64| Place {
            offset: offset * 512,
            len: len * 512,
        };
        assert_eq!(
            Parts::parse(dump),
            Some(Parts {
                boot: place(64, 8),
                root: place(72, 16)
            })
        );
    }
}
