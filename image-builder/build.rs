//! Puts the GitOps tree of `cluster/` into the program, for `imgbuild init`: a list of
//! files in the order of their paths, so that the same tree gives the same bytes.
//!
//! Vendored charts are not among them: whoever wants them vendors them. Nor is anything
//! else of `cluster/`: secrets may lie there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The parts, by their paths in `cluster/`.
const PARTS: [&str; 9] = [
    "bootstrap",
    "charts.lock",
    "charts.toml",
    "kube-apps/applications",
    "kube-apps/applicationsets",
    "kube-apps/manifests",
    "kube-apps/own-charts",
    "kube-apps/sets.yaml",
    "kube-apps/values",
];

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../cluster");
    let mut files = Vec::new();
    // A tree without a list of charts is one whose charts are nobody's business yet.
    for part in PARTS.map(|part| root.join(part)) {
        if part.exists() {
            collect(&part, &mut files);
        }
    }
    files.sort();
    let mut text =
        "/// Paths in `cluster/`, and texts.\npub(super) static FILES: &[(&str, &str)] = &[\n"
            .to_owned();
    for file in files {
        let name = file.strip_prefix(&root).expect("below the root");
        let _ = writeln!(text, "    ({name:?}, include_str!({file:?})),");
    }
    text += "];\n";
    let path = Path::new(&variable("OUT_DIR")).join("tree.rs");
    fs::write(&path, text).expect("writing the list of the tree's files");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    // A folder: what is added to it is seen at the next build.
    println!("cargo::rerun-if-changed={}", path.display());
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a folder of the tree") {
        collect(&entry.expect("an entry of the tree").path(), files);
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
