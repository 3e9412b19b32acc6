//! The tree as a value: its files by their paths in it. What is checked is the same
//! whether it lies on a disk, is about to be written, or was made up by a test.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Far more than any file of a tree has; dashboards and CRDs are the largest.
const LARGEST: u64 = 8 << 20;
/// Far more than a home's tree has, a dozen vendored charts among them.
const MOST: usize = 50_000;

/// The files of a tree: the folder that holds `bootstrap/` and `kube-apps/`.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Where it is, as messages name it.
    root: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// Files in memory, by their paths in the tree.
    pub fn of(root: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self {
            root: root.to_owned(),
            files: files.into_iter().collect(),
        }
    }

    /// The tree in a folder.
    ///
    /// # Errors
    /// When something in it cannot be read, is a link or not a file, or is far too large.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::of(root, []);
        for part in [BOOTSTRAP, APPS] {
            let dir = root.join(part);
            if dir.is_dir() {
                tree.add(&dir, part)?;
            }
        }
        let wanted = root.join(WANTED);
        if wanted.is_file() {
            tree.add_file(&wanted, WANTED.to_owned())?;
        }
        Ok(tree)
    }

    /// Where a file is, as a message names it.
    pub fn shown(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// A file's text; what is not UTF-8 becomes the character for that, which no
    /// reader takes.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Whether there is a file or a folder of this path.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.below(path).next().is_some()
    }

    /// The paths below a folder, sorted.
    pub fn below<'t>(&'t self, folder: &str) -> impl Iterator<Item = &'t str> {
        let prefix = format!("{folder}/");
        let first = self.files.range(prefix.clone()..);
        first
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// Every path, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The same with another content of one file.
    pub(super) fn with(&self, path: &str, content: Vec<u8>) -> Self {
        let mut tree = self.clone();
        tree.files.insert(path.to_owned(), content);
        tree
    }

    /// The same under another name, for messages.
    #[cfg(test)]
    pub(super) fn renamed(mut self, root: &str) -> Self {
        self.root = root.into();
        self
    }

    fn add(&mut self, dir: &Path, name: &str) -> Result<()> {
        let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
            let path = entry.path();
            let Ok(file) = entry.file_name().into_string() else {
                bail!(
                    "{} has a name that is not UTF-8; give it another",
                    path.display()
                );
            };
            let name = format!("{name}/{file}");
            let kind = entry
                .file_type()
                .with_context(|| format!("looking at {}", path.display()))?;
            if kind.is_dir() {
                self.add(&path, &name)?;
            } else if kind.is_file() {
                self.add_file(&path, name)?;
            } else {
                bail!(
                    "{} is a link or no file; Argo CD follows none out of the repository, so put \
                     the file itself there",
                    path.display()
                );
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, name: String) -> Result<()> {
        let mut content = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content))
            .with_context(|| format!("reading {}", path.display()))?;
        if content.len() as u64 > LARGEST || self.files.len() >= MOST {
            bail!(
                "{} is more than a tree holds: at most {MOST} files of {LARGEST} bytes",
                path.display()
            );
        }
        self.files.insert(name, content);
        Ok(())
    }
}

/// What the first boot hands over.
pub(super) const BOOTSTRAP: &str = "bootstrap";
/// What Argo CD makes of it.
pub(super) const APPS: &str = "kube-apps";
/// The charts that are wanted.
pub(super) const WANTED: &str = "charts.toml";
/// Vendored charts: unpacked and untouched.
pub(super) const CHARTS: &str = "kube-apps/charts";
/// Charts of the tree's own.
pub(super) const OWN_CHARTS: &str = "kube-apps/own-charts";
/// Values of charts that are vendored.
pub(super) const VALUES: &str = "kube-apps/values";
/// Plain manifests.
pub(super) const MANIFESTS: &str = "kube-apps/manifests";
/// Applications one by one.
pub(super) const APPLICATIONS: &str = "kube-apps/applications";
/// Applications by the dozen.
pub(super) const SETS: &str = "kube-apps/applicationsets";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_as_it_is() {
        let dir = tempfile::tempdir().expect("directory");
        let apps = dir.path().join("kube-apps/values");
        fs::create_dir_all(&apps).expect("directories");
        fs::write(apps.join("a.yaml"), "a: 1").expect("written");
        fs::write(dir.path().join("cluster.toml"), "no part of it").expect("written");
        let tree = Tree::read(dir.path()).expect("read");
        assert_eq!(
            tree.paths().collect::<Vec<_>>(),
            ["kube-apps/values/a.yaml"]
        );
        assert!(tree.has("kube-apps/values") && !tree.has("kube-apps/val"));

        std::os::unix::fs::symlink("a.yaml", apps.join("b.yaml")).expect("a link");
        let error = Tree::read(dir.path()).expect_err("a link");
        assert!(error.to_string().contains("b.yaml is a link"), "{error}");
    }
}
