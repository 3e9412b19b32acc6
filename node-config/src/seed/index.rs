//! The list of what a seed changes, checked when it is read: whoever has an [`Index`]
//! looks at no path or length of it again.

use serde::{Deserialize, Serialize};

use crate::paths;

/// Where the kernel, systemd or the boot partition have file systems of their own:
/// nothing below these is of the root.
const ELSEWHERE: [&str; 5] = ["/dev", "/proc", "/run", "/sys", paths::BOOT_DIR];

/// The longest path the kernel takes, its end included (`PATH_MAX`).
const LONGEST_PATH: usize = 4095;

/// Every change, in the order to apply them: those of the root, then those of the
/// boot partition, then the file that makes it a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    changes: Vec<Change>,
}

/// One change. Applying it twice is the same as applying it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Whose path it is.
    pub part: Part,
    /// Absolute; without the mount point on the boot partition: `/config.txt`.
    pub path: String,
    /// What is to be there.
    pub what: What,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The ext4 root.
    Root,
    /// The FAT partition, which has no modes, owners and links.
    Boot,
}

/// What is to be at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum What {
    /// A file, in place of a file or link that is there.
    File {
        /// Permission bits; of no meaning on the boot partition.
        mode: u32,
        /// User id; of no meaning on the boot partition.
        uid: u32,
        /// Group id; of no meaning on the boot partition.
        gid: u32,
        /// Bytes it holds.
        len: u64,
        /// Their sha256, in lower-case hex.
        sha256: String,
    },
    /// A directory, kept with what is in it.
    Dir {
        /// Permission bits.
        mode: u32,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// A symbolic link, in place of a file or link that is there.
    Link {
        /// Its target, as written into it.
        to: String,
    },
    /// Nothing, nor anything below it.
    Remove,
    /// What was here is at this path of the same file system instead. Once that path
    /// is taken, it was done before.
    Rename {
        /// The new path.
        to: String,
    },
}

/// An index that is not applied. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not JSON, or not of this shape.
    #[error("its index cannot be read: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A path that leads out of its file system, or is none.
    #[error("it would change {0:?}, which is no path of the file system it names")]
    Path(String),
    /// A change that its file system cannot have, or bits that are no mode.
    #[error("it cannot be made on this file system: {0}")]
    Impossible(String),
    /// Lengths that do not fit the bundle.
    #[error("its files hold {files} bytes and its bundle {bundle}")]
    Lengths {
        /// By the index.
        files: u64,
        /// By the bundle, without the index.
        bundle: u64,
    },
    /// Out of order, or without a node.
    #[error("its changes are in no order that could be resumed: {0}")]
    Order(&'static str),
}

impl Index {
    /// An index of these changes, in the order to apply them.
    ///
    /// # Errors
    /// [`IndexError`] when they are none that a seed can have.
    pub fn new(mut changes: Vec<Change>) -> Result<Self, IndexError> {
        let turn = |change: &Change| match (&change.what, change.part) {
            (What::Rename { .. }, _) => 0,
            (_, Part::Root) if change.path == paths::NODE_CONFIG => 3,
            (_, Part::Root) => 1,
            (_, Part::Boot) => 2,
        };
        // Stable: within a turn the order stays, a directory before what is in it.
        changes.sort_by_key(turn);
        let turns: Vec<_> = changes.iter().map(turn).collect();
        if turns.iter().filter(|turn| **turn == 3).count() != 1
            || !matches!(
                changes.last().map(|last| &last.what),
                Some(What::File { .. })
            )
        {
            return Err(IndexError::Order("there is not one node.toml"));
        }
        for change in &changes {
            change.check()?;
        }
        Ok(Self { changes })
    }

    /// Reads an index. `contents` is the length of what its files hold, together.
    ///
    /// # Errors
    /// [`IndexError`] when it is none that can be applied.
    pub fn parse(text: &[u8], contents: u64) -> Result<Self, IndexError> {
        let Self { changes } = serde_json::from_slice(text)?;
        let index = Self::new(changes.clone())?;
        if index.changes != changes {
            return Err(IndexError::Order("another one was written"));
        }
        let files = index
            .changes
            .iter()
            .try_fold(0_u64, |sum, change| match change.what {
                What::File { len, .. } => sum.checked_add(len),
                _ => Some(sum),
            })
            .unwrap_or(u64::MAX);
        if files != contents {
            return Err(IndexError::Lengths {
                files,
                bundle: contents,
            });
        }
        Ok(index)
    }

    /// Renders the index; [`Index::parse`] gives the same value back.
    pub fn render(&self) -> String {
        serde_json::to_string(self).expect("plain data serialises to JSON") + "\n"
    }

    /// The changes, in the order to apply them. The last is the node's `node.toml`.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

impl Change {
    fn check(&self) -> Result<(), IndexError> {
        let impossible = || IndexError::Impossible(self.path.clone());
        self.check_path(&self.path)?;
        match &self.what {
            What::File { mode, sha256, .. } => {
                let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let digest = sha256.len() == 64 && sha256.bytes().all(hex);
                (digest && *mode <= 0o7777).then_some(())
            }
            What::Dir { mode, .. } => (self.part == Part::Root && *mode <= 0o7777).then_some(()),
            What::Link { to } => {
                let fits = (1..=LONGEST_PATH).contains(&to.len()) && !to.contains('\0');
                (self.part == Part::Root && fits).then_some(())
            }
            What::Rename { to } => {
                self.check_path(to)?;
                // Into itself it cannot go.
                let below = to
                    .strip_prefix(&*self.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                (self.part == Part::Root && !below).then_some(())
            }
            What::Remove => Some(()),
        }
        .ok_or_else(impossible)
    }

    fn check_path(&self, path: &str) -> Result<(), IndexError> {
        let fine = path.len() <= LONGEST_PATH
            && paths::is_normal(path)
            && (self.part == Part::Boot || is_of_root(path));
        match fine {
            true => Ok(()),
            false => Err(IndexError::Path(path.to_owned())),
        }
    }
}

/// Whether a path of the running system lies on its root file system, as far as that
/// can be told from the path: links in it are not followed.
pub fn is_of_root(path: &str) -> bool {
    !ELSEWHERE.iter().any(|other| {
        path.strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(part: Part, path: &str, len: u64) -> Change {
        let (mode, uid, gid, sha256) = (0o644, 0, 0, "0a".repeat(32));
        Change {
            part,
            path: path.into(),
            what: What::File {
                mode,
                uid,
                gid,
                len,
                sha256,
            },
        }
    }

    fn root(path: &str, what: What) -> Change {
        Change {
            part: Part::Root,
            path: path.into(),
            what,
        }
    }

    fn rename(path: &str, to: &str) -> Change {
        root(path, What::Rename { to: to.into() })
    }

    fn with(change: Change) -> Result<Index, IndexError> {
        Index::new(vec![change, file(Part::Root, paths::NODE_CONFIG, 7)])
    }

    #[test]
    fn what_makes_it_a_node_comes_last_and_renames_first() {
        let index = Index::new(vec![
            file(Part::Boot, "/cmdline.txt", 1),
            file(Part::Root, paths::NODE_CONFIG, 2),
            root("/home/pi", What::Remove),
            rename("/home/pi", "/home/admin"),
        ])
        .expect("an index");
        let paths: Vec<_> = index.changes().iter().map(|of| &*of.path).collect();
        assert_eq!(
            paths,
            [
                "/home/pi",
                "/home/pi",
                "/cmdline.txt",
                "/etc/imgbuild/node.toml"
            ]
        );
        assert!(matches!(index.changes()[0].what, What::Rename { .. }));
        let read = Index::parse(index.render().as_bytes(), 3).expect("its own text");
        assert_eq!(read, index);
        let reordered = index.render().replacen("/home/pi", "/home/qi", 1);
        assert!(Index::parse(reordered.as_bytes(), 3).is_ok());
        for contents in [0, 2, 4] {
            let found = Index::parse(index.render().as_bytes(), contents);
            assert!(matches!(found, Err(IndexError::Lengths { .. })));
        }
    }

    #[test]
    fn the_first_form_is_read() {
        let sum = "0a".repeat(32);
        let text = format!(
            r#"{{"changes":[
            {{"part":"root","path":"/home/pi","what":{{"rename":{{"to":"/home/admin"}}}}}},
            {{"part":"root","path":"/etc/motd","what":"remove"}},
            {{"part":"root","path":"/etc/x","what":{{"dir":{{"mode":493,"uid":0,"gid":0}}}}}},
            {{"part":"root","path":"/etc/y","what":{{"link":{{"to":"/dev/null"}}}}}},
            {{"part":"root","path":"/etc/imgbuild/node.toml",
              "what":{{"file":{{"mode":420,"uid":0,"gid":0,"len":5,"sha256":"{sum}"}}}}}}
            ]}}"#
        );
        assert_eq!(
            Index::parse(text.as_bytes(), 5)
                .expect("version 1")
                .changes
                .len(),
            5
        );
        // Written in another order than it is applied in, it could not be resumed.
        let first = text
            .find("{\"part\":\"root\",\"path\":\"/home")
            .expect("there");
        let second = text
            .find("{\"part\":\"root\",\"path\":\"/etc/motd")
            .expect("there");
        let third = text
            .find("{\"part\":\"root\",\"path\":\"/etc/x")
            .expect("there");
        let swapped = [
            &text[..first],
            &text[second..third],
            &text[first..second],
            &text[third..],
        ]
        .concat();
        assert!(matches!(
            Index::parse(swapped.as_bytes(), 5),
            Err(IndexError::Order(_))
        ));
    }

    #[test]
    fn without_one_node_it_is_none() {
        let node = || file(Part::Root, paths::NODE_CONFIG, 7);
        for changes in [
            vec![],
            vec![file(Part::Root, "/etc/motd", 7)],
            vec![node(), node()],
            vec![file(Part::Boot, paths::NODE_CONFIG, 7)],
            vec![root(paths::NODE_CONFIG, What::Remove)],
        ] {
            let index = Index::new(changes);
            assert!(matches!(index, Err(IndexError::Order(_))), "{index:?}");
        }
    }

    #[test]
    fn no_path_leads_out() {
        for path in [
            "",
            "/",
            "etc/motd",
            "/etc/../motd",
            "/etc//motd",
            "/etc/motd/",
            "/./etc",
            "/etc/mo\0td",
            "/proc/sysrq-trigger",
            "/dev",
            "/run/x",
            "/sys/power/state",
            "/boot/firmware/config.txt",
            &format!("/{}", "a".repeat(LONGEST_PATH)),
        ] {
            let index = with(file(Part::Root, path, 1));
            assert!(matches!(index, Err(IndexError::Path(_))), "{path:?}");
            let index = with(rename("/home/pi", path));
            assert!(matches!(index, Err(IndexError::Path(_))), "{path:?}");
        }
        with(file(Part::Boot, "/../etc/shadow", 1)).expect_err("out of the boot partition");
        for path in ["/runner", "/device/x", "/boot/firmware-old", "/boot/other"] {
            with(file(Part::Root, path, 1)).expect(path);
        }
    }

    #[test]
    fn what_a_file_system_cannot_have_is_refused() {
        let boot = |what| Change {
            part: Part::Boot,
            path: "/overlays".into(),
            what,
        };
        let dir = |mode| What::Dir {
            mode,
            uid: 0,
            gid: 0,
        };
        let link = |to: &str| What::Link { to: to.into() };
        let mut digest = file(Part::Root, "/etc/motd", 1);
        if let What::File { sha256, .. } = &mut digest.what {
            *sha256 = sha256.to_uppercase();
        }
        for change in [
            boot(dir(0o755)),
            boot(link("a")),
            boot(What::Rename { to: "/b".into() }),
            root("/etc/x", dir(0o10000)),
            root("/etc/x", link("")),
            root("/etc/x", link("a\0b")),
            rename("/home", "/home/pi"),
            digest,
        ] {
            let words = format!("{change:?}");
            let index = with(change);
            assert!(matches!(index, Err(IndexError::Impossible(_))), "{words}");
        }
        with(boot(What::Remove)).expect("can be done");
    }
}
