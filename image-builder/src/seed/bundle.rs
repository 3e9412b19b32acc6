//! An overlay as what the agent reads: the contract's index, and the files' contents
//! one after the other.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use node_config::paths;
use node_config::seed::{self, Index, MAX_BUNDLE, MAX_INDEX, What};

use crate::io::Stream;
use crate::overlay::{Carried, Change, Content, Overlay, Owner, Part};

/// `imgbuild-seed.bin`, not yet written.
#[derive(Debug, Clone)]
pub struct Bundle<'a> {
    index: String,
    contents: Vec<&'a Content>,
}

impl<'a> Bundle<'a> {
    /// What an overlay changes on a disk with this release.
    ///
    /// # Errors
    /// When it has a change that a seed cannot have, or is larger than one.
    pub fn of(overlay: &'a Overlay, release: &Carried) -> Result<Self> {
        let all = overlay.all().filter(|(part, path, change)| {
            // By far the largest of its files, and mostly the release's own.
            let own = |content: &Content| {
                let mut carried = release.files.iter();
                carried.any(|file| file.path == *path && file.sha256 == content.sha256())
            };
            let agent = (*part, *path) == (Part::Root, paths::AGENT);
            !matches!(change, Change::File { content, .. } if agent && own(content))
        });
        let changes = all.map(|(part, path, change)| seed::Change {
            part: match part {
                Part::Boot => seed::Part::Boot,
                Part::Root => seed::Part::Root,
            },
            path: path.to_owned(),
            what: what(change),
        });
        let index = Index::new(changes.collect())
            .context("this node cannot be given to a disk by a seed; write it instead")?;
        let content = |change: &seed::Change| {
            let part = match change.part {
                seed::Part::Boot => Part::Boot,
                seed::Part::Root => Part::Root,
            };
            match overlay.get(part, &change.path) {
                Some(Change::File { content, .. }) => Some(content),
                _ => None,
            }
        };
        let files = index.changes().iter();
        let files = files.filter(|change| matches!(change.what, What::File { .. }));
        let bundle = Self {
            contents: files.filter_map(content).collect(),
            index: index.render(),
        };
        let fits = bundle.index_len() <= MAX_INDEX && bundle.len() <= MAX_BUNDLE;
        fits.then_some(bundle)
            .context("what the node adds is too large for a seed; write the node instead")
    }

    /// Length of its index in bytes.
    pub fn index_len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Length of all of it in bytes.
    pub fn len(&self) -> u64 {
        let contents = self.contents.iter().map(|content| content.len());
        self.index_len() + contents.sum::<u64>()
    }

    /// Never: it has an index.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes it.
    ///
    /// # Errors
    /// When a content cannot be read, or it cannot be written.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(self.index.as_bytes())?;
        for content in &self.contents {
            io::copy(&mut Stream::new(content.blob()), to)?;
        }
        Ok(())
    }
}

fn what(change: &Change) -> What {
    match change {
        Change::File {
            mode,
            owner: Owner { uid, gid },
            content,
            secret: _,
        } => What::File {
            mode: (*mode).into(),
            uid: *uid,
            gid: *gid,
            len: content.len(),
            sha256: content.sha256(),
        },
        Change::Dir {
            mode,
            owner: Owner { uid, gid },
        } => What::Dir {
            mode: (*mode).into(),
            uid: *uid,
            gid: *gid,
        },
        Change::Symlink { target } => What::Link { to: target.clone() },
        Change::Remove => What::Remove,
        Change::Rename { to } => What::Rename { to: to.clone() },
    }
}
