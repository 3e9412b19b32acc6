//! The stage on a machine where K3s, the other servers and systemd are scripts.

use node_config::paths;

use super::*;
use crate::system::fake::Fake;
use crate::tests::cluster::{self, UNIT, node};
use crate::tests::faults::at_every_call;
use crate::tests::machine;

const AT_12: &str = "server: \"https://192.168.4.12:6443\"\n";

/// A node that may start K3s, and was told to join at the second server.
fn machine() -> Fake {
    let fake = Fake::new();
    fake.put(paths::K3S_MAY_START, 0o644, "");
    fake.put(DROP_IN, 0o600, AT_12);
    cluster::install(&fake);
    cluster::servers(&fake, "192.168.4.12 ready\n");
    fake
}

fn apply(node: &NodeConfig, fake: &Fake) -> Result<Look, StageError> {
    Join.apply(node, fake, &|_| ())?;
    Join.look(node, fake)
}

fn retry(node: &NodeConfig, fake: &Fake) -> String {
    match apply(node, fake) {
        Err(StageError::Retry(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_without_k3s_has_nothing_to_do() {
    let look = Join.look(&machine::node(), &Fake::new());
    let words = "there is no K3s to join with".to_owned();
    assert_eq!(look, Ok(Look::Done(words)));
}

#[test]
fn it_starts_k3s_and_is_done_when_the_node_is_ready() {
    let (fake, node) = (machine(), node(false, &[12]));
    let look = Join.look(&node, &fake).expect("looks");
    assert_eq!(look, Look::ToDo(format!("{UNIT} is inactive")));
    let look = apply(&node, &fake).expect("joins");
    let words = "pi-1 is Ready, joined at 192.168.4.12".to_owned();
    assert_eq!(look, Look::Done(words));
    assert_eq!((cluster::starts(&fake), fake.now()), (1, Duration::ZERO));
    fake.put(DROP_IN, 0o600, "cluster-init: true\n");
    let words = "pi-1 is Ready, founder of the cluster".to_owned();
    assert_eq!(Join.look(&node, &fake), Ok(Look::Done(words)));
}

#[test]
fn a_unit_that_runs_is_left_alone_and_followed_until_its_node_is_ready() {
    let (fake, node) = (machine(), node(false, &[12]));
    apply(&node, &fake).expect("joins");
    cluster::own_node(&fake, "False KubeletNotReady: cni plugin not initialized");
    let words = retry(&node, &fake);
    assert_eq!(
        words,
        "pi-1 has joined and is not Ready: KubeletNotReady: cni plugin not initialized"
    );
    assert_eq!((cluster::starts(&fake), fake.now()), (1, PATIENCE));
}

#[test]
fn without_a_kubeconfig_it_says_what_it_did_not_ask() {
    let (fake, node) = (machine(), node(false, &[12]));
    cluster::lose_kubeconfig(&fake);
    let Ok(Look::Done(words)) = apply(&node, &fake) else {
        panic!("it would wait for ever");
    };
    assert!(
        words.contains("whether pi-1 is Ready was not asked"),
        "{words}"
    );
}

#[test]
fn what_k3s_complains_of_is_told_with_its_cure() {
    for (line, cure) in [
        (
            "level=info msg=\"Waiting to retrieve agent configuration; server is not ready: Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag\"",
            "kubectl delete node",
        ),
        (
            "level=fatal msg=\"Error: starting kubernetes: preparing server: failed to validate server configuration: critical configuration value mismatch between servers\"",
            "[k3s]",
        ),
        (
            "level=fatal msg=\"token CA hash does not match the Cluster CA certificate hash\"",
            "another cluster",
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 1970-01-01",
            "timedatectl",
        ),
        (
            "level=fatal msg=\"server time isn't set properly: 1970-01-01\"",
            "time server",
        ),
        ("level=error msg=\"not authorized\"", "rotated"),
        (
            "msg=\"https://192.168.4.12:6443/v1-k3s/serving-kubelet.crt: 401 Unauthorized\"",
            "expired",
        ),
        (
            "level=fatal msg=\"failed to find memory cgroup (v2)\"",
            "cgroup_memory = true",
        ),
    ] {
        let (fake, node) = (machine(), node(false, &[12]));
        let passed = "msg=\"https://192.168.4.12:6443/x: 403 Forbidden\"";
        cluster::unit(&fake, "activating", &format!("{passed}\n{line}\nmore\n"));
        let words = retry(&node, &fake);
        assert!(words.contains(cure), "{line}: {words}");
        let words = retry(&node, &fake);
        assert!(words.contains(cure), "{line}: {words}");
        assert_eq!(cluster::starts(&fake), 1, "restarted for nothing");
    }
}

#[test]
fn where_k3s_says_nothing_the_server_is_looked_at() {
    for (server, cure) in [
        ("192.168.4.12 busy\n", "not ready yet (503)"),
        ("192.168.4.12 refused\n", "refuses this node's token (401)"),
        ("192.168.4.12 clock\n", "give the network a time server"),
        ("192.168.4.12 other\n", "belongs to another cluster"),
        ("", "no server answers at port 6443 of 192.168.4.12"),
        ("192.168.4.12 ready\n", "is starting and has not joined yet"),
    ] {
        let (fake, node) = (machine(), node(false, &[12]));
        cluster::servers(&fake, server);
        cluster::unit(&fake, "activating", "level=info msg=\"starting\"\n");
        let words = retry(&node, &fake);
        assert!(words.contains(cure), "{server}: {words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}

#[test]
fn another_server_is_joined_when_the_first_is_gone() {
    let (fake, node) = (machine(), node(false, &[12, 13]));
    cluster::unit(&fake, "activating", "connection refused\n");
    retry(&node, &fake);
    cluster::servers(&fake, "192.168.4.13 ready\n");
    retry(&node, &fake);
    assert_eq!(
        fake.text(DROP_IN),
        "server: \"https://192.168.4.13:6443\"\n"
    );
    assert_eq!(cluster::starts(&fake), 2);
    // Nobody is there: what it was told stays.
    cluster::servers(&fake, "");
    retry(&node, &fake);
    assert_eq!(cluster::starts(&fake), 2);
}

#[test]
fn a_unit_that_died_is_started_again() {
    let (fake, node) = (machine(), node(false, &[12]));
    cluster::unit(&fake, "failed", "");
    for starts in 1..3 {
        let words = retry(&node, &fake);
        assert_eq!(words, format!("{UNIT} is failed"));
        assert_eq!(cluster::starts(&fake), starts);
    }
}

#[test]
fn cut_or_failing_at_every_call_it_joins_in_the_end() {
    let node = node(false, &[12]);
    at_every_call(
        machine,
        |fake| apply(&node, fake),
        |fake, fault| assert_eq!(fake.text(DROP_IN), AT_12, "{fault:?}"),
    );
}
