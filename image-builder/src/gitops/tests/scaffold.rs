//! What `imgbuild init` makes passes the same checks.

use std::net::Ipv4Addr;

use super::*;
use crate::init::{Answers, CLUSTER, TREE, files};

fn answers(subnet: &str, gateway: [u8; 4], repository: &str) -> Answers {
    let subnet: ipnet::Ipv4Net = subnet.parse().expect("a subnet");
    Answers {
        name: "attic".to_owned(),
        id: uuid::Uuid::from_u128(7),
        subnet,
        gateway: gateway.into(),
        first: Ipv4Addr::from(u32::from(subnet.network()) + 2),
        servers: 1,
        agents: 1,
        user: "admin".to_owned(),
        keys: include_str!("../../config/tests/keys/ed25519.pub").to_owned(),
        repository: repository.to_owned(),
    }
}

/// What is said of a new cluster's folder.
fn made(answers: &Answers) -> (String, ClusterFile) {
    let files = files(answers);
    let draft = files
        .iter()
        .map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    let draft = config::Draft(draft.collect());
    let path = Path::new(CLUSTER);
    let text = files
        .iter()
        .find(|(name, _)| name == path)
        .map(|(_, text)| text);
    let cluster = config::parse_cluster(text.expect("a cluster file"), path, &draft);
    let cluster = cluster.unwrap_or_else(|problems| panic!("{problems}"));
    let inside = files.into_iter().filter_map(|(path, text)| {
        let path = path.strip_prefix(TREE).ok()?.to_str()?.to_owned();
        Some((path, text.into_bytes()))
    });
    let tree = Tree::of(Path::new(TREE), inside);
    let tree = match tree.bytes("charts.toml") {
        Some(_) => tree,
        None => tree.with(
            "charts.toml",
            super::tree().bytes("charts.toml").expect("charts").to_vec(),
        ),
    };
    let upstream = upstream();
    let against = Against {
        cluster: Some(&cluster),
        known: Known::embedded(),
        shelves: &[(&upstream, "charts")],
    };
    let problems = check(&tree, against).problems;
    (
        problems.map(|all| all.to_string()).unwrap_or_default(),
        cluster,
    )
}

#[test]
fn a_new_clusters_tree_has_no_problem() {
    for (subnet, gateway, repository) in [
        (
            "192.168.4.0/24",
            [192, 168, 4, 1],
            "https://github.com/me/homelab.git",
        ),
        (
            "10.7.0.0/16",
            [10, 7, 255, 254],
            "git@git.home.arpa:me/k3s.git",
        ),
        (
            "172.20.1.16/28",
            [172, 20, 1, 17],
            "ssh://git@git.home.arpa:2222/me/k3s.git",
        ),
    ] {
        let (said, cluster) = made(&answers(subnet, gateway, repository));
        assert_eq!(said, "", "{subnet}");
        let gitops = cluster.gitops.expect("it says where the tree is");
        assert_eq!(gitops.repository, repository);
        assert!(gitops.pool.is_some());
    }
}

#[test]
fn without_a_repository_nothing_is_handed_over() {
    let answers = answers("192.168.4.0/24", [192, 168, 4, 1], crate::init::REPOSITORY);
    let (said, cluster) = made(&answers);
    assert_eq!((said.as_str(), cluster.gitops), ("", None));
}

#[test]
fn a_subnet_without_room_gets_no_tree() {
    let answers = answers(
        "192.168.4.0/30",
        [192, 168, 4, 1],
        "https://github.com/me/homelab.git",
    );
    let files = files(&answers);
    assert!(answers.pool().is_none());
    assert!(
        !files
            .iter()
            .any(|(path, _)| path.starts_with("cluster/kube-apps"))
    );
}

#[test]
fn what_is_made_is_what_lies_in_the_repository() {
    let on_disk = Tree::read(&repository().join("cluster")).expect("the tree");
    let own = on_disk
        .paths()
        .filter(|path| !path.starts_with(tree::CHARTS));
    let own: BTreeSet<&str> = own.collect();
    let files = files(&answers(
        "192.168.4.0/24",
        [192, 168, 4, 1],
        crate::init::REPOSITORY,
    ));
    let made: BTreeSet<&str> = files
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(TREE).ok()?.to_str())
        .filter(|path| path.starts_with("bootstrap") || path.starts_with("kube-apps"))
        .collect();
    let own: BTreeSet<&str> = own
        .into_iter()
        .filter(|path| path.starts_with("bootstrap") || path.starts_with("kube-apps"))
        .collect();
    // What is no manifest is handed on too, such as the example of a credential.
    assert_eq!(made, own);
}
