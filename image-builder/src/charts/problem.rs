//! Why charts cannot be kept as they should.

use std::io;
use std::path::{Path, PathBuf};

use super::archive::ArchiveError;
use super::yaml::YamlError;

/// What is wrong with the lists of charts, a chart, or its folder.
#[derive(Debug, thiserror::Error)]
pub enum ChartsError {
    /// A file of this machine.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no list.
    #[error("there is no {}; write the charts that are wanted into it: docs/CHARTS.md shows how", .0.display())]
    NoList(PathBuf),
    /// The list says something that cannot be meant.
    #[error("{}:{line}: {why}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what to write instead.
        why: String,
    },
    /// The lock is none.
    #[error("{} is not a lock of charts: {why}; take it from Git again, or remove it and run `imgbuild charts vendor`", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An index that is none.
    #[error("{url} is not an index of charts: {source}")]
    Index {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        source: YamlError,
    },
    /// A registry's document that is none of a chart.
    #[error("{url} is not what a registry says of a chart: {why}")]
    Registry {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No such chart, or no such version.
    #[error("{repository} has no {what}; {advice}")]
    Absent {
        /// The repository.
        repository: String,
        /// What it does not have.
        what: String,
        /// What it has, or what to do.
        advice: String,
    },
    /// Nobody says which bytes are the chart.
    #[error(
        "{repository} gives no digest for {chart}; write the archive's as `sha256` into charts.toml, with `sha256_from`"
    )]
    NoDigest {
        /// The repository.
        repository: String,
        /// Name and version.
        chart: String,
    },
    /// The list and the publisher name other bytes.
    #[error(transparent)]
    Digest(Box<Disagreement>),
    /// A place for the archive that cannot be used.
    #[error("the place of {chart}, {url:?}, cannot be used: {why}")]
    Url {
        /// Name and version.
        chart: String,
        /// What the index says.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The archive is no chart, or not this one.
    #[error("the archive of {chart} is refused: {source}")]
    Archive {
        /// Name and version.
        chart: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// A chart that cannot be rendered, or is another one.
    #[error("the chart {chart} is refused: {why}")]
    Chart {
        /// Name and version.
        chart: String,
        /// What is wrong with it.
        why: String,
    },
    /// A folder that somebody else made or changed.
    #[error("{} {why}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is the matter with it, and what to do.
        why: String,
    },
    /// A name that is not in the list.
    #[error("charts.toml has no chart {0:?}; `imgbuild charts update` shows those it has")]
    Unknown(String),
}

/// The list and the publisher name other bytes for a chart.
#[derive(Debug, thiserror::Error)]
#[error(
    "the sha256 of {chart} is {published} according to {by}, and {known} according to charts.toml (from: {from}); {advice}"
)]
pub struct Disagreement {
    /// Name and version.
    pub chart: String,
    /// What the publisher says.
    pub published: String,
    /// Where.
    pub by: String,
    /// What charts.toml says.
    pub known: String,
    /// Where that is from.
    pub from: String,
    /// What to do.
    pub advice: &'static str,
}

impl ChartsError {
    /// What the system says about a file, with what was being done to it.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::File {
            doing,
            path: path.clone(),
            source,
        }
    }
}
