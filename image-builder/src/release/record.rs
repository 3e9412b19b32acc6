//! The newest release that was used, kept beside the cluster file: a good signature
//! on an old release stays good for ever, so what was fixed since would come back
//! with it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::sign::Comment;
use super::verify::{Unfit, older};
use crate::config::{Disk, Files as _};
use crate::io::put_text;

/// The version this code writes and reads.
const VERSION: u32 = 1;

/// A thousand profiles have a tenth of this.
const LIMIT: u64 = 1 << 20;

const HEAD: &str = "\
# The newest release of each kind that was used here. An older one is refused, however
# well it is signed. Written by `imgbuild`, for Git; to go back on purpose, write the
# older version here.
";

/// Where a cluster keeps it: beside its file.
pub fn path(cluster_dir: &Path) -> PathBuf {
    cluster_dir.join("releases.toml")
}

/// What was used, by the releases' names without their versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    path: PathBuf,
    newest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    newest: BTreeMap<String, String>,
}

impl Record {
    /// Reads the record; an empty one if there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, or is no such record.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("reading {}", path.display());
        let newest = match Disk.read(path, LIMIT) {
            Ok(bytes) => parse(&bytes).with_context(what)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(what),
        };
        Ok(Self {
            path: path.to_owned(),
            newest,
        })
    }

    /// Whether a release may be used.
    ///
    /// # Errors
    /// [`Unfit::Replayed`] when it is older than what was used before.
    pub fn check(&self, release: &Comment) -> anyhow::Result<()> {
        let Some(newest) = self.newest.get(kind(release)) else {
            return Ok(());
        };
        let replayed = || Unfit::Replayed {
            version: release.version.clone(),
            newest: newest.clone(),
            record: self.path.clone(),
        };
        ensure!(!older(&release.version, newest)?, replayed());
        Ok(())
    }

    /// Remembers that a release is used; writes it down if that is news.
    ///
    /// # Errors
    /// When it cannot be written; the old record is still there then.
    pub fn note(&mut self, release: &Comment) -> anyhow::Result<()> {
        let kind = kind(release);
        if self.newest.get(kind) == Some(&release.version) {
            return Ok(());
        }
        self.newest.insert(kind.to_owned(), release.version.clone());
        put_text(&self.path, &self.render(), true)
            .with_context(|| format!("writing {}", self.path.display()))
    }

    fn render(&self) -> String {
        let document = Document {
            version: VERSION,
            newest: self.newest.clone(),
        };
        let body = toml::to_string(&document).expect("plain data serialises to TOML");
        format!("{HEAD}{body}")
    }
}

fn kind(release: &Comment) -> &str {
    let version = release.name.strip_suffix(&release.version);
    version
        .and_then(|name| name.strip_suffix('-'))
        .unwrap_or(&release.name)
}

fn parse(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, String>> {
    let document: Document =
        toml::from_slice(bytes).context("it is no record of releases that were used")?;
    ensure!(
        document.version == VERSION,
        "it has version {}, this imgbuild reads {VERSION}; update it",
        document.version
    );
    Ok(document.newest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn release(name: &str, version: &str) -> Comment {
        Comment {
            name: format!("{name}-{version}"),
            version: version.into(),
            time: 0,
            files: Vec::new(),
        }
    }

    #[test]
    fn an_older_release_of_a_kind_is_refused_once_a_newer_was_used() {
        let dir = tempfile::tempdir().expect("directory");
        let path = path(dir.path());
        let mut record = Record::load(&path).expect("an empty record");
        record.check(&release("a-b", "0.1")).expect("nothing used");
        record.note(&release("a-b", "1.9")).expect("written");
        record.note(&release("c", "3")).expect("written");
        record.note(&release("a-b", "1.10")).expect("written");
        assert_eq!(
            fs::read_to_string(&path).expect("text"),
            format!("{HEAD}version = 1\n\n[newest]\na-b = \"1.10\"\nc = \"3\"\n")
        );

        let again = Record::load(&path).expect("read");
        assert_eq!(again, record);
        for fine in [("a-b", "1.10"), ("a-b", "2"), ("c", "3"), ("a", "1")] {
            again.check(&release(fine.0, fine.1)).expect("not older");
        }
        let error = again.check(&release("a-b", "1.9")).expect_err("older");
        let told = error.to_string();
        assert!(told.starts_with("this is version 1.9, and 1.10"), "{told}");
        assert!(told.contains("releases.toml"), "{told}");
    }

    #[test]
    fn what_is_used_again_is_not_written_again() {
        let dir = tempfile::tempdir().expect("directory");
        let path = path(dir.path());
        let mut record = Record::load(&path).expect("an empty record");
        record.note(&release("a", "1")).expect("written");
        fs::remove_file(&path).expect("removed");
        record.note(&release("a", "1")).expect("known");
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let dir = tempfile::tempdir().expect("directory");
        let path = path(dir.path());
        for bad in [
            "version = 2",
            "",
            "version = 1\nmore = 2",
            "newest",
            "\u{0}",
        ] {
            fs::write(&path, bad).expect("written");
            let error = Record::load(&path).expect_err(bad);
            assert!(format!("{error:#}").contains("releases.toml"), "{error:#}");
        }
    }
}
