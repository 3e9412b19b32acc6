//! What a release consists of, as both lists of materials have it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::release::facts::Facts;

/// What is written as it is in a package URL (package-url/purl-spec, "Character
/// encoding").
const PURL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// One part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// An identifier that is unique within the release and the same in the next
    /// one of the same content: letters, digits, `.` and `-`.
    pub id: String,
    pub name: String,
    pub version: String,
    /// Package URL.
    pub purl: Option<String>,
    /// Where it was downloaded.
    pub url: Option<String>,
    pub sha256: Option<String>,
    /// In the image as a file and not installed, or the other way round.
    pub comment: &'static str,
}

/// Everything, in a fixed order.
pub(super) fn parts(facts: &Facts) -> Vec<Part> {
    let mut parts = Vec::new();
    for package in &facts.installed {
        let (source, source_version) = &package.source;
        let mut purl = deb_purl(&package.name, &package.version, &package.architecture);
        purl += &format!("&upstream={}%40{}", encode(source), encode(source_version));
        parts.push(Part {
            id: id(
                "deb",
                &[&package.name, &package.architecture, &package.version],
            ),
            name: package.name.clone(),
            version: package.version.clone(),
            purl: Some(purl),
            url: None,
            sha256: None,
            comment: "installed in the base image",
        });
    }
    for deb in &facts.debs {
        parts.push(Part {
            id: id("carried", &[&deb.name, &deb.architecture, &deb.version]),
            name: deb.name.clone(),
            version: deb.version.clone(),
            purl: Some(deb_purl(&deb.name, &deb.version, &deb.architecture)),
            url: Some(deb.url.clone()),
            sha256: Some(deb.sha256.clone()),
            comment: "carried as a file; installed at the node's first boot",
        });
    }
    for krate in &facts.crates {
        let (name, version) = (&krate.name, &krate.version);
        parts.push(Part {
            id: id("crate", &[name, version]),
            name: name.clone(),
            version: version.clone(),
            purl: Some(format!("pkg:cargo/{}@{}", encode(name), encode(version))),
            url: None,
            sha256: None,
            comment: "linked into the first-boot agent",
        });
    }
    for file in facts.k3s.iter().chain(&facts.artifacts) {
        let name = file.url.rsplit('/').next().unwrap_or(&file.url);
        let of_k3s = facts.k3s.contains(file);
        let version = facts.k3s_version.as_ref().filter(|_| of_k3s);
        let purl = version.map(|version| format!("pkg:github/k3s-io/k3s@{}", encode(version)));
        parts.push(Part {
            id: id("file", &[name, &file.sha256[..12]]),
            name: name.to_owned(),
            version: version.cloned().unwrap_or_default(),
            purl,
            url: Some(file.url.clone()),
            sha256: Some(file.sha256.clone()),
            comment: "downloaded as it is",
        });
    }
    parts
}

fn deb_purl(name: &str, version: &str, architecture: &str) -> String {
    // Without a distribution: whose archive a package is from only its version says.
    format!(
        "pkg:deb/debian/{}@{}?arch={}",
        encode(name),
        encode(version),
        encode(architecture)
    )
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PURL).to_string()
}

/// SPDX 2.3, 3.2: letters, digits, `.` and `-`. Another character becomes its
/// code, so that no two names become the same.
fn id(kind: &str, words: &[&str]) -> String {
    let mut id = kind.to_owned();
    for word in words {
        id.push('-');
        for c in word.chars() {
            match c {
                '.' | 'a'..='z' | 'A'..='Z' | '0'..='9' => id.push(c),
                '-' => id.push_str("--"),
                c => id += &format!("-x{:x}-", u32::from(c)),
            }
        }
    }
    id
}
