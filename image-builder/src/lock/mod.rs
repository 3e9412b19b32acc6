//! `imgbuild.lock`: every outside byte that builds use, by URL, size and
//! sha256. A value: read, compared, written in one place; made for review in
//! Git, so its order is fixed and each entry says who vouches for it.

mod archive;
pub mod borrow;
mod charts;
mod document;
mod payload;
mod resolve;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use charts::ChartFile;
pub use document::LockError;
pub use payload::{Missing, hand_over, payload};
pub(crate) use resolve::k3s_files;
pub use resolve::{Job, Update, resolve};

use crate::fetch::Wanted;
use crate::source::Cache;

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// Where a cluster's lock is: beside its file.
pub fn path(cluster_dir: &Path) -> PathBuf {
    cluster_dir.join("imgbuild.lock")
}

/// Everything that is locked. The lists are sorted by what each is found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format of this document, [`VERSION`].
    pub version: u32,
    /// Base images.
    #[serde(default)]
    pub base: Vec<Download>,
    /// Files of a K3s release.
    #[serde(default)]
    pub k3s: Vec<Download>,
    /// What profiles add.
    #[serde(default)]
    pub artifact: Vec<Download>,
    /// What bases need to have packages.
    #[serde(default)]
    pub packages: Vec<PackageSet>,
    /// Charts that images carry.
    #[serde(default, rename = "chart", skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<ChartFile>,
}

/// One file of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Where it is published, mirrors aside.
    pub url: String,
    /// Length in bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Fingerprint of the OpenPGP key whose signature on it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// What named the digest: a URL, or the file of ours that has it.
    pub digest_from: String,
}

/// Packages for one base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSet {
    /// sha256 of the unpacked base that they complete.
    pub base: String,
    /// What was asked for, sorted.
    pub wanted: Vec<String>,
    /// What that takes, in the order of installation.
    pub deb: Vec<Deb>,
}

/// One Debian package. Its digest is from an index that the archive signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deb {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `arm64` or `all`.
    pub architecture: String,
    /// Where it is.
    pub url: String,
    /// Length in bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            version: VERSION,
            base: Vec::new(),
            k3s: Vec::new(),
            artifact: Vec::new(),
            packages: Vec::new(),
            charts: Vec::new(),
        }
    }
}

impl Lock {
    /// The packages of a base.
    pub fn packages(&self, base: &str, wanted: &[String]) -> Option<&PackageSet> {
        let mut sets = self.packages.iter();
        sets.find(|set| set.base == base && set.wanted == wanted)
    }

    /// The archive of a chart.
    pub fn chart(&self, name: &str) -> Option<&ChartFile> {
        self.charts.iter().find(|chart| chart.name == name)
    }

    /// Every file, `(url, size, sha256)`; each digest once.
    pub fn files(&self) -> Vec<(&str, u64, &str)> {
        let mut files = BTreeMap::new();
        let downloads = self.base.iter().chain(&self.k3s).chain(&self.artifact);
        for Download {
            url, size, sha256, ..
        } in downloads
        {
            files.insert(sha256, (url.as_str(), *size, sha256.as_str()));
        }
        for Deb {
            url, size, sha256, ..
        } in self.packages.iter().flat_map(|set| &set.deb)
        {
            files.insert(sha256, (url, *size, sha256));
        }
        for chart in &self.charts {
            let ChartFile {
                url, size, sha256, ..
            } = chart;
            files.insert(sha256, (url, *size, sha256));
        }
        files.into_values().collect()
    }

    /// The same for the download room, with their places in the cache.
    pub fn wanted(&self, cache: &Cache) -> Vec<(Wanted, PathBuf)> {
        let files = self.files().into_iter();
        let wanted = files.map(|(url, size, sha256)| {
            let wanted = Wanted {
                url: url.to_owned(),
                sha256: Some(sha256.to_owned()),
                size: Some(size),
                limit: size,
            };
            (wanted, cached(cache, url, sha256))
        });
        wanted.collect()
    }

    /// Whether it wants a file of the cache, by its name there: a download, or what
    /// was unpacked from one; both begin with the download's sha256.
    pub fn wants(&self, name: &str) -> bool {
        let files = self.files();
        files.iter().any(|(_, _, sha256)| name.starts_with(sha256))
    }

    /// How a lock differs from an older one, a line each change.
    pub fn changes_since(&self, old: &Lock) -> Vec<ChangeLine> {
        let (before, after) = (old.lines(), self.lines());
        let mut lines = Vec::new();
        for (what, now) in &after {
            match before.get(what) {
                None => lines.push(ChangeLine::Added(what.clone(), now.clone())),
                Some(then) if then != now => {
                    lines.push(ChangeLine::Changed(what.clone(), then.clone(), now.clone()));
                }
                Some(_) => {}
            }
        }
        for what in before.keys().filter(|what| !after.contains_key(*what)) {
            lines.push(ChangeLine::Removed(what.clone()));
        }
        lines
    }

    /// Each entry by what it is, and what the lock says of it.
    fn lines(&self) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        for (kind, downloads) in [
            ("base", &self.base),
            ("k3s", &self.k3s),
            ("artifact", &self.artifact),
        ] {
            for download in downloads {
                lines.insert(format!("{kind} {}", download.url), download.to_string());
            }
        }
        for chart in &self.charts {
            let says = format!("{}, sha256 {}", chart.version, short(&chart.sha256));
            lines.insert(format!("chart {}", chart.name), says);
        }
        for set in &self.packages {
            for deb in &set.deb {
                let what = format!("package {} for base {}", deb.name, short(&set.base));
                let says = format!("{}, sha256 {}", deb.version, short(&deb.sha256));
                lines.insert(what, says);
            }
        }
        lines
    }
}

/// One difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeLine {
    /// What it is, and what is locked.
    Added(String, String),
    /// What it is, what was locked, what is.
    Changed(String, String, String),
    /// What it was.
    Removed(String),
}

impl fmt::Display for ChangeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeLine::Added(what, now) => write!(f, "+ {what}: {now}"),
            ChangeLine::Changed(what, then, now) => write!(f, "~ {what}: {then} -> {now}"),
            ChangeLine::Removed(what) => write!(f, "- {what}"),
        }
    }
}

impl fmt::Display for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, sha256 {}", self.size, short(&self.sha256))?;
        match &self.signer {
            Some(signer) => write!(f, ", signed by {signer}"),
            None => Ok(()),
        }
    }
}

/// Where a locked file is in the cache.
pub(crate) fn cached(cache: &Cache, url: &str, sha256: &str) -> PathBuf {
    let name = url.rsplit('/').next().unwrap_or(url);
    cache.download(sha256, name)
}

/// Enough of a digest to tell it from another.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(url: &str, digit: char) -> Download {
        Download {
            url: url.into(),
            size: 7,
            sha256: digit.to_string().repeat(64),
            signer: None,
            digest_from: "profile pi5-ssd".into(),
        }
    }

    #[test]
    fn differences_are_named_once() {
        let old = Lock {
            base: vec![download("https://a/1", 'a'), download("https://a/2", 'b')],
            ..Lock::default()
        };
        let new = Lock {
            base: vec![download("https://a/2", 'c')],
            artifact: vec![download("https://a/1", 'a')],
            ..Lock::default()
        };
        let lines: Vec<_> = new
            .changes_since(&old)
            .iter()
            .map(ChangeLine::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "+ artifact https://a/1: 7 bytes, sha256 aaaaaaaaaaaaaaaa",
                "~ base https://a/2: 7 bytes, sha256 bbbbbbbbbbbbbbbb -> 7 bytes, sha256 cccccccccccccccc",
                "- base https://a/1",
            ]
        );
        assert_eq!(new.changes_since(&new), []);
    }

    #[test]
    fn a_file_that_two_need_is_fetched_once() {
        let deb = Deb {
            name: "a".into(),
            version: "1".into(),
            architecture: "all".into(),
            url: "https://a/a.deb".into(),
            size: 1,
            sha256: "d".repeat(64),
        };
        let set = |base: &str| PackageSet {
            base: base.repeat(64),
            wanted: vec!["a".into()],
            deb: vec![deb.clone()],
        };
        let lock = Lock {
            packages: vec![set("1"), set("2")],
            ..Lock::default()
        };
        assert_eq!(lock.files().len(), 1);
        assert_eq!(
            lock.packages(&"2".repeat(64), &["a".into()]),
            Some(&set("2"))
        );
        assert_eq!(lock.packages(&"2".repeat(64), &[]), None);
    }
}
