//! What is known of a release once its files are packed: what every document
//! about it is written from.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::NAMESPACE;
use crate::debian::InstalledPackage;
use crate::lock::{Deb, Download};

/// A release.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `imgbuild-PROFILE-VERSION`.
    pub name: String,
    /// The release's version.
    pub version: String,
    /// The profile.
    pub profile: String,
    /// What it is dated, in seconds since 1970: the time of its files.
    pub epoch: i64,
    /// The image, unpacked.
    pub image: File,
    /// What is published, each once.
    pub files: Vec<File>,
    /// The base: its name or URL, and the sha256 of its unpacked bytes.
    pub base: Input,
    /// The agent's program.
    pub agent: Input,
    /// Crates in it, sorted.
    pub crates: Vec<Crate>,
    /// Files of K3s.
    pub k3s: Vec<Download>,
    /// Its version, if there is one.
    pub k3s_version: Option<String>,
    /// What the profile downloads.
    pub artifacts: Vec<Download>,
    /// Packages that are carried and not installed yet.
    pub debs: Vec<Deb>,
    /// Packages that the base has installed.
    pub installed: Vec<InstalledPackage>,
}

/// A file by what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, without a folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// Something the release was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is called, or where it is from.
    pub name: String,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// A crate and its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name on crates.io, or in this workspace.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Facts {
    /// Its date as RFC 3339 has it, in UTC.
    ///
    /// # Errors
    /// When the year has more than four digits.
    pub fn date(&self) -> anyhow::Result<String> {
        let time = OffsetDateTime::from_unix_timestamp(self.epoch);
        let time = time.context("the release's time is out of range")?;
        time.format(&Rfc3339).context("writing the release's time")
    }

    /// An id for a document about exactly this image.
    pub fn document_id(&self, kind: &str) -> Uuid {
        Uuid::new_v5(
            &NAMESPACE,
            format!("{kind}/{}", self.image.sha256).as_bytes(),
        )
    }
}

impl Crate {
    /// Reads what `cargo tree --prefix none --format {p}` prints: `name v1.2.3`, and
    /// for crates of the workspace their folder, which is left out.
    ///
    /// # Errors
    /// When a line is something else.
    pub fn parse_list(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut crates = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            let version = words.next().and_then(|word| word.strip_prefix('v'));
            let version = version.with_context(|| format!("{line:?} names no crate"))?;
            crates.push(Self {
                name: name.to_owned(),
                version: version.to_owned(),
            });
        }
        crates.sort();
        crates.dedup();
        Ok(crates)
    }
}
