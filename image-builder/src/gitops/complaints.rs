//! What is wrong with a tree, collected: nothing stops at the first mistake.

use super::tree::Tree;
use crate::config::problem::{Problem, Problems, Wrong};

/// A complaint's file, place and words.
type Entry = (String, (usize, usize), Wrong);

/// Complaints by file and place.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<Entry>);

impl Complaints {
    /// One more, about a file by its path in the tree.
    pub(super) fn add(&mut self, file: &str, at: (usize, usize), wrong: Wrong) {
        self.0.push((file.to_owned(), at, wrong));
    }

    /// As problems, with the files where they are; nothing if there are none.
    pub(super) fn into_problems(self, tree: &Tree) -> Option<Problems> {
        let problems: Vec<Problem> = self
            .0
            .into_iter()
            .map(|(file, at, wrong)| wrong.at(&tree.shown(&file), at))
            .collect();
        (!problems.is_empty()).then(|| Problems::of(problems))
    }
}
