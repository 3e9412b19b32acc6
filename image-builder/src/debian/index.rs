//! `Packages` files: what the sources offer.

use anyhow::{Context as _, bail};

use super::fetch::Index;
use super::package::{File, Package};
use super::release::is_sha256;
use super::stanza::{Stanza, stanzas};
use crate::overlay::is_normal;

/// All packages of all indices for the image's architecture, in their order.
#[derive(Debug)]
pub(super) struct Indices<'a> {
    pub(super) packages: Vec<Package<'a>>,
}

impl<'a> Indices<'a> {
    /// Reads the indices.
    ///
    /// # Errors
    /// With the index and the line.
    pub(super) fn parse(indices: &'a [Index], architecture: &str) -> anyhow::Result<Self> {
        let mut packages = Vec::new();
        for index in indices {
            for stanza in stanzas(&index.text) {
                let stanza = stanza.with_context(|| format!("reading {}", index.name))?;
                let read = read(&stanza, index).with_context(|| {
                    format!(
                        "reading the package at line {} of {}",
                        stanza.line, index.name
                    )
                })?;
                if [architecture, "all"].contains(&read.architecture) {
                    packages.push(read);
                }
            }
        }
        Ok(Self { packages })
    }
}

fn read<'a>(stanza: &Stanza<'a>, index: &Index) -> anyhow::Result<Package<'a>> {
    let mut package = Package::read(stanza).map_err(anyhow::Error::msg)?;
    let need = |name: &str| {
        let field = stanza.value(name);
        field.with_context(|| format!("the stanza of {package} has no {name}"))
    };
    let path = need("Filename")?;
    let path = path.strip_prefix("./").unwrap_or(path);
    if !is_normal(&format!("/{path}")) {
        bail!("{package} has the file name `{path}`, which leads out of its repository");
    }
    let sha256 = need("SHA256")?;
    if !is_sha256(sha256) {
        bail!("{package} has the sha256 `{sha256}`, which is none");
    }
    let size = need("Size")?;
    package.file = Some(File {
        path,
        size: size
            .parse()
            .with_context(|| format!("{package} has the size `{size}`"))?,
        sha256,
        source: index.source,
        priority: index.priority,
    });
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(file: &str, size: &str, sha256: &str) -> Index {
        Index {
            name: "http://m.test/Packages".to_owned(),
            text: format!(
                "Package: a\nVersion: 1\nArchitecture: all\nFilename: {file}\nSize: {size}\n\
                 SHA256: {sha256}\n\nPackage: b\nVersion: 1\nArchitecture: amd64\n\
                 Filename: pool/b.deb\nSize: 1\nSHA256: {sha256}\n"
            ),
            source: 0,
            priority: 500,
        }
    }

    #[test]
    fn packages_of_the_architecture_and_of_all_are_taken() {
        let indices = [index("./pool/a.deb", "7", &"0".repeat(64))];
        let all = Indices::parse(&indices, "arm64").expect("index").packages;
        assert_eq!(all.len(), 1);
        let file = all[0].file.as_ref().expect("file");
        assert_eq!((file.path, file.size), ("pool/a.deb", 7));
    }

    #[test]
    fn what_cannot_be_fetched_safely_is_refused() {
        let zero = "0".repeat(64);
        for (file, size, sha256, expected) in [
            ("../a.deb", "7", &zero[..], "leads out of its repository"),
            ("/a.deb", "7", &zero, "leads out of its repository"),
            ("a.deb", "-7", &zero, "a 1 has the size `-7`"),
            ("a.deb", "7", "00", "a 1 has the sha256 `00`"),
            ("", "7", &zero, "the stanza of a 1 has no Filename"),
        ] {
            let indices = [index(file, size, sha256)];
            let error = format!(
                "{:#}",
                Indices::parse(&indices, "arm64").expect_err(expected)
            );
            assert!(
                error.contains("line 1 of http://m.test/Packages"),
                "{error}"
            );
            assert!(error.contains(expected), "{error}");
        }
    }
}
