//! The boot partition of a release disk, where its user's machine has it mounted, or
//! a copy of it. Plain files: no partition is looked for, and nothing is mounted.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use node_config::seed::{self, MAX_SEED};
use node_config::{Seed, paths};

use super::Bundle;
use crate::build::Described;
use crate::io::Scratch;
use crate::plan::Size;
use crate::release::Hashed;
use crate::sink::free_space;

/// A release's description lists its packages and files: some 100 bytes each.
const MAX_DESCRIPTION: u64 = 4 << 20;

/// What a directory entry, a document and half-used clusters take, at most.
const BESIDE: u64 = 256 << 10;

/// Why a folder gets no seed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Not a release's boot partition.
    #[error(
        "{} is not the boot partition of a release disk: there is no release.json in it; name the \
         folder where its first partition is mounted. A disk that became a node has none either: \
         write the release to it again",
        .0.display()
    )]
    NoRelease(PathBuf),
    /// A file there that is not what its name says.
    #[error("{}: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It has another release.
    #[error(
        "the disk at {} is the release {has}, and --release names {given}; they must be the same image",
        dir.display()
    )]
    OtherRelease {
        /// Where.
        dir: PathBuf,
        /// The disk's.
        has: String,
        /// The image's.
        given: String,
    },
    /// Another node's seed is there.
    #[error("{} has the seed of {node} already; --replace puts another in its place", dir.display())]
    Taken {
        /// Where.
        dir: PathBuf,
        /// Whose.
        node: String,
    },
    /// No room.
    #[error(
        "{} has {free} free and the seed needs {needed}; remove what you put there yourself",
        dir.display()
    )]
    Full {
        /// Where.
        dir: PathBuf,
        /// What is free.
        free: Size,
        /// What is needed.
        needed: Size,
    },
    /// It cannot be read or written.
    #[error("{} cannot be {doing}: {why}", path.display())]
    Io {
        /// "read", "written".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        why: io::Error,
    },
}

impl PlaceError {
    /// Whether it is the right place, and only cannot take the seed.
    pub fn is_full(&self) -> bool {
        matches!(self, PlaceError::Full { .. } | PlaceError::Io { .. })
    }
}

/// A folder that may get a seed.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
    /// Its `release.json`.
    text: Vec<u8>,
    /// The name in that.
    release: String,
}

impl Place {
    /// The boot partition in a folder. With `replace`, the seed of another node may go.
    ///
    /// # Errors
    /// [`PlaceError`] when it is none, or has the seed of another node than `node`.
    pub fn open(dir: &Path, node: &str, replace: bool) -> Result<Self, PlaceError> {
        let path = dir.join(name(paths::BOOT_RELEASE));
        let text = read(&path, MAX_DESCRIPTION)?;
        let text = text.ok_or_else(|| PlaceError::NoRelease(dir.to_owned()))?;
        let release = seed::release_name(&text).map_err(|error| PlaceError::Foreign {
            path,
            why: format!("it is not a release's description: {error}"),
        })?;
        let place = Self {
            dir: dir.to_owned(),
            text,
            release,
        };
        match place.seeded()? {
            Some(other) if other != node && !replace => Err(PlaceError::Taken {
                dir: place.dir,
                node: other,
            }),
            _ => Ok(place),
        }
    }

    /// The node whose seed is there. One that was not copied whole is nobody's.
    fn seeded(&self) -> Result<Option<String>, PlaceError> {
        let text = read(&self.at(paths::BOOT_SEED), MAX_SEED)?;
        let seed = text.and_then(|text| Seed::parse(&text).ok());
        Ok(seed.map(|seed| seed.node))
    }

    /// Checks that it is the boot partition of this release: two of one name may
    /// differ, so by all that it says.
    ///
    /// # Errors
    /// [`PlaceError::OtherRelease`] when it is not.
    pub fn has(&self, release: &Described) -> Result<(), PlaceError> {
        if self.text == release.text.as_bytes() {
            return Ok(());
        }
        let given = release.carried.release.clone();
        let given = match given == self.release {
            true => format!("another one of that name, {given}"),
            false => given,
        };
        Err(PlaceError::OtherRelease {
            dir: self.dir.clone(),
            has: self.release.clone(),
            given,
        })
    }

    /// Writes a seed, in place of one that is there: the bundle, then the document that
    /// says it is there.
    ///
    /// # Errors
    /// [`PlaceError`] when there is no room, or it cannot be written. There is no seed
    /// then.
    pub fn put(
        &self,
        bundle: &Bundle<'_>,
        document: impl FnOnce(seed::Bundle) -> Seed,
    ) -> Result<Seed, PlaceError> {
        // What is left of an old one must never be taken for the new one.
        for path in [paths::BOOT_SEED, paths::BOOT_SEED_BUNDLE] {
            self.remove(path)?;
        }
        self.check_room(bundle.len() + BESIDE)?;
        let path = self.at(paths::BOOT_SEED_BUNDLE);
        let write = || {
            let scratch = Scratch::new(&self.dir)?;
            let mut hashed = Hashed::new(BufWriter::new(scratch.file()));
            bundle.write(&mut hashed)?;
            hashed.flush()?;
            let written = hashed.file(String::new());
            scratch.keep(&path, true)?;
            Ok(written)
        };
        let written = write().map_err(failed("written", &path))?;
        let seed = document(seed::Bundle {
            index: bundle.index_len(),
            len: written.size,
            sha256: written.sha256,
        });
        let path = self.at(paths::BOOT_SEED);
        let write = || {
            let scratch = Scratch::new(&self.dir)?;
            scratch.file().write_all(seed.render().as_bytes())?;
            scratch.keep(&path, true)
        };
        write().map_err(failed("written", &path))?;
        Ok(seed)
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        let path = self.at(path);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| File::open(&self.dir)?.sync_all()),
        };
        removed.map_err(failed("removed", &path))
    }

    fn check_room(&self, needed: u64) -> Result<(), PlaceError> {
        let free = File::open(&self.dir).and_then(|dir| free_space(&dir));
        let free = free.map_err(failed("read", &self.dir))?;
        match free < needed {
            true => Err(PlaceError::Full {
                dir: self.dir.clone(),
                free: Size(free),
                needed: Size(needed),
            }),
            false => Ok(()),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.join(name(path))
    }
}

/// The name in its root directory of a file of the boot partition.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A file that is not larger than it may be; none where there is none.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, PlaceError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("read", path))?,
    };
    let mut bytes = Vec::new();
    let len = file.take(limit + 1).read_to_end(&mut bytes);
    if len.map_err(failed("read", path))? as u64 > limit {
        return Err(PlaceError::Foreign {
            path: path.to_owned(),
            why: "it is too large to be what its name says".into(),
        });
    }
    Ok(Some(bytes))
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PlaceError + 'a {
    move |why| PlaceError::Io {
        doing,
        path: path.to_owned(),
        why,
    }
}
