//! Images and repositories of a few lines, for the tests of this room.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::Repository;
use crate::overlay::memory::MemoryBase;
use crate::overlay::{Part, hex};

/// What stands before a text that counts as signed.
const SIGNED: &str = "signed by the test's key\n";
/// The key that signs it.
pub(super) const KEY: &str = "the test's key";

/// Addresses and what is there.
#[derive(Debug, Default, Clone)]
pub(super) struct Web(pub(super) BTreeMap<String, Vec<u8>>);

impl Repository for Web {
    fn get(&self, url: &str, limit: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = self
            .0
            .get(url)
            .with_context(|| format!("{url}: not found"))?;
        if bytes.len() as u64 > limit {
            bail!("{url} has more than {limit} bytes");
        }
        Ok(bytes.clone())
    }

    fn verified(&self, inrelease: &[u8], keyrings: &[Vec<u8>]) -> anyhow::Result<String> {
        let text = String::from_utf8(inrelease.to_vec())?;
        match text.strip_prefix(SIGNED) {
            Some(text) if keyrings.iter().any(|key| key == KEY.as_bytes()) => Ok(text.to_owned()),
            _ => bail!("no key of the image has signed it"),
        }
    }
}

impl Web {
    /// Puts files into a suite, and lists those in its signed `InRelease`.
    pub(super) fn suite(mut self, dist: &str, settings: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let mut text = format!("{SIGNED}Date: {DATE}\n{settings}SHA256:\n");
        for (path, bytes) in files {
            let sha256 = hex(&Sha256::digest(bytes));
            text += &format!(" {sha256} {} {path}\n", bytes.len());
            self.0.insert(format!("{dist}{path}"), bytes.clone());
        }
        self.0.insert(format!("{dist}InRelease"), text.into_bytes());
        self
    }

    /// The suite `trixie` at `http://m.test/`, of these packages.
    pub(super) fn trixie(self, packages: &str) -> Self {
        let path = "main/binary-arm64/Packages";
        self.suite(
            "http://m.test/dists/trixie/",
            "Codename: trixie\n",
            &[(path, index(packages).into_bytes())],
        )
    }
}

const DATE: &str = "Sat, 15 Nov 2025 09:51:34 UTC";

/// A day later.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_763_286_694).expect("a time")
}

/// Stanzas out of lines like `a 1.2; Depends: b; Multi-Arch: same`. A name may
/// have an architecture behind a colon.
pub(super) fn stanzas(lines: &str, more: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, fields) = line.split_once(';').unwrap_or((line, ""));
        let (name, version) = head.split_once(' ').expect("name and version");
        let (name, arch) = name.split_once(':').unwrap_or((name, "arm64"));
        text += &format!("Package: {name}\nVersion: {version}\nArchitecture: {arch}\n");
        for field in fields
            .split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
        {
            text += &format!("{field}\n");
        }
        text += &more(name, version);
        text.push('\n');
    }
    text
}

/// An index of such lines.
pub(super) fn index(lines: &str) -> String {
    stanzas(lines, |name, version| {
        let sha256 = "0".repeat(64);
        format!("Filename: pool/{name}_{version}.deb\nSize: 7\nSHA256: {sha256}\n")
    })
}

/// An image with these packages beside dpkg, and `trixie` as its source.
pub(super) fn image(installed: &str) -> MemoryBase {
    let status = stanzas(&format!("dpkg 1\n{installed}"), |_, _| {
        "Status: install ok installed\n".to_owned()
    });
    MemoryBase::default().files(
        Part::Root,
        &[
            ("/var/lib/dpkg/status", &status),
            ("/etc/apt/sources.list", "deb http://m.test trixie main\n"),
            ("/etc/apt/trusted.gpg.d/test.asc", KEY),
        ],
    )
}
