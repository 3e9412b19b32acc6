//! The order in which packages are installed: what one depends on comes before
//! it. Packages that depend on each other in a ring stand together; inside a
//! ring only `Pre-Depends` decides, and then the name.

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::universe::{Group, Universe};

/// The packages in that order; the same for the same packages.
pub(super) fn order(universe: &Universe<'_>, packages: &[usize]) -> Vec<usize> {
    let mut order = Vec::new();
    for ring in rings(universe, packages, |_| true) {
        // Rings of `Pre-Depends` alone are not allowed (Debian Policy 7.2).
        order.extend(
            rings(universe, &ring, |group| group.early)
                .into_iter()
                .flatten(),
        );
    }
    order
}

/// Packages that lead to each other by groups that are followed, and before
/// each ring those it leads to.
fn rings(
    universe: &Universe<'_>,
    packages: &[usize],
    is_followed: fn(&Group) -> bool,
) -> Vec<Vec<usize>> {
    let mut packages = packages.to_vec();
    packages.sort_by_key(|&id| {
        let package = universe.package(id);
        (!package.essential, package.name, id)
    });
    let mut graph = DiGraph::new();
    let nodes: Vec<_> = packages.iter().map(|&id| graph.add_node(id)).collect();
    for (&id, &from) in packages.iter().zip(&nodes) {
        // The solver has read them before.
        let groups = universe
            .needs(id)
            .map(|needs| needs.groups)
            .unwrap_or_default();
        for group in groups.iter().filter(|group| is_followed(group)) {
            for (other, &to) in packages.iter().zip(&nodes) {
                if group.satisfiers.contains(other) {
                    graph.update_edge(from, to, ());
                }
            }
        }
    }
    let mut rings: Vec<Vec<usize>> = Vec::new();
    for ring in tarjan_scc(&graph) {
        let mut ring: Vec<usize> = ring.into_iter().map(|node| graph[node]).collect();
        ring.sort_by_key(|id| packages.iter().position(|package| package == id));
        rings.push(ring);
    }
    rings
}
