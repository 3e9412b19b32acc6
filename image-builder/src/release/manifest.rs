//! The release's own description: what `imgbuild verify` goes by.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, File, Input};
use super::verify::{self, Unfit};
use crate::layout::{DiskPlan, Span};
use crate::overlay::Content;
use crate::signature::sums::MAX_SUMS;

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// The end of the file's name.
pub const END: &str = "release.json";

/// A release, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this document, [`VERSION`].
    pub format: u32,
    /// `imgbuild-PROFILE-VERSION`.
    pub name: String,
    /// The release's version.
    pub version: String,
    /// The profile.
    pub profile: String,
    /// The program that made it.
    pub builder: String,
    /// Its date, RFC 3339 in UTC: the time of its files, not of the build.
    pub date: String,
    /// The image, unpacked.
    pub image: File,
    /// Its partitions, in bytes.
    pub partitions: Vec<Partition>,
    /// The base it was made from.
    pub base: Input,
    /// The first-boot agent.
    pub agent: Input,
    /// The K3s release, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s: Option<String>,
    /// Packages it carries for the first boot, `name version`.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// A partition of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Its name in the table.
    pub name: String,
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub len: u64,
}

impl Manifest {
    /// Describes a release.
    ///
    /// # Errors
    /// When its time cannot be written.
    pub fn new(facts: &Facts, layout: &DiskPlan) -> anyhow::Result<Self> {
        let part = |name: &str, Span { offset, len }: Span| Partition {
            name: name.to_owned(),
            offset,
            len,
        };
        let debs = facts.debs.iter();
        Ok(Self {
            format: VERSION,
            name: facts.name.clone(),
            version: facts.version.clone(),
            profile: facts.profile.clone(),
            builder: concat!("imgbuild ", env!("CARGO_PKG_VERSION")).to_owned(),
            date: facts.date()?,
            image: facts.image.clone(),
            partitions: vec![part("bootfs", layout.boot), part("rootfs", layout.root)],
            base: facts.base.clone(),
            agent: facts.agent.clone(),
            k3s: facts.k3s_version.clone(),
            packages: debs
                .map(|deb| format!("{} {}", deb.name, deb.version))
                .collect(),
        })
    }

    /// Reads that of the release in a folder, if it is the one that its list of files
    /// names. Whether somebody signed the list is not looked at.
    ///
    /// # Errors
    /// When the folder has no such list or description, or it was changed.
    pub fn of(dir: &Path) -> anyhow::Result<Self> {
        let (_, digests) = verify::listed(dir)?;
        let mut names = digests.iter();
        let named = names.find(|(name, _)| name.ends_with(&format!(".{END}")));
        let (name, signed) = named.context("the release has no description")?;
        let text = verify::read(&dir.join(name), MAX_SUMS as u64)?;
        let found = Content::from(text.as_str()).sha256();
        ensure!(
            found == *signed,
            Unfit::Changed {
                name: name.clone(),
                found,
                signed: signed.clone(),
            }
        );
        Self::parse(&text).with_context(|| format!("reading {name}"))
    }

    /// Reads the document.
    ///
    /// # Errors
    /// When it is not one, or of a format not known here.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let what = "it is no description of a release";
        let Head { format } = serde_json::from_str(text).context(what)?;
        ensure!(
            format == VERSION,
            "it has format {format}, this imgbuild reads {VERSION}; update it"
        );
        serde_json::from_str(text).context(what)
    }

    /// Renders the document; [`Manifest::parse`] gives the same value back.
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data serialises to JSON") + "\n"
    }
}
