//! Who owns what on the machine: root where nothing is said. Kept beside the files,
//! for tests run as anybody.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// User and group by path.
#[derive(Debug, Default)]
pub(super) struct Owners(RefCell<BTreeMap<String, (u32, u32)>>);

impl Owners {
    pub(super) fn of(&self, path: &str) -> (u32, u32) {
        self.0.borrow().get(path).copied().unwrap_or_default()
    }

    pub(super) fn set(&self, path: &str, uid: u32, gid: u32) {
        self.0.borrow_mut().insert(path.into(), (uid, gid));
    }

    /// It is gone, or made anew, and what is in it with it.
    pub(super) fn forget(&self, path: &str) {
        self.0
            .borrow_mut()
            .retain(|of, _| below(of, path).is_none());
    }

    /// What moves keeps its owner, and so does what is in it.
    pub(super) fn moved(&self, from: &str, to: &str) {
        self.forget(to);
        let mut owners = self.0.borrow_mut();
        let moved = owners.extract_if(.., |path, _| below(path, from).is_some());
        let moved: Vec<_> = moved.collect();
        let renamed = moved.into_iter().filter_map(|(path, owner)| {
            let rest = below(&path, from)?;
            Some((format!("{to}{rest}"), owner))
        });
        owners.extend(renamed);
    }
}

/// The rest of a path that is another, or below it.
fn below<'a>(path: &'a str, other: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(other)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}
