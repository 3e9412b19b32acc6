//! The Debian packages an image carries, for the agent to install.

use serde::{Deserialize, Serialize};

/// One package file of the image, by what dpkg will say of it once installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// As in dpkg's database: `open-iscsi`.
    pub name: String,
    /// The whole version, epoch and revision included: `1:2.8.3-1`.
    pub version: String,
    /// `arm64`, or `all`.
    pub architecture: String,
    /// The file's name in [`crate::paths::PACKAGES_DIR`], without a directory.
    pub file: String,
    /// sha256 of the file, 64 lower-case hex digits.
    pub sha256: String,
}

/// Why a package in a document cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package {name:?} has {what} {value:?}, which is not {wanted}")]
pub struct PackageError {
    name: String,
    what: &'static str,
    value: String,
    wanted: &'static str,
}

impl Package {
    /// Checks what becomes a part of a path, or a word of a command.
    ///
    /// # Errors
    /// Names the first field that is not of its form.
    pub fn check(&self) -> Result<(), PackageError> {
        let Package {
            name,
            version,
            architecture,
            file,
            sha256,
        } = self;
        for (what, value, is_right, wanted) in [
            (
                "the name",
                name,
                is_word(name, b"+-."),
                "a Debian package's name",
            ),
            (
                "the version",
                version,
                is_word(version, b"+-.~:"),
                "a Debian version",
            ),
            (
                "the architecture",
                architecture,
                is_word(architecture, b"-"),
                "a Debian architecture",
            ),
            (
                "the file",
                file,
                is_word(file, b"+-.~:_%") && file.ends_with(".deb"),
                "a plain file name that ends in .deb",
            ),
            (
                "the sha256",
                sha256,
                is_sha256(sha256),
                "64 lower-case hex digits",
            ),
        ] {
            if !is_right {
                return Err(PackageError {
                    name: name.clone(),
                    what,
                    value: value.clone(),
                    wanted,
                });
            }
        }
        Ok(())
    }
}

/// Why this version of a package must not be on a node, if it must not.
///
/// One rule so far: iscsid 2.1.12 cannot attach Longhorn's volumes
/// (github.com/longhorn/longhorn, issue 13733).
pub fn refusal(name: &str, version: &str) -> Option<&'static str> {
    let after = upstream(version).strip_prefix("2.1.12")?;
    let same = !after.starts_with(|next: char| next == '.' || next.is_ascii_digit());
    (name == "open-iscsi" && same).then_some(
        "open-iscsi 2.1.12 cannot attach Longhorn's volumes; 2.1.11 and 2.1.13 can: use one of \
         them and build the image again",
    )
}

/// A version without Debian's epoch and revision (deb-version(7)).
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.rsplit_once('-').map_or(version, |(rest, _)| rest)
}

/// ASCII letters, digits and these; begins with a letter or digit, so that it is
/// neither an option nor hidden.
fn is_word(text: &str, others: &[u8]) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "libevent-core-2.1-7t64".into(),
            version: "1:2.1.13~rc1+dfsg-1~deb13u1".into(),
            architecture: "arm64".into(),
            file: "libevent-core-2.1-7t64_1%3a2.1.13_arm64.deb".into(),
            sha256: "0123456789abcdef".repeat(4),
        }
    }

    #[test]
    fn forms() {
        package().check().expect("as Debian writes them");
        type Spoil = fn(&mut Package);
        let spoilt: &[(Spoil, &str)] = &[
            (|p| p.name = "-i".into(), "the name \"-i\""),
            (|p| p.name = String::new(), "the name \"\""),
            (|p| p.version = "1 2".into(), "the version \"1 2\""),
            (|p| p.architecture = "arm64\n".into(), "the architecture"),
            (|p| p.file = "../a.deb".into(), "the file \"../a.deb\""),
            (|p| p.file = "a/b.deb".into(), "the file \"a/b.deb\""),
            (|p| p.file = ".deb".into(), "the file \".deb\""),
            (|p| p.file = "a.deb.txt".into(), "the file \"a.deb.txt\""),
            (|p| p.sha256.truncate(63), "the sha256"),
            (|p| p.sha256 = p.sha256.to_uppercase(), "the sha256"),
        ];
        for (spoil, words) in spoilt {
            let mut package = package();
            spoil(&mut package);
            let error = package.check().expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn one_version_of_open_iscsi_is_refused() {
        for (name, version, refused) in [
            ("open-iscsi", "2.1.12-1", true),
            ("open-iscsi", "1:2.1.12+ds-1~bpo13+1", true),
            ("open-iscsi", "2.1.12", true),
            ("open-iscsi", "2.1.11-1+deb13u2", false),
            ("open-iscsi", "2.1.13-1", false),
            ("open-iscsi", "2.1.120-1", false),
            ("open-iscsi", "2.1.12.1-1", false),
            ("open-iscsi", "2.1.11-2.1.12", false),
            ("libopeniscsiusr", "2.1.12-1", false),
        ] {
            assert_eq!(
                refusal(name, version).is_some(),
                refused,
                "{name} {version}"
            );
        }
    }
}
