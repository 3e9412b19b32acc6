//! The files a configuration leads to, behind a narrow seam.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where the configuration reads other files from.
pub trait Files {
    /// A regular file's whole content.
    ///
    /// # Errors
    /// When it cannot be read, is not a regular file, or is larger than `limit`.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// What `~` stands for.
    fn home(&self) -> Option<PathBuf>;
}

/// This machine's files.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // Looked at before it is opened: opening a pipe would wait for ever.
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !meta.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        std::fs::File::open(path)?
            .take(limit + 1)
            .read_to_end(&mut content)?;
        within(limit, content)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn home(&self) -> Option<PathBuf> {
        std::env::home_dir()
    }
}

/// Files in memory, for tests and fuzzing. The home is `/home/me`.
impl Files for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = self.get(path).ok_or(io::ErrorKind::NotFound)?;
        within(limit, content.clone())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inside = self.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn home(&self) -> Option<PathBuf> {
        Some(PathBuf::from("/home/me"))
    }
}

/// Files that are not written yet, before those of the disk: what is to be written
/// is checked first.
#[derive(Debug, Clone, Default)]
pub struct Draft(pub BTreeMap<PathBuf, Vec<u8>>);

impl Files for Draft {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        match self.0.get(path) {
            Some(content) => within(limit, content.clone()),
            None => Disk.read(path, limit),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = match Disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        names.extend(self.0.list(dir)?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn home(&self) -> Option<PathBuf> {
        Disk.home()
    }
}

/// Why a file could not be read, as the end of a sentence.
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::FileTooLarge => "it is too large for what it should be".to_owned(),
        _ => error.to_string(),
    }
}

/// A path as written in the file `from`: relative to that file's directory,
/// with `~/` for the user's home.
pub(crate) fn resolve(files: &dyn Files, from: &Path, written: &str) -> PathBuf {
    match (written.strip_prefix("~/"), files.home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => from.parent().unwrap_or(Path::new("")).join(written),
    }
}

fn within(limit: u64, content: Vec<u8>) -> io::Result<Vec<u8>> {
    if content.len() as u64 > limit {
        Err(io::ErrorKind::FileTooLarge.into())
    } else {
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a");
        std::fs::write(&file, "12345").expect("a file");
        let kind = |path: &Path, limit| Disk.read(path, limit).map_err(|error| error.kind());
        assert_eq!(kind(&file, 5), Ok(b"12345".to_vec()));
        assert_eq!(kind(&file, 4), Err(io::ErrorKind::FileTooLarge));
        assert_eq!(kind(dir.path(), 9), Err(io::ErrorKind::IsADirectory));
        assert_eq!(kind(Path::new("/dev/zero"), 9), Err(io::ErrorKind::Other));
        assert_eq!(kind(&dir.path().join("b"), 9), Err(io::ErrorKind::NotFound));
        assert_eq!(Disk.list(dir.path()).expect("readable"), ["a"]);
    }

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let files = BTreeMap::new();
        let at = |written| resolve(&files, Path::new("c/cluster.toml"), written);
        assert_eq!(at("keys/a.pub"), Path::new("c/keys/a.pub"));
        assert_eq!(at("/etc/key"), Path::new("/etc/key"));
        assert_eq!(at("~/.ssh/a.pub"), Path::new("/home/me/.ssh/a.pub"));
        let here = resolve(&files, Path::new("cluster.toml"), "a.pub");
        assert_eq!(here, Path::new("a.pub"));
    }
}
