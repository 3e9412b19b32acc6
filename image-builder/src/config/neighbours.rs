//! Other clusters' files in the same folder: two clusters in one network may not
//! claim the same address.
//!
//! A neighbour is read for its addresses only, and as far as it can be read: what
//! else is wrong with it is its own business. A file with the same id is another
//! state of the same cluster, such as a copy made before a change.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::check::Checker;
use super::files::Files;
use super::load::LIMIT;
use super::problem::{Wrong, shown};
use super::written;

/// Reports nodes whose address another cluster has; gives all that others have.
pub(crate) fn check(
    written: &written::ClusterFile,
    check: &mut Checker,
    files: &dyn Files,
) -> BTreeMap<Ipv4Addr, PathBuf> {
    let id = written.cluster.get().and_then(|cluster| cluster.id.get());
    let taken = id.map_or_else(BTreeMap::new, |id| claimed(check.path(), id, files));
    for node in written.nodes.items().iter().filter_map(|node| node.get()) {
        let address = node.address.get().and_then(|text| text.parse().ok());
        let claim = address.and_then(|address: Ipv4Addr| Some((address, taken.get(&address)?)));
        if let Some((address, file)) = claim {
            let message = format!(
                "{address} is a node's of another cluster, in {}",
                shown(file)
            );
            let hint = "give this node one of its own, or move one of the files to another folder";
            check.wrong(&node.address.span(), Wrong::new(message, hint));
        }
    }
    taken
}

/// The addresses of nodes in files beside `path` that belong to another cluster.
fn claimed(path: &Path, id: &str, files: &dyn Files) -> BTreeMap<Ipv4Addr, PathBuf> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let folder = match dir.as_os_str().is_empty() {
        true => Path::new("."),
        false => dir,
    };
    let mut claimed = BTreeMap::new();
    for name in files.list(folder).unwrap_or_default() {
        let beside = dir.join(&name);
        if !name.ends_with(".toml") || beside == path {
            continue;
        }
        for address in addresses(&beside, id, files).unwrap_or_default() {
            claimed.entry(address).or_insert_with(|| beside.clone());
        }
    }
    claimed
}

/// The addresses in a file; `None` if it is no cluster's, or one of `id`'s.
fn addresses(path: &Path, id: &str, files: &dyn Files) -> Option<Vec<Ipv4Addr>> {
    let text = String::from_utf8(files.read(path, LIMIT).ok()?).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let theirs = table.get("cluster")?.get("id")?.as_str()?;
    if theirs.eq_ignore_ascii_case(id) {
        return None;
    }
    let nodes = table.get("nodes")?.as_array()?.iter();
    let address = |node: &toml::Value| node.get("address")?.as_str()?.parse().ok();
    Some(nodes.filter_map(address).collect())
}
