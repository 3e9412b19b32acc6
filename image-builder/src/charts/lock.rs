//! `charts.lock`: what was taken for each chart that is wanted. A value, sorted by
//! name and written whole; made for review.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::wanted::{Chart, Repository, name};
use super::{ChartsError, Version};
use crate::config::download::{digest, url};
use crate::config::{Disk, Files as _};
use crate::io::put_text;

/// The version this code writes and reads.
const VERSION: u32 = 1;

/// A lock of a thousand charts has a tenth of this.
const LIMIT: u64 = 4 << 20;

const HEAD: &str = "\
# What is unpacked in kube-apps/charts, and whose bytes that are. For Git.
# Not to be edited: `imgbuild charts vendor` writes it for what charts.toml wants.
";

/// Everything that is vendored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Format of this document.
    version: u32,
    /// Sorted by name.
    #[serde(default, rename = "chart")]
    pub charts: Vec<Vendored>,
}

/// One chart as it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendored {
    /// Its name, and that of its folder.
    pub name: String,
    /// Who publishes it.
    pub repository: String,
    /// Its version, as its `Chart.yaml` has it.
    pub version: String,
    /// The version of what it installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Where the archive is.
    pub url: String,
    /// Of the archive, 64 lower-case hex digits.
    pub sha256: String,
    /// Of the archive, in bytes.
    pub size: u64,
    /// What named the sha256.
    pub digest_from: String,
    /// How many files are in the archive.
    pub files: u64,
    /// The hash of all of them, 64 lower-case hex digits: [`super::Tree::hash`].
    pub tree: String,
    /// In a registry only. The last one: a table of its own in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
}

/// What a registry calls a chart, each `sha256:` and 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oci {
    /// The manifest.
    pub manifest: String,
    /// The archive in it.
    pub layer: String,
}

impl Default for Locked {
    fn default() -> Self {
        Self {
            version: VERSION,
            charts: Vec::new(),
        }
    }
}

impl Locked {
    /// Reads a lock; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read, or is no lock.
    pub fn load(path: &Path) -> Result<Self, ChartsError> {
        let bytes = match Disk.read(path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(ChartsError::file("reading", path)(error)),
        };
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|why| ChartsError::Lock {
            path: path.into(),
            why,
        })
    }

    /// Writes it beside and renames it.
    ///
    /// # Errors
    /// When it cannot be written; the old one is still there then.
    pub fn save(&self, path: &Path) -> Result<(), ChartsError> {
        put_text(path, &self.render(), true).map_err(ChartsError::file("writing", path))
    }

    /// Reads the text of a lock.
    ///
    /// # Errors
    /// When it is none, or holds what no lock of ours would: names become paths.
    pub fn parse(text: &str) -> Result<Self, String> {
        let locked: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if locked.version != VERSION {
            return Err(format!(
                "it has version {}, this imgbuild reads {VERSION}",
                locked.version
            ));
        }
        for chart in &locked.charts {
            chart
                .check()
                .map_err(|why| format!("chart {:?}: {why}", chart.name))?;
        }
        match locked
            .charts
            .windows(2)
            .find(|pair| pair[0].name >= pair[1].name)
        {
            Some(pair) => Err(format!("{:?} is not in its place", pair[1].name)),
            None => Ok(locked),
        }
    }

    /// The text; [`Locked::parse`] gives the same value back.
    pub fn render(&self) -> String {
        let body = toml::to_string(self).expect("plain data serialises to TOML");
        format!("{HEAD}{body}")
    }

    /// The entry of a chart.
    pub fn get(&self, name: &str) -> Option<&Vendored> {
        let place = self
            .charts
            .binary_search_by(|chart| chart.name.as_str().cmp(name));
        place.ok().map(|place| &self.charts[place])
    }

    /// Puts an entry in its place, instead of the one there was.
    pub fn put(&mut self, chart: Vendored) {
        match self
            .charts
            .binary_search_by(|other| other.name.cmp(&chart.name))
        {
            Ok(place) => self.charts[place] = chart,
            Err(place) => self.charts.insert(place, chart),
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &str) {
        self.charts.retain(|chart| chart.name != name);
    }

    /// Whether it wants a file of the cache, by its name there.
    pub fn wants(&self, name: &str) -> bool {
        self.charts
            .iter()
            .any(|chart| name.starts_with(&chart.sha256))
    }
}

impl Vendored {
    /// What of a wish it does not fulfil, in words; `None` when it does.
    pub fn misses(&self, wish: &Chart) -> Option<String> {
        let repository = wish.repository.to_string();
        if self.repository != repository {
            return Some(format!(
                "is of {}, wanted is that of {repository}",
                self.repository
            ));
        }
        if Version::parse(&self.version).as_ref() != Some(&wish.version) {
            return Some(format!("is {}, wanted is {}", self.version, wish.version));
        }
        let known = wish
            .known
            .as_ref()
            .filter(|known| known.sha256 != self.sha256)?;
        Some(format!(
            "has sha256 {}, charts.toml says {}",
            self.sha256, known.sha256
        ))
    }

    fn check(&self) -> Result<(), String> {
        let Self {
            name: text,
            repository,
            version,
            app_version: _,
            url: address,
            sha256,
            size: _,
            digest_from: _,
            oci,
            files: _,
            tree,
        } = self;
        name(text)?;
        Repository::parse(repository)?;
        Version::parse(version).ok_or_else(|| format!("{version:?} is not a version"))?;
        url(address).map_err(|wrong| wrong.message)?;
        let parts = oci.iter().flat_map(|oci| [&oci.manifest, &oci.layer]);
        let parts = parts.map(|text| text.strip_prefix("sha256:").unwrap_or(""));
        for text in [sha256.as_str(), tree].into_iter().chain(parts) {
            match digest(text) {
                Ok(lower_case) if lower_case == text => {}
                _ => return Err(format!("{text:?} is not a sha256 in lower case")),
            }
        }
        Ok(())
    }
}
