//! The files of an unpacked chart, and one hash over them, which anybody can make
//! again without us:
//!
//! ```text
//! cd NAME && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// sha256 of each file by its path below the folder, `/` between the parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub BTreeMap<String, String>);

impl Tree {
    /// Reads a folder; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(folder: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let mut tree = Self::default();
        tree.add(folder, "")?;
        Ok(Some(tree))
    }

    /// The hash of the whole, 64 hex digits.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (path, sha256) in &self.0 {
            hash.update(format!("{sha256}  ./{path}\n"));
        }
        base16ct::lower::encode_string(&hash.finalize())
    }

    /// What is not the same in both, in the order of paths.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let differs = |path: &&String| self.0.get(*path) != other.0.get(*path);
        let mut paths: Vec<&str> = self
            .0
            .keys()
            .chain(other.0.keys())
            .filter(differs)
            .map(String::as_str)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// A link or a device is an entry that no archive gives: as such it shows.
    fn add(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let mut hash = Sha256::new();
                io::copy(&mut File::open(entry.path())?, &mut HashWriter(&mut hash))?;
                self.0
                    .insert(path, base16ct::lower::encode_string(&hash.finalize()));
            } else {
                self.0.insert(path, "not a file".into());
            }
        }
        Ok(())
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_hash_is_what_everybody_can_compute() {
        let dir = tempfile::tempdir().expect("directory");
        for (path, text) in [
            ("Chart.yaml", "name: a\n"),
            ("a-b", ""),
            ("a/b", "x"),
            ("a/.helmignore", "y"),
            ("a b", "z"),
            ("Ä", "z"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        }
        let tree = Tree::of(dir.path()).expect("read").expect("there");
        let shell = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum";
        let output = Command::new("sh")
            .args(["-c", shell])
            .current_dir(dir.path())
            .output()
            .expect("sh");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.split(' ').next(), Some(tree.hash().as_str()));
    }

    #[test]
    fn whatever_changes_shows() {
        let dir = tempfile::tempdir().expect("directory");
        let folder = dir.path().join("a");
        assert_eq!(Tree::of(&folder).expect("read"), None);
        fs::create_dir(&folder).expect("folder");
        fs::write(folder.join("x"), "1").expect("file");
        let read = || Tree::of(&folder).expect("read").expect("there");
        let before = read();
        fs::create_dir(folder.join("empty")).expect("folder");
        assert_eq!(read(), before, "Git keeps no empty folder");
        symlink("x", folder.join("link")).expect("link");
        fs::write(folder.join("x"), "2").expect("file");
        assert_eq!(read().differences(&before), ["link", "x"]);
        assert_ne!(read().hash(), before.hash());
    }
}
