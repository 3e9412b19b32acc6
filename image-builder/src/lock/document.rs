//! The lock as text.

use std::io;
use std::path::{Path, PathBuf};

use node_config::package::{Package, PackageError};
use serde::Deserialize;

use super::{ChartFile, Deb, Download, Lock, PackageSet, VERSION};
use crate::charts;
use crate::config::download::{digest, url};
use crate::config::{Disk, Files as _};
use crate::io::put_text;

/// A lock of a thousand nodes' worth of packages has a tenth of this.
const LIMIT: u64 = 16 << 20;

const HEAD: &str = "\
# Every outside byte that builds use. Written by `imgbuild lock`, for Git.
# Not to be edited: `imgbuild lock --update` makes it anew.
";

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no lock.
    #[error("{} is not a lock: {why}; `imgbuild lock --update` makes it anew", path.display())]
    Form {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer program.
    #[error("{} has version {found}, this imgbuild reads {VERSION}; update it", path.display())]
    Version {
        /// The lock.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl Lock {
    /// Reads a lock; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is no lock.
    pub fn load(path: &Path) -> Result<Option<Self>, LockError> {
        let bytes = match Disk.read(path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LockError::File {
                    doing: "reading",
                    path: path.into(),
                    source,
                });
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map(Some).map_err(|error| match error {
            ParseError::Version(found) => LockError::Version {
                path: path.into(),
                found,
            },
            ParseError::Form(why) => LockError::Form {
                path: path.into(),
                why,
            },
        })
    }

    /// Writes the lock beside and renames it.
    ///
    /// # Errors
    /// When it cannot be written; the old one is still there then.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        put_text(path, &self.render(), true).map_err(|source| LockError::File {
            doing: "writing",
            path: path.into(),
            source,
        })
    }

    /// Reads the text of a lock.
    ///
    /// # Errors
    /// When it is none, or holds what no lock of ours would: what comes from
    /// here becomes part of paths and of commands.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        // The version first: a newer document may have another shape.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let form = |error: toml::de::Error| ParseError::Form(error.message().to_owned());
        let Head { version } = toml::from_str(text).map_err(form)?;
        if version != VERSION {
            return Err(ParseError::Version(version));
        }
        let lock: Self = toml::from_str(text).map_err(form)?;
        lock.check().map_err(ParseError::Form)?;
        Ok(lock)
    }

    /// The text; [`Lock::parse`] gives the same value back.
    pub fn render(&self) -> String {
        let body = toml::to_string(self).expect("plain data serialises to TOML");
        format!("{HEAD}{body}")
    }

    fn check(&self) -> Result<(), String> {
        let downloads = self.base.iter().chain(&self.k3s).chain(&self.artifact);
        for Download { url, sha256, .. } in downloads {
            check_file(url, sha256)?;
        }
        for chart in &self.charts {
            let ChartFile {
                name,
                version,
                url,
                sha256,
                ..
            } = chart;
            check_file(url, sha256)?;
            // They become the name of a file on the node.
            charts::check_name(name)?;
            if charts::Version::parse(version).is_none() {
                return Err(format!("{version:?} is not a version"));
            }
        }
        for PackageSet { base, deb, .. } in &self.packages {
            check_digest(base)?;
            for deb in deb {
                check_file(&deb.url, &deb.sha256)?;
                deb.package().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// Why a text is no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// Of a version not known here.
    Version(u32),
    /// Not of this form; says where.
    Form(String),
}

impl Deb {
    /// What the node is told of it.
    ///
    /// # Errors
    /// When the lock has something that no package has.
    pub fn package(&self) -> Result<Package, PackageError> {
        let Deb {
            name,
            version,
            architecture,
            url: _,
            size: _,
            sha256,
        } = self;
        // dpkg's own way to write a name; an epoch's colon has no place in one.
        let (_, plain) = version.split_once(':').unwrap_or(("", version));
        let package = Package {
            name: name.clone(),
            version: version.clone(),
            architecture: architecture.clone(),
            file: format!("{name}_{plain}_{architecture}.deb"),
            sha256: sha256.clone(),
        };
        package.check()?;
        Ok(package)
    }
}

fn check_file(address: &str, sha256: &str) -> Result<(), String> {
    url(address).map_err(|wrong| wrong.message)?;
    check_digest(sha256)
}

fn check_digest(text: &str) -> Result<(), String> {
    match digest(text) {
        Ok(lower_case) if lower_case == text => Ok(()),
        _ => Err(format!("{text:?} is not a sha256 in lower case")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of version 1: read for as long as locks of version 1 exist, so
    /// it is written out here and never edited.
    const V1: &str = r#"version = 1

[[base]]
url = "https://example.org/base.img.xz"
size = 524875608
sha256 = "cdf4f3bfac35ae947b46e4e767f935453810549779ac3290e05a6754aee627e5"
signer = "F4AADD86C4687D69AE04543E796C114AD12B2292"
digest_from = "https://example.org/base.img.xz.sha256"

[[packages]]
base = "5da77e33b60407a0861bd90a0ab2822214f18d3e0e66ad98fbe2674743dd81b1"
wanted = ["nfs-common"]

[[packages.deb]]
name = "nfs-common"
version = "1:2.8.3-1"
architecture = "arm64"
url = "https://example.org/pool/nfs-common_2.8.3-1_arm64.deb"
size = 300000
sha256 = "62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45"
"#;

    #[test]
    fn version_1_is_read_and_written_as_it_was() {
        let lock = Lock::parse(V1).expect("version 1");
        assert_eq!(lock.base[0].size, 524_875_608);
        assert_eq!(lock.render(), format!("{HEAD}{}", tidy(V1)));
        assert_eq!(Lock::parse(&lock.render()), Ok(lock));
    }

    /// As rendered: empty lists are written too.
    fn tidy(text: &str) -> String {
        text.replacen("version = 1\n", "version = 1\nk3s = []\nartifact = []\n", 1)
    }

    #[test]
    fn what_no_lock_of_ours_has_is_refused() {
        for (from, to) in [
            ("cdf4", "CDF4"),
            ("62d0", "62d"),
            ("5da7", "../"),
            ("\"https://example.org/base", "\"ssh://example.org/base"),
            (
                "https://example.org/pool",
                "https://me:pass@example.org/pool",
            ),
            ("\"nfs-common\"\nversion", "\"../nfs\"\nversion"),
            ("1:2.8.3-1", "1 2"),
            ("arm64\"\nurl", "arm 64\"\nurl"),
            ("size = 300000", "size = -1"),
            ("digest_from", "digest_form"),
        ] {
            assert!(V1.contains(from), "{from}");
            let refused = Lock::parse(&V1.replacen(from, to, 1)).expect_err(to);
            assert!(matches!(refused, ParseError::Form(_)), "{to}: {refused:?}");
        }
        let newer = V1.replacen("version = 1", "version = 2\nsurprise = 1", 1);
        assert_eq!(Lock::parse(&newer), Err(ParseError::Version(2)));
    }

    #[test]
    fn a_package_is_told_to_the_node_by_the_name_of_its_file() {
        let lock = Lock::parse(V1).expect("version 1");
        let package = lock.packages[0].deb[0].package().expect("good");
        assert_eq!(package.file, "nfs-common_2.8.3-1_arm64.deb");
        assert_eq!(package.version, "1:2.8.3-1");
    }

    #[test]
    fn saving_replaces_and_no_lock_is_no_error() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("imgbuild.lock");
        assert_eq!(Lock::load(&path).expect("none"), None);
        let lock = Lock::parse(V1).expect("version 1");
        for lock in [&Lock::default(), &lock] {
            lock.save(&path).expect("saved");
            assert_eq!(Lock::load(&path).expect("read").as_ref(), Some(lock));
        }
        std::fs::write(&path, "version = 3").expect("write");
        let error = Lock::load(&path).expect_err("newer").to_string();
        assert!(
            error.ends_with("has version 3, this imgbuild reads 1; update it"),
            "{error}"
        );
    }
}
