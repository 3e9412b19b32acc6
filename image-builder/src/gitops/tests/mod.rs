//! The tree in the repository, whole and with mistakes put into it.

mod bad;
mod embedded;
mod exporter;
mod golden;
mod kubectl;
mod promtool;
mod scaffold;
mod second;

use std::path::{Path, PathBuf};

use super::*;
use crate::config;

/// Charts whose defaults are not in `ci/upstream`: their values are looked at once they
/// are vendored.
const WITHOUT_DEFAULTS: [&str; 3] = ["cert-manager", "sealed-secrets", "stash"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn upstream() -> Tree {
    let mut files = Vec::new();
    collect(
        &repository().join("ci/upstream/charts"),
        "charts",
        &mut files,
    );
    Tree::of(Path::new("upstream"), files)
}

fn collect(dir: &Path, name: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().and_then(|file| file.to_str());
        let name = format!("{name}/{}", file.expect("a name"));
        match path.is_dir() {
            true => collect(&path, &name, files),
            false => files.push((name, std::fs::read(&path).expect("a file"))),
        }
    }
}

/// The tree of the repository.
fn tree() -> Tree {
    let tree = Tree::read(&repository().join("cluster")).expect("the tree");
    tree.renamed("cluster")
}

fn cluster() -> ClusterFile {
    let path = repository().join("cluster/cluster.toml");
    let text = std::fs::read_to_string(&path).expect("the cluster file");
    config::parse_cluster(&text, &path, &config::Disk).expect("a good one")
}

fn checked(tree: &Tree) -> Checked {
    let (upstream, cluster) = (upstream(), cluster());
    check(
        tree,
        Against {
            cluster: Some(&cluster),
            known: Known::embedded(),
            shelves: &[(&upstream, "charts")],
        },
    )
}

fn said(tree: &Tree) -> String {
    let problems = checked(tree).problems;
    problems.map(|all| all.to_string()).unwrap_or_default()
}
