//! The stage on a machine where the process that pulls is a script.

use node_config::handover::TEXTS;

use super::*;
use crate::system::fake::Fake;
use crate::tests::cluster::{self, handing_over};
use crate::tests::faults::at_every_call;
use crate::tests::machine;

/// What K3s applies of the image's own.
const BAKED: &str = "baked\n";

fn node() -> NodeConfig {
    cluster::pulling(&Fake::new())
}

/// A founder whose Git nobody can ask.
fn machine() -> Fake {
    let fake = Fake::new();
    fake.make_dir(paths::STATE_DIR, 0o700)
        .expect("as the runner does");
    fake.put(DROP_IN, 0o600, "cluster-init: true\n");
    cluster::pulling(&fake);
    fake.uninstall(paths::AGENT);
    fake
}

fn texts() -> [String; 3] {
    TEXTS.map(|name| format!("# {name} of Git\n"))
}

fn pulled() -> Outcome {
    Outcome::Pulled {
        commit: "0a".repeat(20),
        signer: None,
        texts: texts(),
    }
}

fn git(fake: &Fake, outcome: &Outcome) {
    let said = serde_json::to_string(outcome).expect("JSON");
    fake.install(paths::AGENT, move |_, args, _| {
        assert_eq!(args, [pull::FLAG]);
        Ok(said.clone())
    });
}

fn apply(fake: &Fake) -> Result<Look, StageError> {
    Bootstrap.apply(&node(), fake, &|_| ())?;
    Bootstrap.look(&node(), fake)
}

fn manifests_of(fake: &Fake) -> [String; 3] {
    paths::K3S_HANDOVER.map(|path| fake.text(path))
}

fn done(fake: &Fake) -> String {
    match apply(fake) {
        Ok(Look::Done(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_git_has_is_written_as_the_builder_would_have_written_it() {
    let fake = machine();
    let look = Bootstrap.look(&node(), &fake);
    assert_eq!(look, Ok(Look::ToDo("Git is not asked yet".into())));
    git(&fake, &pulled());
    let words = format!("commit {} of https://git.home.arpa/a.git", "0a".repeat(20));
    assert_eq!(done(&fake), words);
    assert_eq!(
        manifests_of(&fake),
        manifests("argo-cd-10.1.1.tgz", &texts())
    );
    for path in paths::K3S_HANDOVER {
        assert_eq!(fake.mode(path).expect("looks"), Some(0o600));
    }
    // It is not asked a second time.
    fake.uninstall(paths::AGENT);
    assert_eq!(done(&fake), words);
}

#[test]
fn who_signed_is_told() {
    let fake = machine();
    let Outcome::Pulled { commit, texts, .. } = pulled() else {
        unreachable!("it is");
    };
    git(
        &fake,
        &Outcome::Pulled {
            commit,
            signer: Some("SHA256:abc".into()),
            texts,
        },
    );
    assert!(done(&fake).ends_with(", signed by SHA256:abc"));
}

#[test]
fn what_is_not_the_owners_is_not_used_and_that_is_said() {
    let fake = machine();
    git(
        &fake,
        &Outcome::Refused("the commit 0a0a is not signed".into()),
    );
    let words = done(&fake);
    assert!(words.starts_with("warning: the cluster starts with the bootstrap that was baked"));
    assert!(words.ends_with("the commit 0a0a is not signed"), "{words}");
    assert_eq!(manifests_of(&fake), [BAKED; 3]);
    assert!(fake.pauses.borrow().is_empty(), "it will not pass");
}

#[test]
fn without_git_the_cluster_starts_with_what_was_baked() {
    let silent: [fn(&Fake); 4] = [
        |fake| git(fake, &Outcome::Away("no name server knows it".into())),
        |fake| {
            // Ended when its time was over.
            fake.install(paths::AGENT, |fake, _, _| {
                fake.sleep(LIMIT);
                Err("stopped after 40 s without an end".into())
            });
        },
        |fake| fake.install(paths::AGENT, |_, _, _| Ok("{".into())),
        |_| {},
    ];
    for silence in silent {
        let fake = machine();
        silence(&fake);
        let words = done(&fake);
        assert!(words.starts_with("warning: "), "{words}");
        assert_eq!(manifests_of(&fake), [BAKED; 3]);
        assert_eq!(
            fake.pauses.borrow().iter().filter(|p| **p == PAUSE).count(),
            2
        );
        assert!(fake.now() <= PATIENCE + LIMIT, "{:?}", fake.now());
        // The cluster has begun with that: what Git has now is Argo CD's to follow.
        git(&fake, &pulled());
        assert_eq!(done(&fake), words);
        assert_eq!(manifests_of(&fake), [BAKED; 3]);
    }
}

#[test]
fn git_may_answer_late() {
    let fake = machine();
    let said = serde_json::to_string(&pulled()).expect("JSON");
    fake.install(paths::AGENT, move |fake, _, _| match fake.now().as_secs() {
        0..6 => Err("exit status: 1".into()),
        _ => Ok(said.clone()),
    });
    assert!(done(&fake).starts_with("commit "));
}

#[test]
fn who_hands_nothing_over_or_joined_or_was_told_nothing_asks_nobody() {
    let fake = machine();
    let words = |node: &NodeConfig| match Bootstrap.look(node, &fake) {
        Ok(Look::Done(words)) => words,
        other => panic!("{other:?}"),
    };
    assert_eq!(words(&machine::node()), "this node hands no cluster over");
    assert!(words(&handing_over()).contains("set `commit` or `signers`"));
    let at_12 = "server: \"https://192.168.4.12:6443\"\n";
    fake.put(DROP_IN, 0o600, at_12);
    assert!(words(&node()).ends_with("was handed over before"));
    done(&fake);
    assert_eq!(manifests_of(&fake), [BAKED; 3]);
}

#[test]
fn what_k3s_is_to_leave_alone_is_left_alone() {
    let fake = machine();
    let [chart, projects, root] = paths::K3S_HANDOVER;
    fake.put(&format!("{projects}.skip"), 0o600, "");
    git(&fake, &pulled());
    assert!(done(&fake).starts_with("commit "));
    assert_eq!(fake.text(projects), BAKED);
    assert_ne!(fake.text(chart), BAKED);
    assert_ne!(fake.text(root), BAKED);
}

#[test]
fn cut_or_failing_at_every_call_it_ends_with_texts_of_one_commit() {
    for trouble in [false, true] {
        let ready = move || {
            let fake = machine();
            let said = serde_json::to_string(&pulled()).expect("JSON");
            let other = serde_json::to_string(&pulled()).expect("JSON");
            let other = other.replace("of Git", "of a later commit");
            // Asked a second time, it has moved on.
            fake.install(paths::AGENT, move |fake, _, _| {
                let asked = fake.exists("/run/asked");
                fake.put_synced("/run/asked", 0o600, "");
                match (asked, trouble) {
                    (false, false) => Ok(said.clone()),
                    (true, false) => Ok(other.clone()),
                    (_, true) => Ok(r#"{"refused": "no"}"#.into()),
                }
            });
            fake
        };
        let calls = at_every_call(ready, apply, |fake, fault| {
            let found = manifests_of(fake);
            let later = texts().map(|text| text.replace("of Git", "of a later commit"));
            let of = |texts: &[String; 3]| found == manifests("argo-cd-10.1.1.tgz", texts);
            match trouble {
                true => assert_eq!(found, [BAKED; 3], "{fault:?}"),
                false => assert!(of(&texts()) || of(&later), "{fault:?}: {found:?}"),
            }
        });
        assert!(calls > 6, "{calls} calls");
    }
}
