//! Looking at the base: what the rules ask of it beyond the seam's three calls.

use anyhow::{Context as _, Result};

use super::{BaseView, Kind, Part};

impl dyn BaseView + '_ {
    /// A text file, or `None` if it is not there.
    pub(super) fn text(&self, part: Part, path: &str) -> Result<Option<String>> {
        let what = || format!("reading {path} in the base's {part} file system");
        let Some(bytes) = self.read(part, path).with_context(what)? else {
            return Ok(None);
        };
        String::from_utf8(bytes)
            .map(Some)
            .context("the file is not UTF-8 text")
            .with_context(what)
    }

    /// What lies at a path of the root file system.
    pub(super) fn at(&self, path: &str) -> Result<Option<Kind>> {
        self.kind(Part::Root, path)
            .with_context(|| format!("looking for {path} in the base"))
    }

    /// Whether anything lies at a path of the root file system.
    pub(super) fn has(&self, path: &str) -> Result<bool> {
        Ok(self.at(path)?.is_some())
    }

    /// The target of a link in the root file system, `None` if it is no link.
    pub(super) fn link(&self, path: &str) -> Result<Option<String>> {
        Ok(match self.at(path)? {
            Some(Kind::Symlink(target)) => Some(target),
            _ => None,
        })
    }

    /// The names in a directory of the root file system; none if it is not there.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>> {
        match self.at(path)? {
            Some(_) => self
                .list(Part::Root, path)
                .with_context(|| format!("listing {path} in the base")),
            None => Ok(Vec::new()),
        }
    }
}
