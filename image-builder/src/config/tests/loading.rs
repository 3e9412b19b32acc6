//! From files to a workspace.

use std::path::{Path, PathBuf};

use super::{good, load_good};
use crate::config::{default_profiles_dir, load, parse_cluster, parse_profile};

/// The repository, whose own files must be good.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_example_cluster_is_good() {
    let cluster = repository().join("cluster/cluster.toml");
    let workspace = load(&cluster, &default_profiles_dir(&cluster)).expect("nothing wrong");
    let names: Vec<_> = workspace.node_names().collect();
    assert_eq!(names, ["pi-1", "pi-2", "pi-3"]);
    let plan = workspace.plan("pi-1").expect("a node");
    assert_eq!(plan.node.address.to_string(), "192.168.4.11/24");
    let warnings: Vec<_> = workspace
        .warnings()
        .iter()
        .map(|w| w.message.as_str())
        .collect();
    assert_eq!(
        warnings,
        ["this user has only the example key, with which nobody can log in"]
    );
}

#[test]
fn all_profiles_are_good() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(repository().join("profiles")).expect("readable") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = std::fs::read_to_string(&path).expect("readable");
            let profile = parse_profile(&text, &path, &crate::config::Disk).expect("nothing wrong");
            names.push(profile.name);
        }
    }
    names.sort();
    assert_eq!(names, ["pi5-ssd", "pi5-ssd-bookworm", "qemu-arm64"]);
}

#[test]
fn files_that_cannot_be_read() {
    let without = |path: &str, content: Option<&[u8]>| {
        let mut files = good();
        files.remove(Path::new(path));
        files.extend(content.map(|content| (path.into(), content.to_vec())));
        load_good(&files).expect_err("unreadable").to_string()
    };
    assert_eq!(
        without("c/cluster.toml", None),
        "c/cluster.toml:1:1: the file cannot be read: there is no such file; \
         name an existing one, or make it after docs/CONFIG.md"
    );
    assert_eq!(
        without(
            "c/cluster.toml",
            Some(b"version = 1\nname = \"\xc3\xb6\xff\"")
        ),
        "c/cluster.toml:2:10: this is not UTF-8 text; save the file as UTF-8"
    );
    assert_eq!(
        without("profiles/pi5.toml", Some(b"\xff")),
        "profiles/pi5.toml:1:1: this is not UTF-8 text; save the file as UTF-8"
    );
    assert_eq!(
        without("profiles/pi5.toml", None),
        "c/cluster.toml:20:11: there is no profile \"pi5\"; there are no profiles in profiles\n\
         c/cluster.toml:27:11: there is no profile \"pi5\"; there are no profiles in profiles"
    );
    assert_eq!(
        without("profiles/pi5.toml", Some(&vec![b'\n'; (1 << 20) + 1])),
        "profiles/pi5.toml:1:1: the file cannot be read: it is too large for what it should be; \
         put that right, or name another file"
    );
}

#[test]
fn an_unknown_node_is_told_from_the_known_ones() {
    let workspace = load_good(&good()).expect("nothing wrong");
    let said = |name: &str| workspace.plan(name).expect_err("no such node").to_string();
    assert_eq!(
        said("pi-9"),
        "there is no node \"pi-9\"; did you mean `pi-1`? The nodes are `pi-1` and `pi-2`"
    );
    assert_eq!(
        said("web"),
        "there is no node \"web\"; the nodes are `pi-1` and `pi-2`"
    );
}

#[test]
fn profiles_lie_beside_the_cluster() {
    for (cluster, profiles) in [
        ("cluster/cluster.toml", "profiles"),
        ("/home/me/lab/cluster/cluster.toml", "/home/me/lab/profiles"),
        ("cluster.toml", "../profiles"),
        ("./cluster.toml", "./../profiles"),
        ("../cluster.toml", "../../profiles"),
    ] {
        assert_eq!(
            default_profiles_dir(Path::new(cluster)),
            Path::new(profiles),
            "{cluster}"
        );
    }
}

#[test]
fn texts_can_be_parsed_alone() {
    let files = good();
    assert!(parse_cluster(super::CLUSTER, Path::new("c/cluster.toml"), &files).is_ok());
    assert!(parse_profile(super::PROFILE, Path::new("p.toml"), &files).is_ok());
}
