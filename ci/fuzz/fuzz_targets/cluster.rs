//! cluster.toml: whatever it says, it is a plan or a list of problems, each with a place.

#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use imgbuild::config::parse_cluster;
use libfuzzer_sys::fuzz_target;

static FILES: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
    let key = include_bytes!("../../../cluster/keys/example.pub").to_vec();
    BTreeMap::from([(PathBuf::from("cluster/keys/example.pub"), key)])
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Err(problems) = parse_cluster(&text, Path::new("cluster/cluster.toml"), &*FILES) {
        assert!(
            problems
                .iter()
                .all(|problem| problem.line > 0 && problem.column > 0),
            "{problems}"
        );
        assert!(!problems.to_string().is_empty());
    }
});
