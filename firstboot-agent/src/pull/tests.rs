//! Against git's own servers.

use super::*;
use crate::tests::git::{Faults, Repository, Server};

/// What the three texts say.
const TEXT: &[u8] = b"# of the first commit\n";

const FILES: [(&str, &[u8]); 4] = [
    ("cluster/bootstrap/argocd-values.yaml", TEXT),
    ("cluster/bootstrap/project.yaml", TEXT),
    ("cluster/bootstrap/root.yaml", TEXT),
    ("README.md", b"not asked for\n"),
];

fn source(repository: &str, trust: Trust) -> Source {
    Source {
        repository: repository.to_owned(),
        revision: "main".into(),
        path: "cluster".into(),
        trust,
        ca: None,
        known_hosts: None,
    }
}

/// Pulls over HTTPS.
fn over_https(server: &Server, trust: Trust) -> Outcome {
    let mut source = source(&server.url, trust);
    source.ca = Some(server.ca.clone());
    pull(&source, None, "no-ssh-here")
}

fn pull(source: &Source, credential: Option<Credential>, ssh: &str) -> Outcome {
    let scratch = tempfile::tempdir().expect("directory");
    let folder = scratch.path().join("pull");
    let outcome = Pull {
        source,
        credential,
        authorities: Vec::new(),
        scratch: &folder,
        ssh,
    }
    .in_scratch();
    assert!(!folder.exists(), "it leaves nothing");
    outcome
}

fn pulled(commit: &str) -> Outcome {
    Outcome::Pulled {
        commit: commit.to_owned(),
        signer: None,
        texts: [TEXT; 3].map(|text| String::from_utf8_lossy(text).into_owned()),
    }
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(why) | Outcome::Away(why) => why,
        Outcome::Pulled { .. } => panic!("{outcome:?}"),
    }
}

#[test]
fn a_pinned_commit_is_pulled_though_the_branch_has_moved_on() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, None);
    repository.commit(&[("cluster/bootstrap/root.yaml", b"# changed\n")], None);
    let server = Server::start(&repository, Faults::default());
    let trust = || Trust::Commit(commit.clone());
    assert_eq!(over_https(&server, trust()), pulled(&commit));
    // One that is not there.
    let words = why(over_https(&server, Trust::Commit("0a".repeat(20))));
    assert!(words.contains(&"0a".repeat(20)), "{words}");
}

#[test]
fn a_signed_commit_of_the_branch_is_pulled_and_nobody_elses() {
    let repository = Repository::new();
    let signers = || Trust::Signers(vec![repository.public("signer")]);
    let unsigned = repository.commit(&FILES, None);
    let server = Server::start(&repository, Faults::default());
    let words = format!("the commit {unsigned} is not signed");
    assert_eq!(over_https(&server, signers()), Outcome::Refused(words));

    let empty: &[(&str, &[u8])] = &[("a", b"1\n")];
    let commit = repository.commit(empty, Some("signer"));
    let Outcome::Pulled {
        commit: found,
        signer: Some(signer),
        ..
    } = over_https(&server, signers())
    else {
        panic!("not pulled");
    };
    assert_eq!(found, commit);
    // As OpenSSH would call that key.
    let path = repository.path("signer.pub");
    let listed = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(path)
        .output();
    let listed = String::from_utf8_lossy(&listed.expect("ssh-keygen").stdout).into_owned();
    assert!(listed.contains(&signer), "{listed}: {signer}");

    repository.commit(&[("a", b"2\n")], Some("stranger"));
    let words = why(over_https(&server, signers()));
    assert!(words.contains("who is none of `signers`"), "{words}");
    // A tag leads to what it was put on.
    repository.git(&["tag", "-a", "-m", "x", "good", &commit]);
    let mut source = source(&server.url, signers());
    (source.revision, source.ca) = ("good".into(), Some(server.ca.clone()));
    let found = pull(&source, None, "no-ssh-here");
    assert!(matches!(found, Outcome::Pulled { commit: found, .. } if found == commit));
}

#[test]
fn a_signature_is_of_this_commit_and_of_a_kind_that_is_known() {
    let repository = Repository::new();
    let signers = [repository.public("signer")];
    let commit = repository.commit(&FILES, Some("signer"));
    let content = repository.git(&["cat-file", "commit", &commit]);
    let judge = |content: &str| {
        let trust = Trust::Signers(signers.to_vec());
        trust::signer(content.as_bytes(), &trust)
    };
    assert!(judge(&content).is_ok());
    for (from, to, words) in [
        ("\nx\n", "\ny\n", "is not what SHA256:"),
        ("author n", "author m", "is not what SHA256:"),
        ("BEGIN SSH SIG", "BEGIN PGP SIG", "gpg.format ssh"),
        ("U1NIU0lH", "U1NIU0lI", "has a signature that is damaged"),
        ("gpgsig", "gpgsog", "is not signed"),
        ("tree ", "tree", "is damaged"),
    ] {
        let changed = content.replacen(from, to, 1);
        assert_ne!(changed, content, "{from}");
        let error = judge(&changed).expect_err(from);
        assert!(error.contains(words), "{from}: {error}");
    }
    // Of a file, and not of a commit: the name space is another one.
    let mut sign = std::process::Command::new("ssh-keygen");
    let payload = repository.path("payload");
    let (head, rest) = content.split_once("gpgsig").expect("signed");
    let (_, tail) = rest
        .split_once("END SSH SIGNATURE-----\n")
        .expect("its end");
    std::fs::write(&payload, format!("{head}{tail}")).expect("payload");
    sign.args(["-Y", "sign", "-n", "file", "-f"]);
    let signed = sign.arg(repository.path("signer")).arg(&payload).output();
    assert!(signed.expect("ssh-keygen").status.success());
    let signature = std::fs::read_to_string(repository.path("payload.sig")).expect("signature");
    let signature = signature.trim().replace('\n', "\n ");
    let error = judge(&format!("{head}gpgsig {signature}\n{tail}")).expect_err("a file's");
    assert!(error.contains("is not what SHA256:"), "{error}");
}

#[test]
fn over_ssh_by_the_nodes_own_program_old_servers_too() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, None);
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let path = repository.path("a.git");
    let url = format!("ssh://git@git.home.arpa:2222{}", path.display());
    let source = source(&url, Trust::Commit(commit.clone()));
    let key = || Some(Credential::Key("a key\n".into()));
    assert_eq!(pull(&source, key(), &repository.ssh(None)), pulled(&commit));
    // It does not hand on what is to ask for version 2.
    let script = "unset GIT_PROTOCOL; for last; do :; done; exec sh -c \"$last\"";
    let old = repository.ssh(None);
    std::fs::write(&old, format!("#!/bin/sh\n{script}\n")).expect("script");
    assert_eq!(pull(&source, key(), &old), pulled(&commit));

    let ssh = repository.ssh(Some("Host key verification failed."));
    let words = why(pull(&source, key(), &ssh));
    assert!(words.contains("came with the credential"), "{words}");
    let words = why(pull(&source, None, &ssh));
    assert!(words.contains("imgbuild secrets set repository"), "{words}");
}

#[test]
fn a_server_that_knows_no_filter_and_no_version_2_is_good_enough() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, Some("signer"));
    let faults = Faults {
        old: true,
        ..Faults::default()
    };
    let server = Server::start(&repository, faults);
    let trust = Trust::Signers(vec![repository.public("signer")]);
    let outcome = over_https(&server, trust);
    assert!(
        matches!(&outcome, Outcome::Pulled { commit: found, .. } if *found == commit),
        "{outcome:?}"
    );
}

#[test]
fn a_login_is_shown_and_without_it_nothing_comes() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, None);
    let faults = Faults {
        // RFC 7617, of git and canary.
        lets_in: Some("Basic Z2l0OmNhbmFyeQ=="),
        ..Faults::default()
    };
    let server = Server::start(&repository, faults);
    let mut source = source(&server.url, Trust::Commit(commit.clone()));
    source.ca = Some(server.ca.clone());
    let login = |password: &str| {
        Some(Credential::Login {
            user: "git".into(),
            password: password.into(),
        })
    };
    assert_eq!(pull(&source, login("canary"), "none"), pulled(&commit));
    for credential in [None, login("wrong-canary")] {
        let words = why(pull(&source, credential, "none"));
        assert!(words.contains("401"), "{words}");
        assert!(words.contains("imgbuild secrets set repository"), "{words}");
        assert!(!words.contains("canary"), "{words}");
    }
}

#[test]
fn who_is_not_certified_is_not_asked_and_nobody_is_followed_elsewhere() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, None);
    let server = Server::start(&repository, Faults::default());
    let source = source(&server.url, Trust::Commit(commit.clone()));
    let words = why(pull(&source, None, "none"));
    assert!(words.contains("name that as `ca` in [gitops]"), "{words}");
    let faults = Faults {
        moved: Some(301),
        ..Faults::default()
    };
    let moved = Server::start(&repository, faults);
    let words = why(over_https(&moved, Trust::Commit(commit)));
    assert!(words.contains("moved to https://else/"), "{words}");
}

/// Whatever byte of what is sent changes, it is noticed, or of no importance.
#[test]
fn a_byte_that_changes_on_the_way_changes_no_text() {
    let repository = Repository::new();
    let commit = repository.commit(&FILES, None);
    let mut noticed = 0;
    for flips in (1..700).step_by(23) {
        let faults = Faults {
            flips: Some(flips),
            ..Faults::default()
        };
        let server = Server::start(&repository, faults);
        let outcome = over_https(&server, Trust::Commit(commit.clone()));
        match outcome {
            Outcome::Pulled { .. } => assert_eq!(outcome, pulled(&commit), "{flips}"),
            Outcome::Refused(_) | Outcome::Away(_) => noticed += 1,
        }
    }
    assert!(noticed > 10, "{noticed} noticed");
}

#[test]
fn large_files_beside_the_texts_do_no_harm_and_a_large_text_is_none() {
    let repository = Repository::new();
    let large = "0123456789abcdef\n".repeat(1 << 18);
    repository.commit(&FILES, None);
    let commit = repository.commit(&[("chart.tgz", large.as_bytes())], None);
    let server = Server::start(&repository, Faults::default());
    assert_eq!(
        over_https(&server, Trust::Commit(commit.clone())),
        pulled(&commit)
    );
    let root = "cluster/bootstrap/root.yaml";
    for (content, words) in [
        (&large.as_bytes()[..3 << 19], "larger than 1024 KiB"),
        (large.as_bytes(), "the server left out the object"),
        (b"\xff\xfe\n", "is not UTF-8"),
    ] {
        let commit = repository.commit(&[(root, content)], None);
        let told = why(over_https(&server, Trust::Commit(commit)));
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_text_is_a_file_in_the_folder() {
    let repository = Repository::new();
    repository.commit(&FILES, None);
    let root = repository.path("a.git/cluster/bootstrap/root.yaml");
    std::fs::remove_file(&root).expect("removed");
    let server = Server::start(&repository, Faults::default());
    let told = |commit: String| why(over_https(&server, Trust::Commit(commit)));
    let words = told(repository.commit(&[], None));
    assert!(words.ends_with("root.yaml is not in the commit"), "{words}");
    std::os::unix::fs::symlink("project.yaml", &root).expect("link");
    let words = told(repository.commit(&[], None));
    assert!(words.ends_with("neither a file nor a folder"), "{words}");
    std::fs::remove_file(&root).expect("removed");
    let below = ("cluster/bootstrap/root.yaml/x", TEXT);
    let words = told(repository.commit(&[below], None));
    assert!(words.ends_with("root.yaml is a folder"), "{words}");
}
