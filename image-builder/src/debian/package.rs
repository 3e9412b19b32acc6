//! A package as a stanza of an index or of dpkg's status describes it.

use debversion::Version;

use super::relation::{self, Relation};
use super::stanza::Stanza;

/// One version of one package. The texts are those of the index.
#[derive(Debug, Clone)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: Version,
    pub(super) architecture: &'a str,
    pub(super) multi_arch: MultiArch,
    pub(super) essential: bool,
    pub(super) importance: Importance,
    /// Whether the image has it.
    pub(super) installed: bool,
    pub(super) provides: Option<&'a str>,
    pub(super) pre_depends: Option<&'a str>,
    pub(super) depends: Option<&'a str>,
    pub(super) conflicts: Option<&'a str>,
    pub(super) breaks: Option<&'a str>,
    /// Where it is; `None` for what is installed.
    pub(super) file: Option<File<'a>>,
}

/// Where a package's file is and what it must be.
#[derive(Debug, Clone)]
pub(super) struct File<'a> {
    /// Relative to its repository, normal, without a slash before it.
    pub(super) path: &'a str,
    /// In bytes.
    pub(super) size: u64,
    /// 64 hexadecimal digits, as written.
    pub(super) sha256: &'a str,
    /// Index of the source it comes from.
    pub(super) source: usize,
    /// apt's priority of that source (apt_preferences(5)).
    pub(super) priority: u16,
}

/// The `Multi-Arch` field (deb-control(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MultiArch {
    No,
    Same,
    Foreign,
    Allowed,
}

/// The `Priority` field: of several packages that provide a name, the more
/// important one is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Importance {
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

impl<'a> Package<'a> {
    /// Reads what relates packages to each other; the rest is the caller's.
    ///
    /// # Errors
    /// Which field is missing or wrong.
    pub(super) fn read(stanza: &Stanza<'a>) -> Result<Self, String> {
        let need = |field: &str| {
            let missing = || format!("the stanza has no {field}");
            stanza.value(field).ok_or_else(missing)
        };
        let name = need("Package")?;
        let version = need("Version")?;
        Ok(Self {
            name,
            version: parse_version(version)?,
            architecture: need("Architecture")?,
            multi_arch: match stanza.value("Multi-Arch") {
                Some("same") => MultiArch::Same,
                Some("foreign") => MultiArch::Foreign,
                Some("allowed") => MultiArch::Allowed,
                _ => MultiArch::No,
            },
            essential: stanza.is_yes("Essential"),
            importance: match stanza.value("Priority") {
                Some("required") => Importance::Required,
                Some("important") => Importance::Important,
                Some("standard") => Importance::Standard,
                Some("extra") => Importance::Extra,
                _ => Importance::Optional,
            },
            installed: false,
            provides: stanza.value("Provides"),
            pre_depends: stanza.value("Pre-Depends"),
            depends: stanza.value("Depends"),
            conflicts: stanza.value("Conflicts"),
            breaks: stanza.value("Breaks"),
            file: None,
        })
    }

    /// The names it provides beside its own.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn provided(&self) -> Result<Vec<Relation<'a>>, String> {
        let groups = relation::parse(self.provides.unwrap_or_default())?;
        Ok(groups.into_iter().flatten().collect())
    }
}

/// Reads a version, and says which one it cannot read.
fn parse_version(text: &str) -> Result<Version, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no version of a package"))
}

/// By name and version, as messages name it.
impl std::fmt::Display for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
