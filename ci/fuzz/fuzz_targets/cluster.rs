//! cluster.toml: whatever it says, it is a plan or a list of problems, each with a place; and a node
//! can be written into it and out of it, or that is refused.

#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use imgbuild::config::parse_cluster;
use imgbuild::edit::{NewNode, add_node, remove_node, set_mac};
use imgbuild::plan::Role;
use libfuzzer_sys::fuzz_target;

static FILES: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
    let key = include_bytes!("../../../cluster/keys/example.pub").to_vec();
    BTreeMap::from([(PathBuf::from("cluster/keys/example.pub"), key)])
});

static NODE: LazyLock<NewNode> = LazyLock::new(|| NewNode {
    name: "pi-4".into(),
    address: [192, 168, 4, 14].into(),
    role: Role::Agent,
    profile: "pi5-ssd".into(),
    mac: None,
    taints: Vec::new(),
    labels: BTreeMap::from([("disk".into(), "nvme".into())]),
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
    if let Ok(added) = add_node(&text, &NODE) {
        let _ = remove_node(&added, &NODE.name);
        set_mac(&added, &NODE.name, "dc:a6:32:01:02:03").expect("it is there");
    }
});
