//! Files that are written beside their place and moved there when complete.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use tempfile::{NamedTempFile, TempDir};

const PREFIX: &str = ".imgbuild-";
const SUFFIX: &str = ".partial";

/// A file without an owner younger than this may just not be locked yet.
const SETTLED: Duration = Duration::from_secs(60);

/// A file in the making. It is gone when the value is dropped before
/// [`Scratch::keep`]; what a killed run left behind is removed by the next one.
#[derive(Debug)]
pub struct Scratch {
    file: NamedTempFile,
    /// Held while the file is in the making: by it others know it is.
    _lock: Flock<File>,
}

impl Scratch {
    /// A new empty file in `dir`, mode 0600.
    ///
    /// # Errors
    /// When it cannot be made or locked there.
    pub fn new(dir: &Path) -> io::Result<Self> {
        remove_abandoned(dir)?;
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        let lock = Flock::lock(file.reopen()?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Self { file, _lock: lock })
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Its name for now.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Syncs the file and gives it its name; both are on the disk when this
    /// returns. `replace` says whether a file of that name may go.
    ///
    /// # Errors
    /// `AlreadyExists` when it may not; else when the file cannot be synced or
    /// moved.
    pub fn keep(self, path: &Path, replace: bool) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let moved = match replace {
            true => self.file.persist(path),
            false => self.file.persist_noclobber(path),
        };
        moved.map_err(|error| error.error)?;
        // The name is on the disk only when its directory is.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Writes a text that everybody may read, complete or not at all. `replace` says
/// whether a file of that name may go.
///
/// # Errors
/// `AlreadyExists` when it may not; else when it cannot be written. The old one is
/// still there then.
pub fn put_text(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let scratch = Scratch::new(dir.unwrap_or(Path::new(".")))?;
    scratch.file().write_all(text.as_bytes())?;
    let for_all = fs::Permissions::from_mode(0o644);
    scratch.file().set_permissions(for_all)?;
    scratch.keep(path, replace)
}

/// A new empty folder in `dir`, named as one in the making. It is gone with what is
/// in it when the value is dropped; nobody removes what a killed run left but its
/// user, who knows when that is safe.
///
/// # Errors
/// When it cannot be made there.
pub fn folder(dir: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        // As other programs make folders: the umask takes away from it.
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(dir)
}

/// Whether a file of this name is one in the making.
pub fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Files in the making whose maker is gone.
///
/// # Errors
/// When the directory cannot be read.
pub fn abandoned(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(is_name);
        if ours && is_settled(&entry) && is_abandoned(&entry.path()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove_abandoned(dir: &Path) -> io::Result<()> {
    for path in abandoned(dir)? {
        // Somebody else may have been faster; gone is gone.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn is_settled(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|meta| meta.modified());
    modified.is_ok_and(|time| {
        SystemTime::now()
            .duration_since(time)
            .is_ok_and(|age| age >= SETTLED)
    })
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("directory");
        entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    #[test]
    fn only_what_is_old_and_unlocked_goes() {
        let dir = tempfile::tempdir().expect("directory");
        let old = SystemTime::now() - 2 * SETTLED;
        let live = Scratch::new(dir.path()).expect("scratch");
        live.file().set_modified(old).expect("time");
        for (name, age) in [
            (".imgbuild-a.partial", old),
            (".imgbuild-b.partial", SystemTime::now()),
            ("c.partial", old),
        ] {
            let file = File::create(dir.path().join(name)).expect("file");
            file.set_modified(age).expect("time");
        }
        let another = Scratch::new(dir.path()).expect("scratch");
        let left = names(dir.path());
        assert!(!left.contains(&".imgbuild-a.partial".into()), "{left:?}");
        for kept in [
            live.path(),
            another.path(),
            Path::new(".imgbuild-b.partial"),
            Path::new("c.partial"),
        ] {
            let name = kept
                .file_name()
                .expect("name")
                .to_string_lossy()
                .into_owned();
            assert!(left.contains(&name), "{name} is gone: {left:?}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_kept_unless_it_may_go() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("x");
        fs::write(&path, "old").expect("write");
        let error = Scratch::new(dir.path())
            .expect("scratch")
            .keep(&path, false)
            .expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(dir.path()), ["x"]);
        Scratch::new(dir.path())
            .expect("scratch")
            .keep(&path, true)
            .expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"");
    }
}
