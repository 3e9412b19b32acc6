//! The stage on a machine where K3s, the network and systemd are scripts.

use node_config::config::K3s as Settings;

use super::*;
use crate::system::fake::{Fake, Fault};
use crate::tests::machine;

const UNIT: &str = "k3s.service";

fn node(founds: bool, servers: &[u8]) -> NodeConfig {
    let mut node = machine::node();
    node.k3s = Some(Settings {
        unit: UNIT.into(),
        founds,
        servers: servers
            .iter()
            .map(|last| [192, 168, 4, *last].into())
            .collect(),
        ca_hash: "0a".repeat(32),
    });
    node
}

/// A machine on which the servers in `/run/answering` answer, and K3s is up with
/// the first look after its start, unless `/run/journal` says otherwise.
fn machine() -> Fake {
    let fake = Fake::new();
    fake.put("/run/answering", 0o644, "");
    fake.make_dir(paths::STATE_DIR, 0o700)
        .expect("as the runner does");
    fake.install("bash", |fake, args, _| {
        let host = args[1].split('/').nth(3).expect("a host").to_owned();
        let answering = fake.text("/run/answering");
        match answering.lines().any(|line| line == host) {
            true => Ok(String::new()),
            false => Err("Connection refused".into()),
        }
    });
    fake.install("systemctl", |fake, args, _| {
        if args[0] == "show" {
            let started = fake.text("/run/k3s-started");
            return Ok(
                match (started.is_empty(), fake.text("/run/journal").is_empty()) {
                    (true, _) => "inactive\n".into(),
                    (false, true) => "active\n".into(),
                    (false, false) => "activating\n".into(),
                },
            );
        }
        assert_eq!(args, ["--no-block", "restart", UNIT]);
        assert!(
            fake.files().contains_key(paths::K3S_MAY_START),
            "the unit's condition"
        );
        let starts: u32 = fake.text("/run/k3s-started").trim().parse().unwrap_or(0);
        fake.put_synced("/run/k3s-started", 0o644, (starts + 1).to_string());
        Ok(String::new())
    });
    fake.install("journalctl", |fake, _, _| Ok(fake.text("/run/journal")));
    fake
}

/// Which files that hand the cluster over K3s is told to leave alone.
fn skips(fake: &Fake) -> [bool; 3] {
    paths::K3S_HANDOVER.map(|path| fake.exists(&format!("{path}.skip")))
}

fn drop_in(fake: &Fake) -> String {
    fake.text(DROP_IN)
}

fn apply(node: &NodeConfig, fake: &Fake) -> Result<Look, StageError> {
    K3s.apply(node, fake, &|_| ())?;
    K3s.look(node, fake)
}

#[test]
fn an_image_without_k3s_has_nothing_to_do() {
    let look = K3s.look(&machine::node(), &Fake::new());
    assert_eq!(look, Ok(Look::Done("the image carries none".into())));
}

#[test]
fn a_founder_founds_where_nobody_answers_and_joins_where_somebody_does() {
    for (answering, expected) in [
        ("", "cluster-init: true\n"),
        ("192.168.4.13\n", "server: \"https://192.168.4.13:6443\"\n"),
    ] {
        let fake = machine();
        fake.put("/run/answering", 0o644, answering);
        let look = apply(&node(true, &[12, 13]), &fake).expect("applies");
        assert!(matches!(look, Look::Done(_)), "{look:?}");
        assert_eq!(drop_in(&fake), expected);
        // Nobody is asked twice as long as it is not necessary.
        let waited = fake.pauses.borrow().len();
        assert_eq!(waited, if answering.is_empty() { 2 } else { 0 });
    }
    let alone = machine();
    apply(&node(true, &[]), &alone).expect("applies");
    assert_eq!(drop_in(&alone), "cluster-init: true\n");
    assert!(
        alone.pauses.borrow().is_empty(),
        "a single server waits for nobody"
    );
}

#[test]
fn a_founder_that_joins_hands_nothing_over() {
    for (answering, skipped) in [("", false), ("192.168.4.13\n", true)] {
        let fake = machine();
        fake.put("/run/answering", 0o644, answering);
        for path in paths::K3S_HANDOVER {
            fake.put(path, 0o600, "kind: Application\n");
        }
        apply(&node(true, &[12, 13]), &fake).expect("applies");
        assert_eq!(skips(&fake), [skipped; 3]);
    }
    // An image that hands nothing over gets no marks.
    let fake = machine();
    fake.put("/run/answering", 0o644, "192.168.4.13\n");
    apply(&node(true, &[13]), &fake).expect("applies");
    assert_eq!(skips(&fake), [false; 3]);
}

#[test]
fn the_others_never_found_a_cluster() {
    let fake = machine();
    let node = node(false, &[11, 12]);
    let error = K3s
        .apply(&node, &fake, &|_| ())
        .expect_err("nobody answers");
    let StageError::Retry(words) = &error else {
        panic!("{error:?}")
    };
    assert!(words.contains("192.168.4.11, 192.168.4.12"), "{words}");
    assert_eq!(
        (drop_in(&fake), fake.text("/run/k3s-started")),
        (String::new(), String::new())
    );
    fake.put("/run/answering", 0o644, "192.168.4.12\n");
    let look = apply(&node, &fake).expect("applies");
    let words = format!("{UNIT} is running, joined at https://192.168.4.12:6443");
    assert_eq!(look, Look::Done(words));
}

#[test]
fn a_server_with_a_datastore_asks_nobody() {
    let fake = machine();
    fake.put(
        &format!("/var/lib/rancher/k3s/server/db/etcd/{}", "name"),
        0o600,
        "",
    );
    fake.put("/run/answering", 0o644, "192.168.4.12\n");
    apply(&node(true, &[12]), &fake).expect("applies");
    assert_eq!(drop_in(&fake), "");
}

#[test]
fn founding_goes_on_after_a_cut_though_somebody_answers_by_then() {
    let fake = machine();
    fake.put(DROP_IN, 0o600, "cluster-init: true\n");
    // It is this node's own cluster that the other one has joined.
    fake.put("/run/answering", 0o644, "192.168.4.12\n");
    apply(&node(true, &[12]), &fake).expect("applies");
    assert_eq!(drop_in(&fake), "cluster-init: true\n");
}

#[test]
fn what_k3s_complains_of_is_told_with_its_cure() {
    for (line, cure) in [
        (
            "level=info msg=\"Waiting to retrieve agent configuration; server is not ready: Node password rejected, duplicate hostname\"",
            "kubectl delete node",
        ),
        (
            "level=fatal msg=\"critical configuration value mismatch between servers\"",
            "[k3s]",
        ),
        (
            "level=fatal msg=\"token CA hash does not match the Cluster CA certificate hash\"",
            "another cluster",
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 1970-01-01",
            "clock",
        ),
        ("level=error msg=\"not authorized\"", "rotated"),
        ("level=info msg=\"pulling images\"", "has not joined yet"),
    ] {
        let fake = machine();
        fake.put("/run/answering", 0o644, "192.168.4.11\n");
        fake.put(
            "/run/journal",
            0o644,
            format!("Node password rejectex\n{line}\n"),
        );
        let node = node(false, &[11]);
        apply(&node, &fake).expect("starts");
        let again = apply(&node, &fake).expect_err("is still starting");
        let StageError::Retry(words) = &again else {
            panic!("{again:?}")
        };
        assert!(words.contains(cure), "{line}: {words}");
        assert_eq!(fake.text("/run/k3s-started"), "1", "restarted for nothing");
    }
}

#[test]
fn another_server_is_asked_when_the_first_is_gone() {
    let fake = machine();
    fake.put("/run/answering", 0o644, "192.168.4.11\n");
    fake.put("/run/journal", 0o644, "connection refused\n");
    let node = node(false, &[11, 12]);
    apply(&node, &fake).expect("starts");
    fake.put("/run/answering", 0o644, "192.168.4.12\n");
    apply(&node, &fake).expect("starts anew");
    assert!(drop_in(&fake).contains("192.168.4.12"));
    assert_eq!(fake.text("/run/k3s-started"), "2");
}

/// The end of a run without trouble, and of runs cut before and within every call.
#[test]
fn cut_at_every_call_it_ends_the_same() {
    for (founds, servers, answering) in [
        (true, &[12][..], ""),
        (true, &[12], "192.168.4.12\n"),
        (false, &[11, 12], "192.168.4.12\n"),
    ] {
        let node = node(founds, servers);
        let ready = || {
            let fake = machine();
            fake.put("/run/answering", 0o644, answering);
            if founds {
                for path in paths::K3S_HANDOVER {
                    fake.put_synced(path, 0o600, "kind: Application\n");
                }
            }
            fake
        };
        let whole = ready();
        let result = whole.power_on(None, |fake| apply(&node, fake));
        assert!(matches!(result, Some(Ok(Look::Done(_)))), "{result:?}");
        let calls = whole.calls();
        assert!(calls > 8, "{calls} calls");
        for call in 0..calls {
            for fault in [
                Fault::CutBefore(call),
                Fault::CutWithin(call),
                Fault::Fail(call),
            ] {
                let fake = ready();
                let first = fake.power_on(Some(fault), |fake| apply(&node, fake));
                if let Some(Err(error)) = &first {
                    assert!(matches!(error, StageError::Retry(_)), "{fault:?}: {error}");
                }
                // A restart of the machine starts the unit by itself, or not yet.
                let look = fake.power_on(None, |fake| apply(&node, fake));
                assert!(
                    matches!(look, Some(Ok(Look::Done(_)))),
                    "{fault:?}: {look:?}"
                );
                assert_eq!(drop_in(&fake), drop_in(&whole), "{fault:?}");
                assert_eq!(skips(&fake), skips(&whole), "{fault:?}");
                assert!(fake.files().contains_key(paths::K3S_MAY_START), "{fault:?}");
            }
        }
    }
}
