//! Rules of the house that no schema knows.

pub(super) mod addresses;
pub(super) mod images;
pub(super) mod secrets;

use super::yaml::{Kind, Node};

/// What is told of each value: the keys that lead to it, its place, itself.
type Visit<'a, 'n> = dyn FnMut(&[&'n str], (usize, usize), &'n Node) + 'a;

/// Every value below a node with the keys that lead to it, and its own place.
fn walk<'n>(
    node: &'n Node,
    path: &mut Vec<&'n str>,
    at: (usize, usize),
    visit: &mut Visit<'_, 'n>,
) {
    visit(path, at, node);
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => {
            for item in items {
                walk(item, path, item.at, visit);
            }
        }
        Kind::Table(entries) => {
            for (key, at, value) in entries {
                path.push(key);
                walk(value, path, *at, visit);
                path.pop();
            }
        }
    }
}
