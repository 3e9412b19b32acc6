//! Files that come to be together.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::IGNORED;

/// Why a folder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something is there.
    #[error("{} is there already, and nothing of yours is written over; nothing is changed", .0.display())]
    Exists(PathBuf),
    /// There is a .gitignore, and it would let out what must not get out.
    #[error(
        "{} is there and is not written over; add the lines {} to it, then run this again; nothing \
         is changed", .0.display(), IGNORED.join(" and ")
    )]
    Ignored(PathBuf),
    /// It cannot be written.
    #[error("{} cannot be written: {}; nothing is left of it", .0.display(), .1)]
    Write(PathBuf, io::Error),
}

/// A folder in the making: what is made in it is gone again when the value is
/// dropped before [`Folder::keep`].
#[derive(Debug, Default)]
pub struct Folder {
    /// Files and directories, in the order they were made.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Looks whether these files can be made; nothing is.
    ///
    /// # Errors
    /// With the first that is there. A .gitignore that has our lines may stay.
    pub fn check<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), FolderError> {
        for path in files {
            // A link that leads nowhere is there too.
            if fs::symlink_metadata(path).is_err() {
                continue;
            }
            if !is_ignored(path) {
                return Err(FolderError::Exists(path.into()));
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            let has = |line: &str| text.lines().any(|has| has.trim_start_matches('/') == line);
            if !IGNORED.into_iter().all(has) {
                return Err(FolderError::Ignored(path.into()));
            }
        }
        Ok(())
    }

    /// Makes a file and the directories above it.
    ///
    /// # Errors
    /// When it is there, or cannot be made.
    pub fn write(&mut self, path: &Path, text: &str) -> Result<(), FolderError> {
        if is_ignored(path) && path.exists() {
            return Ok(());
        }
        self.directory(path.parent().unwrap_or(Path::new("")))?;
        let mut file = File::create_new(path).map_err(failed(path))?;
        self.made.push(path.into());
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(failed(path))
    }

    /// Takes over a file that somebody else made for the folder.
    pub fn take(&mut self, path: &Path) {
        self.made.push(path.into());
    }

    /// All is there: it stays.
    pub fn keep(mut self) {
        self.made.clear();
    }

    fn directory(&mut self, dir: &Path) -> Result<(), FolderError> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        self.directory(dir.parent().unwrap_or(Path::new("")))?;
        fs::create_dir(dir).map_err(failed(dir))?;
        self.made.push(dir.into());
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // A directory that somebody put something into meanwhile stays.
            let _ = match path.is_dir() {
                true => fs::remove_dir(path),
                false => fs::remove_file(path),
            };
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => FolderError::Exists(path.into()),
        _ => FolderError::Write(path.into(), error),
    }
}

fn is_ignored(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_gone_and_nothing_else() {
        let dir = tempfile::tempdir().expect("directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("there")).expect("directory");
        let mut folder = Folder::default();
        folder.write(&at("a/b/c"), "c").expect("written");
        folder.write(&at("there/d"), "d").expect("written");
        drop(folder);
        assert!(!at("a").exists() && at("there").exists() && !at("there/d").exists());

        let mut folder = Folder::default();
        folder.write(&at("a/b/c"), "c").expect("written");
        folder.keep();
        let mut folder = Folder::default();
        let error = folder.write(&at("a/b/c"), "new").expect_err("there");
        assert!(matches!(error, FolderError::Exists(_)), "{error}");
        drop(folder);
        assert_eq!(fs::read_to_string(at("a/b/c")).expect("text"), "c");
    }

    #[test]
    fn a_gitignore_may_stay_if_it_keeps_secrets_out() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join(".gitignore");
        fs::write(&path, "*.o\n/out/\ncluster/secrets/\n").expect("written");
        Folder::check([path.as_path()]).expect("has our lines");
        fs::write(&path, "*.o\nout/\n").expect("written");
        let error = Folder::check([path.as_path()]).expect_err("lacks one");
        assert!(
            error.to_string().contains("out/ and cluster/secrets/"),
            "{error}"
        );
    }
}
