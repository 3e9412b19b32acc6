//! Why there is no solution, as a chain of sentences.

use std::collections::BTreeSet;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef as _;
use resolvo::Interner as _;
use resolvo::conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};

use super::{Rules, number};

/// Reasons shown; what is behind them is seldom read.
const SHOWN: usize = 12;

/// The reasons in the order in which one leads to the next, from what was
/// asked for to what stands against it.
pub(super) fn explain(conflict: &ConflictGraph, rules: &Rules<'_>) -> String {
    let mut reasons: Vec<String> = Vec::new();
    let mut seen = BTreeSet::from([conflict.root_node]);
    let mut queue = vec![conflict.root_node];
    let mut at = 0;
    while let Some(&node) = queue.get(at) {
        at += 1;
        // The graph's own order is that of a hash map.
        let mut next = BTreeSet::new();
        for edge in conflict.graph.edges_directed(node, Direction::Outgoing) {
            let to = edge.target();
            next.insert((
                reason(conflict, rules, node, to, edge.weight()),
                rank(conflict, to),
                to,
            ));
        }
        for (reason, _, to) in next {
            if let Some(reason) = reason
                && !reasons.contains(&reason)
            {
                reasons.push(reason);
            }
            if seen.insert(to) {
                queue.push(to);
            }
        }
    }
    let more = reasons.len().saturating_sub(SHOWN);
    reasons.truncate(SHOWN);
    if more > 0 {
        reasons.push(format!("and {more} more reasons"));
    }
    format!(
        "the packages cannot be installed together on this image, from which nothing is removed:\n  {}",
        reasons.join("\n  ")
    )
}

/// A node's place that does not depend on how the graph was made.
fn rank(conflict: &ConflictGraph, node: NodeIndex) -> (u8, u32) {
    match conflict.graph[node] {
        ConflictNode::Root => (0, 0),
        ConflictNode::Solvable(id) => (1, id.into_raw()),
        ConflictNode::UnresolvedDependency => (2, 0),
        ConflictNode::Excluded(text) => (3, text.0),
    }
}

fn reason(
    conflict: &ConflictGraph,
    rules: &Rules<'_>,
    from: NodeIndex,
    to: NodeIndex,
    edge: &ConflictEdge,
) -> Option<String> {
    let universe = rules.universe;
    let named = |node: NodeIndex| match conflict.graph[node] {
        ConflictNode::Solvable(id) => Some(universe.label(number(id))),
        _ => None,
    };
    match (edge, named(from), named(to)) {
        (ConflictEdge::Requires(_), None, Some(name)) => {
            is_new(conflict, rules, to).then(|| format!("{name} is asked for"))
        }
        (ConflictEdge::Requires(what), Some(from), Some(to)) => {
            let what = rules.text_of(*what);
            Some(format!("{from} needs {what}, for which there is {to}"))
        }
        (ConflictEdge::Requires(what), Some(from), None) => {
            let what = rules.text_of(*what);
            Some(format!(
                "{from} needs {what}, which no source has{}",
                instead(rules, &what)
            ))
        }
        (ConflictEdge::Conflict(ConflictCause::Constrains(set)), Some(from), Some(to)) => {
            let what = rules.text_of_set(*set);
            Some(format!("{from} cannot stand beside {to} ({what})"))
        }
        (
            ConflictEdge::Conflict(ConflictCause::ForbidMultipleInstances),
            Some(one),
            Some(other),
        ) => {
            let mut both = [one, other];
            both.sort();
            Some(format!("{} and {} cannot both be there", both[0], both[1]))
        }
        (ConflictEdge::Conflict(ConflictCause::Excluded), Some(from), None) => {
            let ConflictNode::Excluded(text) = conflict.graph[to] else {
                return None;
            };
            Some(format!(
                "{from} cannot be judged: {}",
                rules.display_string(text)
            ))
        }
        _ => None,
    }
}

/// Whether the image has no version of it: of what it has, one stays anyway.
fn is_new(conflict: &ConflictGraph, rules: &Rules<'_>, node: NodeIndex) -> bool {
    let ConflictNode::Solvable(id) = conflict.graph[node] else {
        return false;
    };
    rules.universe.installed_beside(number(id)).is_none()
}

/// What there is of the package a dependency names, in other versions.
fn instead(rules: &Rules<'_>, what: &str) -> String {
    let name = what.split([' ', ':']).next().unwrap_or(what);
    let universe = rules.universe;
    match universe.native(name) {
        Some(id) => format!("; there is {}", universe.package(id)),
        None => String::new(),
    }
}
