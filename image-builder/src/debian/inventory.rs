//! What is installed, for lists of what an image is made of.

use super::installed::{STATUS, read_status};
use super::stanza::stanzas;
use crate::overlay::BaseView;

use anyhow::Context as _;

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `arm64` or `all`.
    pub architecture: String,
    /// The source package it was built from, and that one's version.
    pub source: (String, String),
}

/// The packages of an image whose files are there, sorted.
///
/// # Errors
/// When dpkg's status is missing or cannot be read.
pub fn inventory(base: &dyn BaseView) -> anyhow::Result<Vec<InstalledPackage>> {
    parse_inventory(&read_status(base)?)
}

/// The same, of a status that was read.
///
/// # Errors
/// When it cannot be understood.
pub fn parse_inventory(status: &str) -> anyhow::Result<Vec<InstalledPackage>> {
    let mut found = Vec::new();
    for stanza in stanzas(status) {
        let stanza = stanza.with_context(|| format!("reading {STATUS} of the image"))?;
        let state = stanza.value("Status").unwrap_or_default();
        if let Some("not-installed" | "config-files") = state.split_whitespace().next_back() {
            continue;
        }
        let field = |name: &'static str| {
            let line = stanza.line;
            let value = stanza.value(name).map(str::to_owned);
            value.with_context(|| format!("{STATUS}:{line}: a package without {name}"))
        };
        let (name, version) = (field("Package")?, field("Version")?);
        found.push(InstalledPackage {
            source: source(stanza.value("Source"), &name, &version),
            architecture: field("Architecture")?,
            name,
            version,
        });
    }
    found.sort();
    Ok(found)
}

/// deb-control(5), `Source`: left out where it says nothing new.
fn source(field: Option<&str>, name: &str, version: &str) -> (String, String) {
    let Some(field) = field else {
        return (name.to_owned(), version.to_owned());
    };
    match field.split_once(" (") {
        Some((source, of)) => (source.to_owned(), of.trim_end_matches(')').to_owned()),
        None => (field.to_owned(), version.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_what_the_field_leaves_out() {
        for (field, wanted) in [
            (None, ("libc6", "2.41-12")),
            (Some("glibc"), ("glibc", "2.41-12")),
            (Some("glibc (2.41-11)"), ("glibc", "2.41-11")),
        ] {
            let wanted = (wanted.0.to_owned(), wanted.1.to_owned());
            assert_eq!(source(field, "libc6", "2.41-12"), wanted);
        }
    }
}
