//! The stage on a machine where kubectl is a script.

use super::*;
use crate::system::fake::Fake;
use crate::tests::cluster::{self, applications, handing_over};
use crate::tests::faults::at_every_call;
use crate::tests::machine;

/// All is well, of an Application.
const WELL: [&str; 2] = ["Synced", "Healthy"];

/// A founder whose K3s is up.
fn machine() -> Fake {
    let fake = Fake::new();
    cluster::install(&fake);
    fake.put(DROP_IN, 0o600, "cluster-init: true\n");
    fake
}

fn well(name: &'static str) -> [&'static str; 4] {
    [name, WELL[0], WELL[1], ""]
}

fn apply(fake: &Fake) -> Result<Look, StageError> {
    GitOps.apply(&handing_over(), fake, &|_| ())?;
    GitOps.look(&handing_over(), fake)
}

fn retry(fake: &Fake) -> String {
    match apply(fake) {
        Err(StageError::Retry(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_hands_nothing_over_asks_nobody() {
    let fake = Fake::new();
    let look = GitOps.look(&machine::node(), &fake);
    let words = "this node hands no cluster over".to_owned();
    assert_eq!(look, Ok(Look::Done(words)));
    // A founder that was wiped and found its cluster again.
    fake.put(DROP_IN, 0o600, "server: \"https://192.168.4.12:6443\"\n");
    let Ok(Look::Done(words)) = apply(&fake) else {
        panic!("it would wait for somebody else's work");
    };
    assert!(words.ends_with("was handed over before"), "{words}");
}

#[test]
fn it_is_done_when_the_root_is_in_sync_and_healthy() {
    let fake = machine();
    let words = "Argo CD is not installed yet".to_owned();
    assert_eq!(GitOps.look(&handing_over(), &fake), Ok(Look::ToDo(words)));
    applications(&fake, &[well("metallb"), well("root")]);
    let words = "root is Synced and Healthy; all others (1) are Synced and Healthy".to_owned();
    assert_eq!(apply(&fake), Ok(Look::Done(words)));
    assert_eq!(fake.now(), Duration::ZERO);
}

#[test]
fn neither_of_the_two_is_enough_and_what_is_late_is_named() {
    for (sync, health) in [("OutOfSync", "Healthy"), ("Synced", "Progressing")] {
        let fake = machine();
        let late = |name| [name, "OutOfSync", "Missing", ""];
        let all = [
            late("a"),
            late("b"),
            well("c"),
            late("d"),
            late("e"),
            ["root", sync, health, ""],
        ];
        applications(&fake, &all);
        let words = retry(&fake);
        let expected = format!(
            "root is {sync} and {health}; of 5 others a is OutOfSync and Missing, b is OutOfSync \
             and Missing, d is OutOfSync and Missing, and 1 more"
        );
        assert_eq!(words, expected);
        assert_eq!(fake.now(), PATIENCE);
    }
}

#[test]
fn an_empty_argo_cd_and_one_that_is_not_there_say_what_is_waited_for() {
    let fake = machine();
    assert_eq!(retry(&fake), "Argo CD is not installed yet");
    cluster::pods(
        &fake,
        r#"{"items": [{"metadata": {"name": "helm-install-argocd-x2x"}, "status": {
            "containerStatuses": [{"name": "helm", "image": "rancher/klipper-helm:v0.9.8",
                "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}]}"#,
    );
    let words = retry(&fake);
    assert!(
        words.starts_with("helm cannot get its image rancher/klipper-helm:v0.9.8: look"),
        "{words}"
    );
    assert!(words.ends_with("; Argo CD is not installed yet"), "{words}");
    cluster::pods(&fake, "");
    applications(&fake, &[]);
    assert_eq!(
        retry(&fake),
        "Argo CD is installed, and the Application root is not there yet"
    );
}

#[test]
fn an_api_that_is_down_is_waited_for() {
    let fake = machine();
    fake.install("/usr/local/bin/k3s", |_, _, _| {
        let noise = "E1127 21:01:44.1 12345 memcache.go:265] couldn't get the list";
        Err(format!("{noise}\nThe connection to the server was refused"))
    });
    let words = retry(&fake);
    assert_eq!(
        words,
        "the cluster does not answer: The connection to the server was refused"
    );
    applications(&fake, &[well("root")]);
    cluster::install(&fake);
    assert!(matches!(apply(&fake), Ok(Look::Done(_))));
}

#[test]
fn what_argo_cd_says_is_told_with_its_cure() {
    let load = "Failed to load target state: failed to generate manifest for source 1 of 2: rpc \
                error: code = Unknown desc = ";
    for (wrong, cure) in [
        (
            "failed to list refs: authentication required: Repository not found.",
            "give the cluster its credential",
        ),
        (
            "fatal: could not read Username for 'https://git': terminal prompts disabled",
            "give the cluster its credential",
        ),
        (
            "error creating SSH agent: \"SSH agent requested but SSH_AUTH_SOCK not-specified\"",
            "give the cluster its credential",
        ),
        ("authorization failed", "make a new one"),
        (
            "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]",
            "make a new one",
        ),
        (
            "ssh: handshake failed: knownhosts: key is unknown",
            "configs.ssh.extraHosts",
        ),
        (
            "ssh: handshake failed: knownhosts: key mismatch",
            "ask who changed it",
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "configs.tls.certificates",
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 1970-01-01",
            "timedatectl",
        ),
        ("repository not found", "`repoURL`"),
        (
            "cluster/kube-apps: app path does not exist",
            "correct `path`",
        ),
        (
            "unable to resolve 'mian' to a commit SHA",
            "correct `targetRevision`",
        ),
        (
            "application repo https://git is not permitted in project 'bootstrap'",
            "imgbuild gitops check",
        ),
        (
            "application destination server 'x' and namespace 'y' do not match any of the allowed \
             destinations in project 'homelab'",
            "imgbuild gitops check",
        ),
        (
            "Application referencing project bootstrap which does not exist",
            "bootstrap/project.yaml",
        ),
    ] {
        let fake = machine();
        let wrong = format!("{load}{wrong}");
        applications(&fake, &[["root", "Unknown", "Healthy", &wrong]]);
        let words = retry(&fake);
        assert!(words.contains(cure), "{wrong}: {words}");
        assert!(words.contains("Argo CD says \""), "{wrong}: {words}");
    }
}

#[test]
fn other_words_of_argo_cd_are_quoted_from_their_end_without_what_changes() {
    let fake = machine();
    let long = "reason ".repeat(60);
    let wrong = format!("{long}the API is missing. Retrying attempt #3 at 9:15PM.");
    // The root waits for it, and says nothing itself.
    let all = [
        ["longhorn", "OutOfSync", "Missing", wrong.as_str()],
        ["root", "Synced", "Progressing", ""],
    ];
    applications(&fake, &all);
    let words = retry(&fake);
    assert!(words.contains("Argo CD says: ...eason reason"), "{words}");
    assert!(words.contains("the API is missing.; of 1"), "{words}");
    assert!(!words.contains('#') && words.len() < 400, "{words}");
}

#[test]
fn cut_or_failing_at_every_call_it_is_done_in_the_end() {
    let ready = || {
        let fake = machine();
        fake.install("/usr/local/bin/k3s", |fake, _, _| {
            let late = fake.now() < Duration::from_secs(15);
            let health = if late { "Progressing" } else { "Healthy" };
            Ok(format!(
                r#"{{"items": [{{"metadata": {{"name": "root"}}, "status": {{
                    "sync": {{"status": "Synced"}}, "health": {{"status": "{health}"}}}}}}]}}"#
            ))
        });
        fake
    };
    // It only looks: there is nothing to leave behind.
    let before = ready().files();
    let calls = at_every_call(ready, apply, |fake, fault| {
        assert!(fake.files() == before, "{fault:?}");
    });
    assert!(calls > 8, "{calls} calls");
}
