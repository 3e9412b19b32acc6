//! Entries: put in with a record of what they are, and found again only as long
//! as they are that.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::lock::open_in_use;
use super::stamp::Stamp;
use super::{Cache, Kind};
use crate::io::{Scratch, scratch};
use crate::progress::Progress;

/// An entry in use: nobody prunes it while the file is open.
#[derive(Debug)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// The file, for reading.
    pub file: File,
    /// Its digest, by the rule of its kind.
    pub digest: String,
}

/// What is known of an entry.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    stamp: Stamp,
    digest: String,
    /// What it was made from, in words.
    from: String,
}

/// An entry in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its kind.
    pub kind: Kind,
    /// The file's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Bytes it takes on the disk.
    pub bytes: u64,
    /// When a run last used it.
    pub last_used: SystemTime,
    /// What it was made from, in words; empty when nobody recorded it.
    pub from: String,
    /// What [`Kind`] says it has to be, if that is known.
    pub digest: Option<String>,
}

impl Cache {
    /// An entry, if it is there and nothing happened to it since it was made.
    pub(in crate::source) fn find(
        &self,
        kind: Kind,
        name: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Option<Entry>> {
        let path = self.path(kind, name);
        let found = || -> io::Result<_> {
            let Some(file) = open_in_use(&path)? else {
                return Ok(None);
            };
            let stamp = Stamp::of(&file.metadata()?);
            Ok(Some((file, stamp)))
        };
        let reading = || format!("looking for {}", path.display());
        let Some((file, stamp)) = found().with_context(reading)? else {
            return Ok(None);
        };
        match self.record(kind, name) {
            Some(record) if record.stamp == stamp => {
                self.mark_used(kind, name, SystemTime::now());
                let digest = record.digest;
                Ok(Some(Entry { path, file, digest }))
            }
            Some(_) => {
                progress.note(&format!(
                    "{} was changed since imgbuild made it; it is made again",
                    path.display()
                ));
                Ok(None)
            }
            // A run that was killed between the entry and its record.
            None => Ok(None),
        }
    }

    /// A file in the making, for [`Cache::keep`].
    pub(in crate::source) fn begin(&self, kind: Kind) -> anyhow::Result<Scratch> {
        self.scratch(&self.dir.join(kind.dir()))
            .with_context(|| self.writing())
    }

    /// Syncs an entry and puts it in its place, whatever was there.
    pub(in crate::source) fn keep(
        &self,
        kind: Kind,
        name: &str,
        scratch: Scratch,
        digest: String,
        from: &str,
    ) -> anyhow::Result<Entry> {
        let path = self.path(kind, name);
        let keep = || {
            // Opened before it has its name: the name may be another run's soon.
            let file = File::open(scratch.path())?;
            scratch.keep(&path, true)?;
            file.lock_shared()?;
            Ok::<_, io::Error>(file)
        };
        let file = keep().with_context(|| self.writing())?;
        self.put_record(kind, name, &file, digest.clone(), from)?;
        Ok(Entry { path, file, digest })
    }

    /// An entry made once: `make` fills the file and everything about it; its
    /// digest is computed here.
    ///
    /// # Errors
    /// What `make` says, or the cache cannot be written.
    pub fn entry(
        &self,
        kind: Kind,
        name: &str,
        from: &str,
        progress: &mut dyn Progress,
        make: impl FnOnce(&Scratch, &mut dyn Progress) -> anyhow::Result<()>,
    ) -> anyhow::Result<Entry> {
        let _work = self.lock(&format!("{}-{name}", kind.dir()), progress)?;
        if let Some(entry) = self.find(kind, name, progress)? {
            return Ok(entry);
        }
        let scratch = self.begin(kind)?;
        make(&scratch, progress)?;
        let digest = kind.digest(scratch.file(), progress)?;
        self.keep(kind, name, scratch, digest, from)
    }

    /// Opens a file somebody named; one of the cache counts as used.
    pub(in crate::source) fn open(&self, path: &Path) -> io::Result<File> {
        match self.is_download(path) {
            true => open_in_use(path)?.ok_or_else(|| io::ErrorKind::NotFound.into()),
            false => File::open(path),
        }
    }

    /// Records that a file with this sha256 was used, if it is a download.
    pub(in crate::source) fn used_download(
        &self,
        path: &Path,
        file: &File,
        sha256: &str,
        from: &str,
    ) -> anyhow::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        match name.filter(|_| self.is_download(path)) {
            Some(name) => self.put_record(Kind::Download, name, file, sha256.to_owned(), from),
            None => Ok(()),
        }
    }

    fn is_download(&self, path: &Path) -> bool {
        path.parent() == Some(self.dir.join(Kind::Download.dir()).as_path())
    }

    /// Everything in the cache, by kind and name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            for path in files_in(&self.dir.join(kind.dir()))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if scratch::is_name(&name) {
                    continue;
                }
                // Removed just now, by another run.
                let Ok(meta) = fs::metadata(&path) else {
                    continue;
                };
                let record = self.record(kind, &name);
                let used = fs::metadata(self.record_path(kind, &name));
                let last_used = used.unwrap_or(meta.clone()).modified()?;
                let (digest, from) = match record {
                    Some(record) => (Some(record.digest), record.from),
                    None => (None, String::new()),
                };
                all.push(Listed {
                    kind,
                    digest: digest.or_else(|| named_digest(kind, &name)),
                    name: name.into_owned(),
                    path,
                    bytes: meta.blocks() * 512,
                    last_used,
                    from,
                });
            }
        }
        all.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        Ok(all)
    }

    pub(super) fn record_dir(&self, kind: Kind) -> PathBuf {
        self.dir.join("record").join(kind.dir())
    }

    fn record_path(&self, kind: Kind, name: &str) -> PathBuf {
        self.record_dir(kind).join(name)
    }

    fn record(&self, kind: Kind, name: &str) -> Option<Record> {
        let text = fs::read(self.record_path(kind, name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Removes what is known of an entry that is gone: alone it says nothing.
    pub(super) fn forget(&self, kind: Kind, name: &str) {
        let _ = fs::remove_file(self.record_path(kind, name));
    }

    /// Recognises an entry again that was copied or touched, but not changed.
    pub(super) fn recognise(&self, entry: &Listed, file: &File) -> anyhow::Result<()> {
        let stamp = Stamp::of(&file.metadata()?);
        match self.record(entry.kind, &entry.name) {
            Some(record) if record.stamp != stamp => {
                let Listed {
                    kind, name, from, ..
                } = entry;
                self.put_record(*kind, name, file, record.digest, from)?;
                // Looking is no use.
                self.mark_used(*kind, name, entry.last_used);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn put_record(
        &self,
        kind: Kind,
        name: &str,
        file: &File,
        digest: String,
        from: &str,
    ) -> anyhow::Result<()> {
        let record = Record {
            stamp: Stamp::of(&file.metadata()?),
            digest,
            from: from.to_owned(),
        };
        let text = serde_json::to_vec_pretty(&record)?;
        self.write(&self.record_path(kind, name), &text)
    }

    /// The record's own time is that of the last use.
    fn mark_used(&self, kind: Kind, name: &str, when: SystemTime) {
        // In a cache that cannot be written nothing is pruned either.
        let _ = File::options()
            .append(true)
            .open(self.record_path(kind, name))
            .and_then(|file| file.set_modified(when));
    }
}

/// The files of a directory; none when it is not there.
pub(super) fn files_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let reading = || format!("reading the cache's {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(reading)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(reading)?;
        if entry.file_type().with_context(reading)?.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// A download's name begins with its sha256.
fn named_digest(kind: Kind, name: &str) -> Option<String> {
    let (digest, _) = name.split_once('-').filter(|_| kind == Kind::Download)?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digest.to_owned())
}
