//! Mistakes in a cluster file.

use super::{CLUSTER, check_blocks, good, load_good};
use crate::plan::Role;

#[test]
fn a_good_file_becomes_a_plan() {
    let workspace = load_good(&good()).expect("nothing wrong");
    let plan = workspace.plan("pi-2").expect("a node");
    assert_eq!(plan.node.address.to_string(), "192.168.4.12/24");
    assert_eq!(plan.node.role, Role::Agent);
    assert_eq!(plan.node.labels["disk"], "nvme");
    assert_eq!(
        plan.network.dns,
        [plan.network.gateway],
        "the gateway is asked by default"
    );
    assert_eq!(plan.profile.name, "pi5");
    assert!(plan.users[0].sudo && plan.users[0].ssh_keys.len() == 1);
    assert_eq!(plan.peer().name, "pi-2");
    assert_eq!(workspace.warnings(), []);
}

#[test]
fn mistakes_are_named() {
    check_blocks("c/cluster.toml", include_str!("cluster.txt"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = CLUSTER
        .replace("\"home\"", "\"Home Lab\"")
        .replace("gateway", "gatway")
        .replace("\"agent\"", "5")
        .replace("192.168.4.12", "192.168.4.11")
        .replace("\"nvme\"", "\"-\"");
    let mut files = good();
    files.insert("c/cluster.toml".into(), text.into());
    files.insert(
        "c/keys/admin.pub".into(),
        b"\n# mine\nssh-ed25519 AAAA me\n".to_vec(),
    );
    files.insert(
        "profiles/pi5.toml".into(),
        b"version = 1\nmachine_id = \"none\"\n".to_vec(),
    );
    let problems = load_good(&files).expect_err("wrong everywhere");
    assert_eq!(problems.to_string(), "\
c/cluster.toml:4:8: \"Home Lab\" is not a cluster name; write \"home-lab\"
c/cluster.toml:7:1: [network] has no `gateway`; add a line such as gateway = \"192.168.4.1\"
c/cluster.toml:9:1: unknown key \"gatway\" in [network]; did you mean `gateway`?
c/cluster.toml:25:11: the address 192.168.4.11 is taken already, at line 18, column 11; give each node its own
c/cluster.toml:26:8: `role` is an integer, not a string; write role = \"server\"
c/cluster.toml:28:19: \"-\" is not the value of a Kubernetes label; write letters, digits and inner `-`, `_` or `.`, at most 63
c/keys/admin.pub:3:1: this ssh-ed25519 key is damaged or cut short; copy the whole line of the .pub file again
profiles/pi5.toml:1:1: there is no [base]; add a table [base] with some of `file`, `sha256`, `signer`, `signer_key` and `url`
profiles/pi5.toml:2:14: `machine_id` cannot be \"none\"; write \"derived\" or \"first-boot\"");
}

#[test]
fn mistakes_beside_syntax_errors_are_said_too() {
    // What may only be lost (`gateway` is there, unreadable) is not.
    let text = CLUSTER
        .replace("\"192.168.4.1\"", "192.168.4.1")
        .replace("\"pi-1\"", "\"Pi-1\"");
    let mut files = good();
    files.insert("c/cluster.toml".into(), text.into());
    let problems = load_good(&files).expect_err("two mistakes");
    assert_eq!(
        problems.to_string(),
        "\
c/cluster.toml:9:18: not TOML: invalid float; write text in double quotes, such as name = \"text\"
c/cluster.toml:17:8: \"Pi-1\" is not a host name; write \"pi-1\""
    );
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let warnings = |from: &str, to: &str| {
        let mut files = good();
        files.insert("c/cluster.toml".into(), CLUSTER.replace(from, to).into());
        let workspace = load_good(&files).expect("allowed");
        let warnings: Vec<_> = workspace
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect();
        warnings.join("\n")
    };
    assert_eq!(
        warnings("\"agent\"", "\"server\""),
        "c/cluster.toml:16:1: with 2 servers no more may fail than with 1: etcd needs a majority; have 1, 3 or 5 servers"
    );
    assert_eq!(
        warnings("ssh_key_files", "sudo = false\nssh_key_files"),
        "c/cluster.toml:12:1: no user may become root; leave `sudo = false` out of one of them"
    );
}
