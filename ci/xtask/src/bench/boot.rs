//! What a node adds to the boot partition, found by looking at both with mtools.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cmd::Cmd;

/// The difference between two boot partitions.
pub(super) struct AddedBoot {
    after: BTreeMap<String, Vec<u8>>,
    /// The files to copy in, in a folder here.
    pub(super) files: Vec<PathBuf>,
    /// The files to delete, as mtools name them.
    pub(super) gone: Vec<String>,
    pub(super) bytes: u64,
}

impl AddedBoot {
    /// Compares two devices, and keeps the contents in `dir`.
    pub(super) fn between(before: &str, after: &str, dir: &Path) -> Result<AddedBoot> {
        let kept = dir.join("after");
        let (old, new) = (files(before, &dir.join("before"))?, files(after, &kept)?);
        let added: Vec<_> = new
            .iter()
            .filter(|(name, content)| old.get(*name) != Some(content))
            .collect();
        ensure!(
            added.iter().all(|(name, _)| !name.contains('/')),
            "a file was added to a folder of the boot partition, which takes one mcopy more"
        );
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        Ok(AddedBoot {
            files: added.iter().map(|(name, _)| kept.join(name)).collect(),
            gone: gone.map(|name| format!("::{name}")).collect(),
            bytes: added.iter().map(|(_, content)| content.len() as u64).sum(),
            after: new,
        })
    }

    /// Fails unless a device has the same files; `dir` is for looking at them.
    pub(super) fn expect_in(&self, device: &str, dir: &Path) -> Result<()> {
        let found = files(device, dir)?;
        ensure!(
            self.after == found,
            "the boot partitions differ: {:?} here, {:?} there, or contents",
            self.after.keys(),
            found.keys()
        );
        Ok(())
    }
}

/// The files of a boot partition and their contents, through a folder.
fn files(device: &str, folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    Cmd::new("mcopy")
        .args(["-s", "-n", "-i", device, "::*"])
        .arg(folder)
        .run()?;
    let mut files = BTreeMap::new();
    let mut dirs = vec![folder.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                let content =
                    fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                files.insert(name, content);
            }
        }
    }
    Ok(files)
}
