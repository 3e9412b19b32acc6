//! Texts before and after.

use std::net::Ipv4Addr;
use std::path::Path;

use super::*;
use crate::config::{ClusterFile, Draft, parse_cluster};
use crate::plan::Role;

const CLUSTER: &str = include_str!("../../../cluster/cluster.toml");

fn node(name: &str) -> NewNode {
    NewNode {
        name: name.into(),
        address: Ipv4Addr::new(192, 168, 4, 14),
        role: Role::Agent,
        profile: "pi5-ssd".into(),
        mac: None,
        labels: Default::default(),
        taints: Vec::new(),
    }
}

fn parsed(text: &str) -> ClusterFile {
    let mut draft = Draft::default();
    let key = include_bytes!("../../../cluster/keys/example.pub").to_vec();
    draft.0.insert("keys/example.pub".into(), key);
    parse_cluster(text, Path::new("cluster.toml"), &draft).expect("a good file")
}

const PI_4: &str = "
[[nodes]]
name = \"pi-4\"
address = \"192.168.4.14\"
role = \"agent\"
profile = \"pi5-ssd\"
";

#[test]
fn a_node_is_added_behind_the_others_and_nothing_else_changes() {
    let added = add_node(CLUSTER, &node("pi-4")).expect("added");
    assert_eq!(added, format!("{CLUSTER}{PI_4}"));
    // Tables and comments behind the nodes stay there.
    let behind = format!("{CLUSTER}\n# for the lab\n[k3s]\nairgap = true # slow line\n\n# end\n");
    let added = add_node(&behind, &node("pi-4")).expect("added");
    assert_eq!(
        added,
        behind.replacen("\n# for", &format!("{PI_4}\n# for"), 1)
    );
    // A table of the last node's stays its own.
    let with_labels = format!("{CLUSTER}[nodes.labels]\ndisk = \"nvme\"\n");
    let added = add_node(&with_labels, &node("pi-4")).expect("added");
    assert_eq!(added, format!("{with_labels}{PI_4}"));
    assert_eq!(parsed(&added).nodes[2].node.labels.len(), 1);
}

#[test]
fn what_comes_goes_again() {
    for text in [
        CLUSTER.to_owned(),
        CLUSTER.replace('\n', "\r\n"),
        format!("\u{feff}{CLUSTER}"),
        format!("{CLUSTER}\n[k3s]\n# the default\n"),
    ] {
        let mut full = node("pi-4");
        full.mac = Some("dc:a6:32:01:02:03".into());
        full.labels = [("a.example/b", "c"), ("disk", "nvme")]
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        full.taints = vec!["dedicated=media:NoSchedule".into(), "slow:NoExecute".into()];
        let added = add_node(&text, &full).expect("added");
        let entry = &parsed(&added).nodes[3].node;
        assert_eq!(entry.mac.expect("a MAC").to_string(), "dc:a6:32:01:02:03");
        assert_eq!(entry.labels, full.labels);
        let taints: Vec<String> = entry.taints.iter().map(ToString::to_string).collect();
        assert_eq!(taints, full.taints);
        assert_eq!(remove_node(&added, "pi-4").expect("removed"), text);
    }
}

#[test]
fn a_last_line_without_its_end_gets_one() {
    let cut = CLUSTER.trim_end();
    let added = add_node(cut, &node("pi-4")).expect("added");
    assert_eq!(added, format!("{CLUSTER}{PI_4}"));
}

#[test]
fn nodes_in_a_list_stay_in_a_list() {
    let (head, _) = CLUSTER.split_once("# One server").expect("nodes");
    let one = r#"{ name = "pi-1", address = "192.168.4.11", role = "server", profile = "p" }"#;
    for (list, added) in [
        (format!("nodes = [{one}]\n"), "role"),
        (
            format!("nodes = [\n    # first\n    {one},\n]\n"),
            "\n    { name = \"pi-4\"",
        ),
    ] {
        // Before the tables: below one it would be that one's.
        let text = list + head;
        let more = add_node(&text, &node("pi-4")).expect("added");
        assert!(more.contains(added) && more.contains("# first") == text.contains("# first"));
        assert_eq!(parsed(&more).nodes.len(), 2, "{more}");
        let less = remove_node(&more, "pi-4").expect("removed");
        assert_eq!(parsed(&less).nodes.len(), 1, "{less}");
    }
}

#[test]
fn a_node_goes_with_its_own_comments() {
    let text = CLUSTER
        .replace("name = \"pi-2\"", "# in the attic\nname = \"pi-2\" # noisy")
        .replace("[[nodes]]\n# in", "# the second\n[[nodes]]\n# in");
    let without = remove_node(&text, "pi-2").expect("removed");
    let (before, after) = CLUSTER
        .split_once("\n[[nodes]]\nname = \"pi-2\"")
        .expect("pi-2");
    let (_, after) = after.split_once("\n\n").expect("a next node");
    assert_eq!(without, format!("{before}\n{after}"));
    // What is above the first is about all of them.
    let without = remove_node(CLUSTER, "pi-1").expect("removed");
    assert!(
        without.contains("etcd wants an odd number.\n[[nodes]]\nname = \"pi-2\""),
        "{without}"
    );
    assert_eq!(
        parsed_names(&without.replace("agent", "server")),
        ["pi-2", "pi-3"]
    );
}

fn parsed_names(text: &str) -> Vec<String> {
    let nodes = parsed(text).nodes.into_iter();
    nodes.map(|entry| entry.node.name).collect()
}

#[test]
fn a_mac_address_is_changed_where_it_stands() {
    let first = set_mac(CLUSTER, "pi-3", "dc:a6:32:01:02:03").expect("set");
    assert_eq!(first, format!("{CLUSTER}mac = \"dc:a6:32:01:02:03\"\n"));
    let noted = first.replace(":03\"", ":03\" # the second Pi");
    let second = set_mac(&noted, "pi-3", "dc:a6:32:01:02:04").expect("set");
    assert_eq!(second, noted.replace(":03", ":04"));
}

#[test]
fn what_cannot_be_changed_is_said() {
    let of = |text: &str| add_node(text, &node("pi-4"));
    assert_eq!(of("[[nodes]"), Err(EditError::Syntax));
    assert_eq!(of("version = 1\n"), Err(EditError::Nodes));
    assert_eq!(of("nodes = 1\n"), Err(EditError::Nodes));
    let unknown = remove_node(CLUSTER, "pi-9");
    assert_eq!(unknown, Err(EditError::Unknown("pi-9".into())));
}

#[test]
fn a_cut_file_is_refused_or_kept() {
    for (end, _) in CLUSTER.char_indices() {
        let cut = &CLUSTER[..end];
        if let Ok(added) = add_node(cut, &node("pi-4")) {
            let line_end = if cut.ends_with('\n') { "" } else { "\n" };
            assert_eq!(added.replacen(PI_4, "", 1), format!("{cut}{line_end}"));
        }
    }
}

#[test]
fn the_next_address_is_nobodys() {
    let next = |text: &str, taken: &[[u8; 4]]| {
        let taken = taken.iter().map(|address| Ipv4Addr::from(*address));
        next_address(&parsed(text), taken).map(|address| address.to_string())
    };
    let is = |address: &str| Some(address.to_owned());
    assert_eq!(next(CLUSTER, &[]), is("192.168.4.14"));
    assert_eq!(next(CLUSTER, &[[192, 168, 4, 14]]), is("192.168.4.15"));
    let dns = CLUSTER.replace(
        "[\"192.168.4.1\"]",
        "[\"192.168.4.14\"]\nntp = [\"192.168.4.15\"]",
    );
    assert_eq!(next(&dns, &[]), is("192.168.4.16"));
    let vip = format!("{CLUSTER}[k3s]\nvip = \"192.168.4.14\"\n");
    assert_eq!(next(&vip, &[]), is("192.168.4.15"));
    // Nothing above: the lowest that is free; .1 is the gateway's.
    let high = CLUSTER.replace("4.13", "4.254");
    assert_eq!(next(&high, &[]), is("192.168.4.2"));
    let full = CLUSTER
        .replace("/24", "/29")
        .replace("4.230-192.168.4.249", "4.5-192.168.4.5")
        .replace("4.11", "4.2")
        .replace("4.12", "4.3")
        .replace("4.13", "4.4");
    assert_eq!(next(&full, &[]), is("192.168.4.5"));
    assert_eq!(next(&full, &[[192, 168, 4, 5], [192, 168, 4, 6]]), None);
}
