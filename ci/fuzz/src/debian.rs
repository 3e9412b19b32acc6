//! An image with a source of packages, and the repository behind it: all good
//! but for the one text that a target replaces.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use imgbuild::debian::{Repository, Resolution, resolve};
use imgbuild::overlay::{BaseView, Kind, Part};
use sha2::{Digest as _, Sha256};

/// What a hostile image or repository may have written.
#[derive(Default)]
pub struct Texts<'a> {
    /// `/etc/apt/sources.list`.
    pub list: &'a str,
    /// `/etc/apt/sources.list.d/more.sources`.
    pub sources: &'a str,
    /// Behind dpkg's own stanza in its status.
    pub status: &'a str,
    /// In place of a good `Release`.
    pub release: Option<&'a str>,
    /// The index.
    pub packages: &'a str,
}

/// A source that leads to the repository.
pub const SOURCE: &str = "deb http://m.test s main\n";

const STATUS: &str =
    "Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: arm64\n\n";

/// Finds what the first package that the index names needs.
///
/// # Errors
/// When an input says no.
pub fn run(texts: &Texts<'_>) -> anyhow::Result<Resolution> {
    let names = texts
        .packages
        .lines()
        .filter_map(|line| line.strip_prefix("Package:"));
    let wanted: Vec<String> = names.take(2).map(|name| name.trim().to_owned()).collect();
    let status = format!("{STATUS}{}", texts.status);
    let files = [
        ("/etc/apt/sources.list", texts.list),
        ("/etc/apt/sources.list.d/more.sources", texts.sources),
        ("/etc/apt/trusted.gpg", "a key"),
        ("/var/lib/dpkg/status", &status),
    ];
    let world = World {
        files: files
            .map(|(path, text)| (path, text.as_bytes().to_vec()))
            .into(),
        release: texts.release.map(str::to_owned),
        packages: texts.packages.as_bytes().to_vec(),
    };
    resolve(&world, &wanted, &world, UNIX_EPOCH.into())
}

struct World {
    files: BTreeMap<&'static str, Vec<u8>>,
    release: Option<String>,
    packages: Vec<u8>,
}

impl BaseView for World {
    fn read(&self, _: Part, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.files.get(path).cloned())
    }

    fn kind(&self, _: Part, path: &str) -> anyhow::Result<Option<Kind>> {
        Ok(self.files.get(path).map(|_| Kind::File))
    }

    fn list(&self, _: Part, path: &str) -> anyhow::Result<Vec<String>> {
        let names = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        Ok(names
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }
}

impl Repository for World {
    fn get(&self, url: &str, limit: u64) -> anyhow::Result<Vec<u8>> {
        assert!(
            url.starts_with("http://") || url.starts_with("https://"),
            "{url}"
        );
        let mut bytes = self.packages.clone();
        bytes.truncate(usize::try_from(limit)?);
        Ok(bytes)
    }

    fn verified(&self, _: &[u8], keyrings: &[Vec<u8>]) -> anyhow::Result<String> {
        assert!(!keyrings.is_empty());
        Ok(self
            .release
            .clone()
            .unwrap_or_else(|| release(&self.packages)))
    }
}

/// A release of the suite `s` with this index.
fn release(packages: &[u8]) -> String {
    let sha256: String = Sha256::digest(packages)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (size, path) = (packages.len(), "main/binary-arm64/Packages");
    format!("Suite: s\nDate: Thu, 01 Jan 1970 00:00:00 UTC\nSHA256:\n {sha256} {size} {path}\n")
}
