//! What a node adds to its base, found by looking at both: `imgbuild` gave the list of nobody's choosing, and what the peers are to add
//! is what is really there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::image::{Entry, Parts, Tree, at, boot_files, debugfs, tree};
use crate::cmd::Cmd;

/// The difference between two disks, as files and as a script.
pub(super) struct Added {
    dir: PathBuf,
    /// What a disk that got everything has.
    root: Tree,
    boot: BTreeMap<String, Vec<u8>>,
    changed: usize,
    bytes: u64,
    new_in_boot: Vec<PathBuf>,
    gone_from_boot: Vec<String>,
}

impl Added {
    /// Takes what `full` has and `base` has not, and keeps it in `dir`.
    pub(super) fn between(base: &Path, full: &Path, dir: &Path) -> Result<Added> {
        let parts = Parts::of(full)?;
        ensure!(
            parts == Parts::of(base)?,
            "the ready base and our image have different tables"
        );
        let device = at(full, parts.root.offset);
        let (before, root) = (tree(&at(base, parts.root.offset))?, tree(&device)?);
        fs::create_dir_all(dir.join("root"))?;
        // A file that was replaced may have got the old one's inode: the date tells.
        let changed: Vec<_> = root
            .iter()
            .filter(|(path, entry)| {
                before
                    .get(*path)
                    .is_none_or(|old| !entry.is_like(old) || entry.dated && !entry.is_dir())
            })
            .collect();
        let mut script: Vec<String> = before
            .iter()
            .rev()
            .filter(|(path, _)| !root.contains_key(*path))
            .map(|(path, entry)| removal(path, entry))
            .collect();
        for (number, (path, entry)) in changed.iter().enumerate() {
            script.extend(
                before
                    .get(*path)
                    .filter(|old| !(old.is_dir() && entry.is_dir()))
                    .map(|old| removal(path, old)),
            );
            script.extend(addition(
                &device,
                path,
                entry,
                before.contains_key(*path),
                &dir.join(format!("root/{number}")),
            )?);
        }
        fs::write(dir.join("script"), script.join("\n") + "\n")?;

        let old_boot = boot_files(base, parts.boot.offset, &dir.join("boot-before"))?;
        let boot = boot_files(full, parts.boot.offset, &dir.join("boot"))?;
        let new: Vec<&String> = boot
            .iter()
            .filter(|(name, content)| old_boot.get(*name) != Some(content))
            .map(|(name, _)| name)
            .collect();
        ensure!(
            new.iter().all(|name| !name.contains('/')),
            "a file was added below a folder of the boot partition; mcopy needs one call more"
        );
        let gone = old_boot
            .keys()
            .filter(|name| !boot.contains_key(*name))
            .map(|name| format!("::{name}"))
            .collect();
        let new_in_boot = new
            .iter()
            .map(|name| dir.join("boot").join(name))
            .collect::<Vec<_>>();
        Cmd::new("tar")
            .arg("-cf")
            .arg(dir.join("archive"))
            .arg("-C")
            .arg(dir)
            .arg("root")
            .args(new.iter().map(|name| format!("boot/{name}")))
            .run()?;
        let bytes = changed
            .iter()
            .filter(|(_, entry)| !entry.is_dir())
            .map(|(_, entry)| entry.size)
            .sum::<u64>()
            + new.iter().map(|name| boot[*name].len() as u64).sum::<u64>();
        Ok(Added {
            dir: dir.to_owned(),
            changed: changed.len(),
            bytes,
            new_in_boot,
            gone_from_boot: gone,
            root: root.clone(),
            boot,
        })
    }

    pub(super) fn summary(&self) -> impl fmt::Display {
        format!(
            "{} entries of the root, {} boot files, {} KiB",
            self.changed,
            self.new_in_boot.len(),
            self.bytes / 1024
        )
    }

    /// Every added file in one.
    pub(super) fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// Requests for one debugfs that make the root of the base ours.
    pub(super) fn script(&self) -> PathBuf {
        self.dir.join("script")
    }

    pub(super) fn boot_files(&self) -> &[PathBuf] {
        &self.new_in_boot
    }

    pub(super) fn boot_gone(&self) -> &[String] {
        &self.gone_from_boot
    }

    /// Fails unless an image has the same files: a peer that did less would be no peer.
    pub(super) fn expect_in(&self, image: &Path, scratch: &Path) -> Result<()> {
        let parts = Parts::of(image)?;
        let root = tree(&at(image, parts.root.offset))?;
        for path in self.root.keys().chain(root.keys()) {
            match (self.root.get(path), root.get(path)) {
                (Some(ours), Some(theirs)) if ours.is_like(theirs) => {}
                (ours, theirs) => {
                    bail!("{path} is {ours:?} in our image and {theirs:?} in the pipeline's")
                }
            }
        }
        ensure!(
            self.boot == boot_files(image, parts.boot.offset, scratch)?,
            "the boot partitions differ"
        );
        Cmd::new("e2fsck")
            .arg("-fn")
            .arg(at(image, parts.root.offset))
            .run()
            .context("the pipeline's root is not clean")
    }
}

fn removal(path: &str, entry: &Entry) -> String {
    if entry.is_dir() {
        format!("rmdir \"{path}\"")
    } else {
        format!("rm \"{path}\"")
    }
}

/// The requests that make an entry; a file's content is kept at `kept`, with its mode, which `write` takes over.
fn addition(
    device: &str,
    path: &str,
    entry: &Entry,
    is_there: bool,
    kept: &Path,
) -> Result<Vec<String>> {
    let mut requests = Vec::new();
    if entry.is_dir() {
        requests.extend((!is_there).then(|| format!("mkdir \"{path}\"")));
        requests.push(format!("sif \"{path}\" mode 0{:o}", entry.mode));
    } else if entry.is_link() {
        let said = debugfs(device, &[format!("stat <{}>", entry.inode)])?.concat();
        let target = said
            .split_once("link dest: \"")
            .and_then(|(_, rest)| rest.rsplit_once('"'));
        let (target, _) = target.with_context(|| format!("finding the target of {path}"))?;
        requests.push(format!("symlink \"{path}\" \"{target}\""));
    } else {
        debugfs(
            device,
            &[format!("dump <{}> \"{}\"", entry.inode, kept.display())],
        )?;
        fs::set_permissions(kept, Permissions::from_mode(entry.mode & 0o7777))?;
        requests.push(format!("write \"{}\" \"{path}\"", kept.display()));
    }
    let (uid, gid) = entry.owner;
    if is_there && entry.is_dir() || entry.owner != (0, 0) {
        requests.extend([
            format!("sif \"{path}\" uid {uid}"),
            format!("sif \"{path}\" gid {gid}"),
        ]);
    }
    Ok(requests)
}
