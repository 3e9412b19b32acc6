//! A chart's archive: a gzipped tar with one folder in it, which has the chart's
//! name (helm.sh, "Charts", the chart file structure). It comes from outside, and
//! what is in it becomes files of ours.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::tree::Tree;

/// Longest path in an archive; Linux would take four times as much.
const PATH: usize = 1024;

/// Longest part of one (`NAME_MAX`).
const PART: usize = 255;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that come out of it, the tar's own included.
    pub total: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Files and folders.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Helm's own limits: what is larger, it would not render.
            total: 100 << 20,
            file: 5 << 20,
            // The largest chart known has some hundreds.
            entries: 20_000,
        }
    }
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Cut off, or never one.
    #[error("it is not a gzipped tar: {0}")]
    Form(io::Error),
    /// A path that leads elsewhere, or that not every machine can have.
    #[error("it has an entry {path:?}, {why}")]
    Path {
        /// The path as it stands there.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is no file and no folder.
    #[error("its entry {path:?} is {what}; a chart has only files")]
    Kind {
        /// Where it is.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Two things in one place.
    #[error("its entry {0:?} is there twice")]
    Twice(String),
    /// Too much of something.
    #[error("it has more than {0}; Helm would not take it either")]
    TooMuch(String),
    /// Nothing.
    #[error("it has no file in it")]
    Empty,
    /// A file of this machine.
    #[error("writing {path}: {source}")]
    Write {
        /// Where, below the folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Unpacks the chart `name` into a folder that is new and ours: its files, without
/// the folder they are in there.
///
/// # Errors
/// When it is refused, or a file cannot be written. What was unpacked until then is
/// the caller's to remove.
pub fn unpack(
    archive: impl Read,
    name: &str,
    into: &Path,
    limits: &Limits,
) -> Result<Tree, ArchiveError> {
    walk(archive, name, limits, |path, bytes| {
        let write = || {
            let file = into.join(path);
            fs::create_dir_all(file.parent().unwrap_or(into))?;
            // New: nothing is ever written through what is there.
            File::create_new(file)?.write_all(bytes)
        };
        write().map_err(|source| ArchiveError::Write {
            path: path.to_owned(),
            source,
        })
    })
}

/// Reads the chart `name`, and gives each of its files to `take`.
///
/// # Errors
/// When it is refused, or what `take` says.
pub fn walk(
    archive: impl Read,
    name: &str,
    limits: &Limits,
    mut take: impl FnMut(&str, &[u8]) -> Result<(), ArchiveError>,
) -> Result<Tree, ArchiveError> {
    let capped = Capped {
        inner: MultiGzDecoder::new(archive),
        limit: limits.total,
        read: 0,
    };
    let mut archive = tar::Archive::new(capped);
    let mut files = BTreeMap::new();
    for (count, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        if count == limits.entries {
            return Err(ArchiveError::TooMuch(format!("{count} entries")));
        }
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            // A comment: `git archive` writes the commit into one.
            continue;
        }
        let path = path(&entry.path_bytes(), name)?;
        let path = match (kind, path) {
            (EntryType::Directory, _) => continue,
            (EntryType::Regular | EntryType::Continuous, Some(path)) => path,
            (_, path) => {
                let path = path.unwrap_or(name.to_owned());
                return Err(ArchiveError::Kind {
                    path,
                    what: what(kind),
                });
            }
        };
        let mut bytes = Vec::new();
        (&mut entry)
            .take(limits.file + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > limits.file {
            return Err(ArchiveError::TooMuch(format!(
                "{} bytes in {path:?}",
                limits.file
            )));
        }
        if is_taken(&files, &path) {
            return Err(ArchiveError::Twice(path));
        }
        take(&path, &bytes)?;
        files.insert(
            path,
            base16ct::lower::encode_string(&Sha256::digest(&bytes)),
        );
    }
    match files.is_empty() {
        true => Err(ArchiveError::Empty),
        false => Ok(Tree(files)),
    }
}

/// The path of an entry below the chart's folder; `None` for that folder itself.
fn path(bytes: &[u8], name: &str) -> Result<Option<String>, ArchiveError> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let refuse = |why| ArchiveError::Path {
        path: text.clone(),
        why,
    };
    if std::str::from_utf8(bytes).is_err() {
        return Err(refuse("which is not UTF-8"));
    }
    if text.len() > PATH {
        return Err(refuse("which is too long"));
    }
    let mut parts = text
        .strip_prefix("./")
        .unwrap_or(&text)
        .trim_end_matches('/')
        .split('/');
    if let Some(why) = parts.clone().find_map(wrong) {
        return Err(refuse(why));
    }
    if parts.next() != Some(name) {
        return Err(refuse("which is not in the folder of the chart's name"));
    }
    let rest: Vec<&str> = parts.collect();
    Ok((!rest.is_empty()).then(|| rest.join("/")))
}

/// What is wrong with a part of a path.
fn wrong(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("which begins with a slash or has two in a row"),
        "." | ".." => Some("which leads out of its folder"),
        _ if part.len() > PART => Some("which has too long a name in it"),
        _ if part.contains('\\') || part.chars().any(char::is_control) => {
            Some("which has a character that no name should have")
        }
        _ if part.eq_ignore_ascii_case(".git") => Some("which Git would take for its own"),
        _ => None,
    }
}

/// Whether something is there already, or a file where this wants a folder.
fn is_taken(files: &BTreeMap<String, String>, path: &str) -> bool {
    let folder = format!("{path}/");
    let below = files.range(folder.clone()..).next();
    files.contains_key(path)
        || below.is_some_and(|(other, _)| other.starts_with(&folder))
        || path
            .match_indices('/')
            .any(|(at, _)| files.contains_key(&path[..at]))
}

fn what(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "of an unknown kind",
    }
}

/// The archive is in a file of ours: whatever is wrong with it is its own.
fn unreadable(error: io::Error) -> ArchiveError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TooMuch>())
    {
        Some(TooMuch(bytes)) => ArchiveError::TooMuch(format!("{bytes} bytes")),
        None => ArchiveError::Form(error),
    }
}

/// What comes out of a small archive may be without end.
struct Capped<R> {
    inner: R,
    limit: u64,
    read: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct TooMuch(u64);

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.read += len as u64;
        match self.read > self.limit {
            true => Err(io::Error::other(TooMuch(self.limit))),
            false => Ok(len),
        }
    }
}
