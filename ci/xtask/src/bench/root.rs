//! What a node adds to the root file system, found by looking at both with debugfs, and the
//! requests that make debugfs add the same.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::site::EPOCH_SHOWN;
use crate::cmd::Cmd;

/// The inode of a root directory.
const ROOT: u32 = 2;

/// A file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    inode: u32,
    /// Type and permissions, as in stat(2).
    mode: u32,
    owner: (u32, u32),
    size: u64,
    /// Whether it has the time that `imgbuild` gave to what it wrote.
    dated: bool,
}

impl Entry {
    fn is_dir(&self) -> bool {
        self.mode >> 12 == 0o04
    }

    fn is_link(&self) -> bool {
        self.mode >> 12 == 0o12
    }

    /// Whether they have in common what debugfs can be told. A directory's size is its own
    /// business.
    fn is_like(&self, other: &Entry) -> bool {
        (self.mode, self.owner) == (other.mode, other.owner)
            && (self.is_dir() || self.size == other.size)
    }
}

/// Everything in a file system by its path, `/` left out.
type Tree = BTreeMap<String, Entry>;

/// The difference between two root file systems.
pub(super) struct AddedRoot {
    after: Tree,
    pub(super) entries: usize,
    pub(super) bytes: u64,
    script: PathBuf,
}

impl AddedRoot {
    /// Compares two devices, and keeps script and contents in `dir`.
    pub(super) fn between(before: &str, after: &str, dir: &Path) -> Result<AddedRoot> {
        let (old, new) = (tree(before)?, tree(after)?);
        // A file in another's place may have its inode and size: the date tells.
        let is_added = |(path, entry): &(&String, &Entry)| match old.get(*path) {
            Some(old) => !entry.is_like(old) || entry.dated && !entry.is_dir(),
            None => true,
        };
        let added: Vec<_> = new.iter().filter(is_added).collect();
        // Backwards: what is in a directory goes before it.
        let gone = old
            .iter()
            .rev()
            .filter(|(path, _)| !new.contains_key(*path));
        let mut script: Vec<String> = gone.map(|(path, entry)| removal(path, entry)).collect();
        for (number, (path, entry)) in added.iter().enumerate() {
            let kept = dir.join(number.to_string());
            if !entry.is_dir() && !entry.is_link() {
                keep(after, entry, &kept)?;
            }
            script.extend(requests(after, path, entry, old.get(*path), &kept)?);
        }
        let path = dir.join("script");
        fs::write(&path, script.join("\n") + "\n").context("writing the script for debugfs")?;
        let files = added.iter().filter(|(_, entry)| !entry.is_dir());
        Ok(AddedRoot {
            entries: added.len(),
            bytes: files.map(|(_, entry)| entry.size).sum(),
            script: path,
            after: new,
        })
    }

    /// Requests for one debugfs that make the one root the other.
    pub(super) fn script(&self) -> &Path {
        &self.script
    }

    /// Fails unless a device has the same files and is clean.
    pub(super) fn expect_in(&self, device: &str) -> Result<()> {
        let found = tree(device)?;
        for path in self.after.keys().chain(found.keys()) {
            match (self.after.get(path), found.get(path)) {
                (Some(ours), Some(theirs)) if ours.is_like(theirs) => {}
                (ours, theirs) => bail!("{path} is {ours:?} here and {theirs:?} there"),
            }
        }
        Cmd::new("e2fsck").args(["-fn", device]).run()
    }
}

fn removal(path: &str, entry: &Entry) -> String {
    let verb = if entry.is_dir() { "rmdir" } else { "rm" };
    format!("{verb} \"{path}\"")
}

/// A file's content, with the mode that debugfs takes over from it.
fn keep(device: &str, entry: &Entry, kept: &Path) -> Result<()> {
    let request = format!("dump <{}> \"{}\"", entry.inode, kept.display());
    debugfs(device, &[request])?;
    fs::set_permissions(kept, Permissions::from_mode(entry.mode & 0o7777))
        .with_context(|| format!("keeping {}", kept.display()))
}

/// What makes an entry where `old` is, or nothing.
fn requests(
    device: &str,
    path: &str,
    entry: &Entry,
    old: Option<&Entry>,
    kept: &Path,
) -> Result<Vec<String>> {
    let stays = entry.is_dir() && old.is_some_and(Entry::is_dir);
    let mut requests = Vec::new();
    if !stays {
        requests.extend(old.map(|old| removal(path, old)));
        requests.push(if entry.is_dir() {
            format!("mkdir \"{path}\"")
        } else if entry.is_link() {
            format!("symlink \"{path}\" \"{}\"", target(device, entry)?)
        } else {
            format!("write \"{}\" \"{path}\"", kept.display())
        });
    }
    if entry.is_dir() {
        requests.push(format!("sif \"{path}\" mode 0{:o}", entry.mode));
    }
    // What is new is root's.
    if stays || entry.owner != (0, 0) {
        let (uid, gid) = entry.owner;
        requests
            .extend([("uid", uid), ("gid", gid)].map(|(f, id)| format!("sif \"{path}\" {f} {id}")));
    }
    Ok(requests)
}

/// Where a link leads.
fn target(device: &str, link: &Entry) -> Result<String> {
    let said = debugfs(device, &[format!("stat <{}>", link.inode)])?.concat();
    let quoted = said
        .split_once("link dest: \"")
        .and_then(|(_, rest)| rest.rsplit_once('"'));
    let (target, _) =
        quoted.with_context(|| format!("finding the target of inode {}", link.inode))?;
    Ok(target.to_owned())
}

/// Lists a file system: one debugfs a level, for there are thousands of directories.
fn tree(device: &str) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut level = vec![(String::new(), ROOT)];
    while !level.is_empty() {
        let requests: Vec<_> = level
            .iter()
            .map(|(_, inode)| format!("ls -l <{inode}>"))
            .collect();
        let answers = debugfs(device, &requests)?;
        let mut next = Vec::new();
        for ((dir, _), rows) in level.iter().zip(answers) {
            for (name, entry) in rows.lines().filter_map(row) {
                if matches!(name, "." | "..") {
                    continue;
                }
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

/// Reads with one debugfs; gives what it said to each request.
fn debugfs(device: &str, requests: &[String]) -> Result<Vec<String>> {
    let script = std::env::temp_dir().join(format!("imgbuild-bench-{}", std::process::id()));
    fs::write(&script, requests.join("\n") + "\n")
        .with_context(|| format!("writing {}", script.display()))?;
    let said = Cmd::new("debugfs")
        .arg("-f")
        .arg(&script)
        .arg(device)
        .read();
    fs::remove_file(&script).with_context(|| format!("removing {}", script.display()))?;
    // It repeats each request after its prompt.
    let said = said?;
    let answers = said.split("debugfs: ").skip(1);
    let answers: Vec<_> = answers
        .map(|answer| {
            answer
                .split_once('\n')
                .map_or("", |(_, rest)| rest)
                .to_owned()
        })
        .collect();
    let (asked, got) = (requests.len(), answers.len());
    ensure!(
        asked == got,
        "debugfs answered {got} of {asked} requests on {device}"
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
    let inode = word()?.parse().ok()?;
    let mode = u32::from_str_radix(word()?, 8).ok()?;
    let _type = word()?;
    let owner = (word()?.parse().ok()?, word()?.parse().ok()?);
    let size = word()?.parse().ok()?;
    let dated = format!("{} {}", word()?, word()?) == EPOCH_SHOWN;
    let entry = Entry {
        inode,
        mode,
        owner,
        size,
        dated,
    };
    Some((rest, entry))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Entry, requests, row};

    const LINE: &str = "     13  100600 (1)      0   1000       6  9-Sep-2001 01:46 a name";

    #[test]
    fn rows_of_debugfs() {
        let entry = Entry {
            inode: 13,
            mode: 0o100_600,
            owner: (0, 1000),
            size: 6,
            dated: true,
        };
        assert!(!entry.is_link() && !entry.is_dir());
        assert_eq!(row(LINE), Some(("a name", entry)));
        assert_eq!(row(""), None);
    }

    #[test]
    fn a_file_in_another_ones_place() {
        let (_, entry) = row(LINE).expect("a row");
        let script = requests("", "/a b", &entry, Some(&entry), Path::new("/tmp/0"));
        let expected = [
            "rm \"/a b\"",
            "write \"/tmp/0\" \"/a b\"",
            "sif \"/a b\" uid 0",
            "sif \"/a b\" gid 1000",
        ];
        assert_eq!(script.expect("requests"), expected);
    }
}
