//! A base in memory, for tests: files, directories and links in a list.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::links::{self, Last};
use super::{BaseView, Change, Kind, Overlay, Part};

/// A base made of what it is told to hold. Parents come with their children.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryBase {
    entries: BTreeMap<(Part, String), Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    File(Vec<u8>),
    Dir,
    Symlink(String),
}

impl MemoryBase {
    /// Adds text files.
    pub(crate) fn files(mut self, part: Part, files: &[(&str, &str)]) -> Self {
        for (path, content) in files {
            self.insert(part, path, Entry::File(content.as_bytes().to_vec()));
        }
        self
    }

    /// Adds symbolic links to the root file system.
    pub(crate) fn links(mut self, links: &[(&str, &str)]) -> Self {
        for (path, target) in links {
            self.insert(Part::Root, path, Entry::Symlink((*target).to_owned()));
        }
        self
    }

    /// Takes away a path and everything below it.
    pub(crate) fn without(mut self, part: Part, path: &str) -> Self {
        self.remove(part, path);
        self
    }

    /// Applies an overlay, as the appliers of the real file systems do.
    pub(crate) fn apply(&mut self, overlay: &Overlay) {
        for part in [Part::Boot, Part::Root] {
            for (path, change) in overlay.changes(part) {
                match change {
                    Change::File { content, .. } => {
                        let bytes = content.inline().expect("small files only");
                        self.insert(part, path, Entry::File(bytes.to_vec()));
                    }
                    Change::Dir { .. } => self.insert(part, path, Entry::Dir),
                    Change::Symlink { target } => {
                        self.insert(part, path, Entry::Symlink(target.clone()));
                    }
                    Change::Remove => drop(self.remove(part, path)),
                    Change::Rename { to } => {
                        for (path, entry) in self.remove(part, path) {
                            self.insert(part, &format!("{to}{path}"), entry);
                        }
                    }
                }
            }
        }
    }

    fn insert(&mut self, part: Part, path: &str, entry: Entry) {
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            self.entries
                .entry((part, path[..at].to_owned()))
                .or_insert(Entry::Dir);
        }
        self.entries.insert((part, path.to_owned()), entry);
    }

    /// What was there, by its path below `path`.
    fn remove(&mut self, part: Part, path: &str) -> Vec<(String, Entry)> {
        let mut removed = Vec::new();
        self.entries.retain(|(p, name), entry| {
            let below = name
                .strip_prefix(path)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'));
            match below {
                Some(rest) if *p == part => {
                    removed.push((rest.to_owned(), entry.clone()));
                    false
                }
                _ => true,
            }
        });
        removed
    }

    /// The path with the links in it followed.
    fn resolve(&self, part: Part, path: &str, last: Last) -> Result<String> {
        links::follow(path, last, |path| {
            Ok(match self.entries.get(&(part, path.to_owned())) {
                Some(Entry::Symlink(target)) => Some(target.clone()),
                _ => None,
            })
        })
    }
}

impl BaseView for MemoryBase {
    fn read(&self, part: Part, path: &str) -> Result<Option<Vec<u8>>> {
        match self
            .entries
            .get(&(part, self.resolve(part, path, Last::Followed)?))
        {
            Some(Entry::File(content)) => Ok(Some(content.clone())),
            None => Ok(None),
            Some(_) => bail!("{path} is not a file"),
        }
    }

    fn kind(&self, part: Part, path: &str) -> Result<Option<Kind>> {
        Ok(self
            .entries
            .get(&(part, self.resolve(part, path, Last::Kept)?))
            .map(|entry| match entry {
                Entry::File(_) => Kind::File,
                Entry::Dir => Kind::Dir,
                Entry::Symlink(target) => Kind::Symlink(target.clone()),
            }))
    }

    fn list(&self, part: Part, path: &str) -> Result<Vec<String>> {
        let dir = self.resolve(part, path, Last::Followed)?;
        match self.entries.get(&(part, dir.clone())) {
            Some(Entry::Dir) => {}
            None => return Ok(Vec::new()),
            Some(_) => bail!("{path} is not a directory"),
        }
        let name = |path: &str| {
            let rest = path.strip_prefix(&dir)?.strip_prefix('/')?;
            (!rest.contains('/')).then(|| rest.to_owned())
        };
        Ok(self
            .entries
            .keys()
            .filter(|(p, _)| *p == part)
            .filter_map(|(_, path)| name(path))
            .collect())
    }
}
