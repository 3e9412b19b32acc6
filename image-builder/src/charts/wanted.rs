//! `charts.toml`: which charts are wanted, each at one version.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::{ChartsError, Version};
use crate::config::download::{digest, url};
use crate::config::{Disk, Files as _};

/// The version of the format.
const VERSION: u32 = 1;

/// A list of a thousand charts has a tenth of this.
const LIMIT: u64 = 4 << 20;

/// Longest name of a chart that Helm takes.
const NAME: usize = 250;

/// The charts that are wanted, as they stand in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Each name once.
    pub charts: Vec<Chart>,
}

/// One chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its name, which is that of its folder.
    pub name: String,
    /// Who publishes it.
    pub repository: Repository,
    /// The one version that is wanted.
    pub version: Version,
    /// What is known of its archive beforehand.
    pub known: Option<Known>,
}

/// A digest that was known before anything was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Where that is from, in words.
    pub from: String,
    /// Whether that was somebody else than the publisher.
    pub is_hearsay: bool,
}

/// A place where charts are published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repository {
    /// A web server with an `index.yaml`: its URL, without a slash at the end.
    Http(String),
    /// A registry: host, and what stands before the chart's name.
    Oci {
        /// Host, and port if it has one.
        host: String,
        /// Path without slashes at its ends.
        path: String,
    },
}

impl Wanted {
    /// Reads the list.
    ///
    /// # Errors
    /// When it cannot be read, or says what cannot be meant.
    pub fn load(path: &Path) -> Result<Self, ChartsError> {
        let bytes = Disk.read(path, LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ChartsError::NoList(path.into()),
            _ => ChartsError::file("reading", path)(error),
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map_err(|Wrong { line, why }| ChartsError::List {
            path: path.into(),
            line,
            why,
        })
    }

    /// Reads the text of a list.
    ///
    /// # Errors
    /// The first line with a mistake, and what it is.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let line = |at: usize| {
            text.as_bytes()[..at.min(text.len())]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1
        };
        let written: Written = toml::from_str(text).map_err(|error| Wrong {
            line: error.span().map_or(1, |span| line(span.start)),
            why: error.message().to_owned(),
        })?;
        if written.version != VERSION {
            let why = format!(
                "this is version {}, this imgbuild reads {VERSION}; update it",
                written.version
            );
            return Err(Wrong { line: 1, why });
        }
        let mut names = BTreeSet::new();
        let mut charts = Vec::new();
        for entry in written.chart {
            let at = line(entry.span().start);
            let chart = entry
                .into_inner()
                .check()
                .map_err(|why| Wrong { line: at, why })?;
            if !names.insert(chart.name.clone()) {
                let why = format!(
                    "the chart {:?} is here twice; one folder holds one version",
                    chart.name
                );
                return Err(Wrong { line: at, why });
            }
            charts.push(chart);
        }
        Ok(Self { charts })
    }
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub why: String,
}

impl Chart {
    /// Name and version, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Repository {
    /// Reads what stands in a list or a lock.
    ///
    /// # Errors
    /// When it is neither kind, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("oci://") else {
            let plain = url(text).map_err(|wrong| format!("{}; {}", wrong.message, wrong.hint))?;
            if plain.contains('?') {
                return Err("a repository has no `?` in its URL".into());
            }
            return Ok(Self::Http(plain.trim_end_matches('/').to_owned()));
        };
        let refuse = || {
            format!(
                "{text:?} is not a registry; write oci://, the host and the path before the chart's name"
            )
        };
        let (host, path) = rest
            .trim_end_matches('/')
            .split_once('/')
            .ok_or_else(refuse)?;
        let is_host = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        match is_host && path.split('/').all(is_component) {
            true => Ok(Self::Oci {
                host: host.to_owned(),
                path: path.to_owned(),
            }),
            false => Err(refuse()),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url),
            Self::Oci { host, path } => write!(f, "oci://{host}/{path}"),
        }
    }
}

/// Checks a chart's name: it becomes a folder, and a part of URLs.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_name = text.len() <= NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a chart's name: letters, digits and inner hyphens"
        )),
    }
}

/// A part of a repository's name (distribution specification, "Pulling manifests").
fn is_component(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if is_inner(*first) && is_inner(*last))
        && bytes
            .iter()
            .all(|byte| is_inner(*byte) || b"._-".contains(byte))
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    chart: Vec<Spanned<WrittenChart>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenChart {
    name: String,
    repository: String,
    version: String,
    sha256: Option<String>,
    sha256_from: Option<String>,
    #[serde(default)]
    unconfirmed: bool,
}

impl WrittenChart {
    fn check(self) -> Result<Chart, String> {
        let name = name(&self.name)?;
        let of = |why: String| format!("chart {name:?}: {why}");
        let version = Version::parse(&self.version).ok_or_else(|| {
            of(format!(
                "{:?} is not a version; write one that is published, such as \"1.2.3\"",
                self.version
            ))
        })?;
        let known = match (self.sha256, self.sha256_from) {
            (Some(sha256), Some(from)) => Some(Known {
                sha256: digest(&sha256)
                    .map_err(|wrong| of(format!("{}; {}", wrong.message, wrong.hint)))?,
                from,
                is_hearsay: self.unconfirmed,
            }),
            (Some(_), None) => {
                return Err(of("say in `sha256_from` where the sha256 is from".into()));
            }
            (None, Some(_)) => {
                return Err(of(
                    "`sha256_from` says where a sha256 is from, and there is none".into(),
                ));
            }
            (None, None) if self.unconfirmed => {
                return Err(of(
                    "`unconfirmed` is about a sha256, and there is none".into()
                ));
            }
            (None, None) => None,
        };
        Ok(Chart {
            repository: Repository::parse(&self.repository).map_err(of)?,
            name,
            version,
            known,
        })
    }
}
