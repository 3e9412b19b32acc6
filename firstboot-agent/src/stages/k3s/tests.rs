//! The stage on a machine where the other servers are scripts.

use node_config::NodeConfig;

use super::*;
use crate::supervisor::TOKEN;
use crate::supervisor::authority::sha256;
use crate::system::fake::Fake;
use crate::tests::cluster::{self, node};
use crate::tests::faults::at_every_call;
use crate::tests::machine;

fn machine() -> Fake {
    let fake = Fake::new();
    fake.make_dir(paths::STATE_DIR, 0o700)
        .expect("as the runner does");
    cluster::install(&fake);
    fake
}

/// What hands the cluster over.
fn handing_over() -> [&'static str; 4] {
    let [chart, projects, root] = paths::K3S_HANDOVER;
    [chart, projects, root, paths::K3S_REPOSITORY]
}

/// Which of it K3s is told to leave alone.
fn skips(fake: &Fake) -> [bool; 4] {
    handing_over().map(|path| fake.exists(&format!("{path}.skip")))
}

fn drop_in(fake: &Fake) -> String {
    fake.text(DROP_IN)
}

fn apply(node: &NodeConfig, fake: &Fake) -> Result<Look, StageError> {
    K3s.apply(node, fake, &|_| ())?;
    K3s.look(node, fake)
}

fn retry(node: &NodeConfig, fake: &Fake) -> String {
    match apply(node, fake) {
        Err(StageError::Retry(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_without_k3s_has_nothing_to_do() {
    let look = K3s.look(&machine::node(), &Fake::new());
    assert_eq!(look, Ok(Look::Done("the image carries none".into())));
}

#[test]
fn a_founder_founds_where_nobody_answers_and_joins_where_somebody_does() {
    for (servers, expected, pauses) in [
        ("", "cluster-init: true\n", 2),
        (
            "192.168.4.13 ready\n",
            "server: \"https://192.168.4.13:6443\"\n",
            0,
        ),
        // It will be, and is of this cluster.
        (
            "192.168.4.12 busy\n",
            "server: \"https://192.168.4.12:6443\"\n",
            0,
        ),
        // Rather one that is ready.
        (
            "192.168.4.12 refused\n192.168.4.13 ready\n",
            "server: \"https://192.168.4.13:6443\"\n",
            0,
        ),
        (
            "192.168.4.12 clock\n192.168.4.13 other\n",
            "server: \"https://192.168.4.12:6443\"\n",
            0,
        ),
    ] {
        let fake = machine();
        cluster::servers(&fake, servers);
        let look = apply(&node(true, &[12, 13]), &fake).expect("applies");
        assert!(matches!(look, Look::Done(_)), "{look:?}");
        assert_eq!(drop_in(&fake), expected, "{servers}");
        // Nobody is asked twice as long as it is not necessary.
        assert_eq!(fake.pauses.borrow().len(), pauses, "{servers}");
    }
    let alone = machine();
    let look = apply(&node(true, &[]), &alone).expect("applies");
    assert_eq!(drop_in(&alone), "cluster-init: true\n");
    assert!(alone.pauses.borrow().is_empty());
    let words = "may start, founder of the cluster".to_owned();
    assert_eq!(look, Look::Done(words));
}

#[test]
fn a_founder_that_joins_hands_nothing_over() {
    for (answering, skipped) in [("", false), ("192.168.4.13 ready\n", true)] {
        let fake = machine();
        cluster::servers(&fake, answering);
        for path in handing_over() {
            fake.put(path, 0o600, "kind: Application\n");
        }
        apply(&node(true, &[12, 13]), &fake).expect("applies");
        assert_eq!(skips(&fake), [skipped; 4]);
    }
    // An image that hands nothing over gets no marks.
    let fake = machine();
    cluster::servers(&fake, "192.168.4.13 ready\n");
    apply(&node(true, &[13]), &fake).expect("applies");
    assert_eq!(skips(&fake), [false; 4]);
}

#[test]
fn a_founder_founds_nothing_beside_another_cluster_or_somebody_it_cannot_tell() {
    for (servers, cure) in [
        (
            "192.168.4.13 other\n",
            "192.168.4.13 belongs to another cluster",
        ),
        (
            "192.168.4.13 strange\n",
            "192.168.4.13 listens and does not answer",
        ),
    ] {
        let fake = machine();
        cluster::servers(&fake, servers);
        let words = retry(&node(true, &[12, 13]), &fake);
        assert!(words.starts_with("founds no cluster while"), "{words}");
        assert!(words.contains(cure), "{words}");
        assert!(!fake.exists(DROP_IN) && !fake.exists(paths::K3S_MAY_START));
        // The other one is gone, or was mended.
        cluster::servers(&fake, "");
        apply(&node(true, &[12, 13]), &fake).expect("founds");
        assert_eq!(drop_in(&fake), "cluster-init: true\n");
    }
}

#[test]
fn who_is_no_founder_waits_for_a_server_and_never_founds() {
    let (fake, node) = (machine(), node(false, &[11, 12]));
    let words = retry(&node, &fake);
    assert!(words.contains("192.168.4.11, 192.168.4.12"), "{words}");
    cluster::servers(&fake, "192.168.4.11 other\n");
    let words = retry(&node, &fake);
    assert!(words.contains("192.168.4.11 belongs to another"), "{words}");
    assert!(words.contains("port 6443 of 192.168.4.12:"), "{words}");
    assert!(!fake.exists(DROP_IN) && !fake.exists(paths::K3S_MAY_START));
    cluster::servers(&fake, "192.168.4.12 ready\n");
    let look = apply(&node, &fake).expect("applies");
    let words = "may start, joining at 192.168.4.12".to_owned();
    assert_eq!(look, Look::Done(words));
}

/// All nodes were switched on together, without a battery or a time server among them.
#[test]
fn a_server_that_is_up_by_now_sets_a_clock_that_nothing_keeps() {
    let node = node(false, &[11]);
    let late = node.epoch + 40 * 24 * 3600;
    for (kept, taken) in [(false, true), (true, false)] {
        let fake = machine();
        fake.install("date", |fake, args, _| {
            let time = args[1].strip_prefix("--set=@").expect("a time");
            fake.set_clock(time.parse().expect("seconds"));
            Ok(String::new())
        });
        if kept {
            fake.put("/run/systemd/timesync/synchronized", 0o644, "");
        }
        fake.set_clock(node.epoch);
        cluster::servers(&fake, "192.168.4.11 clock\n");
        cluster::tell_time(&fake, late);
        apply(&node, &fake).expect("ours, whatever the time");
        assert_eq!(fake.time(), if taken { late } else { node.epoch });
    }
}

#[test]
fn a_server_with_a_datastore_asks_nobody() {
    let fake = machine();
    fake.put("/var/lib/rancher/k3s/server/db/etcd/name", 0o600, "");
    cluster::servers(&fake, "192.168.4.12 ready\n");
    apply(&node(true, &[12]), &fake).expect("applies");
    assert_eq!(drop_in(&fake), "");
}

#[test]
fn founding_goes_on_after_a_cut_though_somebody_answers_by_then() {
    let fake = machine();
    fake.put(DROP_IN, 0o600, "cluster-init: true\n");
    // It is this node's own cluster that the other one has joined.
    cluster::servers(&fake, "192.168.4.12 ready\n");
    apply(&node(true, &[12]), &fake).expect("applies");
    assert_eq!(drop_in(&fake), "cluster-init: true\n");
}

#[test]
fn what_was_harmed_on_the_disk_is_not_started() {
    let mut node = node(true, &[]);
    let k3s = node.k3s.as_mut().expect("K3s");
    k3s.files.push(BakedFile {
        path: "/usr/local/bin/k3s".into(),
        sha256: sha256(b"the program"),
    });
    for (content, complaint) in [
        (None, "/usr/local/bin/k3s is missing"),
        (Some("the prog"), "is not what the image was made with"),
    ] {
        let fake = machine();
        if let Some(content) = content {
            fake.put("/usr/local/bin/k3s", 0o755, content);
        }
        let error = apply(&node, &fake).expect_err("harmed");
        assert!(matches!(error, StageError::Fatal(_)), "{error}");
        assert!(error.to_string().contains(complaint), "{error}");
        assert!(!fake.exists(paths::K3S_MAY_START));
        fake.put("/usr/local/bin/k3s", 0o755, "the program");
        apply(&node, &fake).expect("whole");
        // From then on it is the owner's: an update is no harm.
        fake.put("/usr/local/bin/k3s", 0o755, "a newer program");
        assert!(matches!(K3s.look(&node, &fake), Ok(Look::Done(_))));
    }
}

#[test]
fn without_a_token_it_is_fatal_and_a_damaged_one_is_not_quoted() {
    for token in ["", "K10hunter2::server:hunter2"] {
        let fake = machine();
        fake.put(TOKEN, 0o600, token);
        let error = apply(&node(false, &[12]), &fake).expect_err("no token");
        assert!(matches!(error, StageError::Fatal(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// The end of a run without trouble, and of runs cut before and within every call.
#[test]
fn cut_at_every_call_it_ends_the_same() {
    for (founds, servers, answering) in [
        (true, &[12][..], ""),
        (true, &[12], "192.168.4.12 ready\n"),
        (false, &[11, 12], "192.168.4.12 ready\n"),
    ] {
        let node = node(founds, servers);
        let ready = || {
            let fake = machine();
            cluster::servers(&fake, answering);
            if founds {
                for path in handing_over() {
                    fake.put_synced(path, 0o600, "kind: Application\n");
                }
            }
            fake
        };
        let whole = ready();
        apply(&node, &whole).expect("applies");
        let calls = at_every_call(
            ready,
            |fake| apply(&node, fake),
            |fake, fault| {
                assert_eq!(drop_in(fake), drop_in(&whole), "{fault:?}");
                assert_eq!(skips(fake), skips(&whole), "{fault:?}");
                assert!(fake.files().contains_key(paths::K3S_MAY_START), "{fault:?}");
            },
        );
        assert!(calls > 8, "{calls} calls");
    }
}
