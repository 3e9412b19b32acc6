//! Two clusters' files in one folder.

use super::{CLUSTER, good, load_good};

const OTHER: &str = "0d5f6a52-6a3e-4f39-9a2c-0f2d3b7c1e11";

/// What is said of the good cluster beside this file.
fn beside(name: &str, text: &str) -> Result<Vec<String>, String> {
    let mut files = good();
    files.insert(name.into(), text.as_bytes().to_vec());
    let workspace = load_good(&files).map_err(|problems| problems.to_string())?;
    Ok(workspace.taken().keys().map(ToString::to_string).collect())
}

#[test]
fn no_two_clusters_claim_one_address() {
    let other = CLUSTER.replace("5e0c0d6e-90a1-4a0b-8b0f-7d3a1c4f2b96", OTHER);
    let problems = beside("c/lab.toml", &other).expect_err("both addresses");
    assert_eq!(
        problems,
        "c/cluster.toml:18:11: 192.168.4.11 is a node's of another cluster, in c/lab.toml; give \
         this node one of its own, or move one of the files to another folder\n\
         c/cluster.toml:25:11: 192.168.4.12 is a node's of another cluster, in c/lab.toml; give \
         this node one of its own, or move one of the files to another folder"
    );
    let apart = other.replace("192.168.4.1", "192.168.4.3");
    let taken = beside("c/lab.toml", &apart).expect("their own addresses");
    assert_eq!(taken, ["192.168.4.31", "192.168.4.32"]);
}

#[test]
fn other_files_are_nobodys_business() {
    let other = CLUSTER.replace("5e0c0d6e-90a1-4a0b-8b0f-7d3a1c4f2b96", OTHER);
    for (name, text) in [
        ("c/before.toml", CLUSTER),
        ("c/lab.toml.bak", &other),
        ("lab.toml", &other),
        ("c/Cargo.toml", "[workspace]\nmembers = []\n"),
        ("c/broken.toml", "[cluster\nnodes = 1"),
        (
            "c/odd.toml",
            "cluster = { id = \"x\" }\nnodes = [1, { address = 2 }]",
        ),
    ] {
        assert_eq!(beside(name, text), Ok(vec![]), "{name}");
    }
}
