//! The text, and what is shown of what is in it.

use super::*;

#[test]
fn what_is_written_is_read_again() {
    let text = secrets().render();
    let again = Secrets::parse(&text).expect("ours");
    assert_eq!(*again.render(), *text);
    assert!(
        text.contains("BEGIN EC PRIVATE KEY-----\n"),
        "keys stand on lines of their own"
    );
}

#[test]
fn nothing_shows_a_secret() {
    let secrets = secrets();
    let entries = secrets.entries().expect("sound");
    let json = serde_json::to_string(&entries).expect("JSON");
    let shown = format!("{secrets:?} {entries:?} {json}");
    for canary in canaries(&secrets) {
        assert!(!shown.contains(&canary), "{canary}");
    }
}

#[test]
fn a_document_that_is_not_ours_is_refused_and_not_quoted() {
    let text = secrets().render();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for (changed, said) in [
        (String::new(), "line 1 "),
        (replaced("version = 1", "version = 2"), "it has version 2"),
        (replaced("version = 1", "version = \"canary\""), "line 1 "),
        (
            replaced("version = 1", "version = 1\ncanary = 1"),
            "line 2 ",
        ),
        (
            replaced("[tokens]", "[tokens]\ncanary = 1"),
            " is not as imgbuild writes it",
        ),
        (
            replaced("server = \"canaryserver00000\"", "server = [\"canary\"]"),
            "line ",
        ),
        (
            replaced("canaryserver00000", "canary"),
            "is not of letters and digits",
        ),
        (
            replaced("canaryserver00000", "canary,server:0000"),
            "is not of letters and digits",
        ),
        (
            replaced("canarynode1000000", "canary node 1"),
            "is not of letters and digits",
        ),
        (
            replaced("[nodes.pi-1]", "[nodes.\"pi 1\"]"),
            "\"pi 1\" is not the name of a node",
        ),
        (
            replaced("canaryrepository", "canary repository"),
            "the repository's credential is damaged",
        ),
        (
            replaced("[ca.root]", "[ca.roof]"),
            "is not as imgbuild writes it",
        ),
        (
            replaced("BEGIN OPENSSH", "BEGIN CANARY"),
            "an SSH host key is damaged",
        ),
        (
            replaced("BEGIN EC", "BEGIN CANARY"),
            "no P-256 key in SEC 1 form",
        ),
        (
            replaced("BEGIN RSA", "BEGIN CANARY"),
            "no RSA key in PKCS#1 form",
        ),
        (
            replaced("BEGIN CERT", "BEGIN CANARY"),
            "not one certificate as PEM",
        ),
    ] {
        let error = Secrets::parse(&changed).expect_err(said);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(said), "{said}: {shown}");
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
    }
}

#[test]
fn no_damaged_line_is_quoted() {
    let secrets = secrets();
    let text = secrets.render();
    let canaries = canaries(&secrets);
    let lines: Vec<&str> = text.lines().collect();
    // Certificates and keys have many lines that go wrong alike.
    let worth = |line: &str| line.len() < 60 || line.contains("-----");
    for (index, _) in lines.iter().enumerate().filter(|(_, line)| worth(line)) {
        for damage in ["x", "\u{1}canary", ""] {
            let mut lines = lines.clone();
            let changed = format!("{damage}{}", &lines[index][..lines[index].len() / 2]);
            lines[index] = &changed;
            if let Err(error) = Secrets::parse(&lines.join("\n")) {
                let shown = format!("{error} {error:?}");
                assert!(canaries.iter().all(|each| !shown.contains(each)), "{shown}");
            }
        }
    }
}

#[test]
fn tokens_are_k3s_tokens() {
    let secrets = secrets();
    let hash = secrets.ca_hash().expect("sound").to_string();
    for (full, user, password) in [
        (secrets.full_server_token(), "server", "canaryserver00000"),
        (secrets.full_agent_token(), "node", "canaryagent000000"),
    ] {
        let full = full.expect("sound");
        assert_eq!(full.expose(), format!("K10{hash}::{user}:{password}"));
        assert_eq!(Token::parse(full.expose()).expect("a token").hash, hash);
    }
}

#[test]
fn every_secret_has_a_name() {
    let secrets = secrets();
    let mut text = String::new();
    for entry in secrets.entries().expect("sound") {
        let same = secrets.entry(&entry.name).expect("there");
        assert_eq!(same.content(), entry.content());
        let first = entry.content().expose().lines().next().expect("a line");
        let first = match first.split_once("::") {
            Some((_, credentials)) => format!("K10...::{credentials}"),
            None => first.to_owned(),
        };
        let mark = if entry.secret { "secret" } else { "public" };
        text += &format!("{mark} {} = {first}\n", entry.name);
        assert!(entry.content().expose().ends_with('\n'), "{}", entry.name);
    }
    assert_eq!(text, include_str!("entries.txt"));
    let error = secrets.entry("nodes/pi-9/password").expect_err("none");
    assert!(error.to_string().contains("secrets show"), "{error}");
}

#[test]
fn a_node_gets_its_secrets_once() {
    let mut secrets = secrets();
    let rng = &mut crate::secret::fixture::Sequence(1 << 50);
    let keys = crate::identity::fixture::host_keys();
    assert!(!secrets.add_node(rng, "pi-1", None).expect("there"));
    assert!(
        secrets
            .add_node(rng, "pi-3", Some(keys.clone()))
            .expect("added")
    );
    let node = secrets.node("pi-3").expect("there");
    assert_eq!(
        node.host_keys.ed25519.fingerprint(),
        keys.ed25519.fingerprint()
    );
    assert_eq!(node.password.expose().len(), 32);
    assert!(secrets.node("pi-4").is_err());
    Secrets::parse(&secrets.render()).expect("ours");
}

#[test]
fn rotation_changes_one_thing_and_says_what_follows() {
    use node_config::Role;
    let roles = [
        ("pi-1", Role::Server),
        ("pi-2", Role::Agent),
        ("pi-3", Role::Agent),
    ]
    .map(|(name, role)| (name.to_owned(), role))
    .into();
    let rng = &mut crate::secret::fixture::Sequence(1 << 51);
    let before = secrets();
    let mut text = String::new();
    for (what, name) in [
        (What::ServerToken, "server-token"),
        (What::AgentToken, "agent-token"),
        (What::Node("pi-2".into()), "nodes/pi-2/password"),
        (
            What::Ssh("pi-1".into()),
            "nodes/pi-1/ssh_host_ed25519_key nodes/pi-1/ssh_host_rsa_key",
        ),
    ] {
        let mut after = before.clone();
        after.rotate(rng, &what).expect("rotated");
        let of = |secrets: &Secrets| secrets.entries().expect("sound");
        let (old, new) = (of(&before), of(&after));
        let print = |entries: &[Entry], name: &str| {
            let found = entries.iter().find(|entry| entry.name == name);
            found.map(|entry| entry.fingerprint.clone())
        };
        let changed: Vec<_> = old
            .iter()
            .filter(|entry| !entry.name.contains("former"))
            .filter(|entry| print(&new, &entry.name).as_ref() != Some(&entry.fingerprint))
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(changed.join(" "), name);
        if what == What::ServerToken {
            let former = print(&new, "server-token/former-1");
            assert_eq!(former, print(&old, "server-token"));
            assert_eq!(
                print(&new, "server-token/former-2"),
                print(&old, "server-token/former-1")
            );
        }
        let Rotation { steps, images } = what.follow_up(&roles);
        text += &format!(
            "{name}\n  - {}\n  images: {}\n",
            steps.join("\n  - "),
            images.join(" ")
        );
    }
    assert_eq!(text, include_str!("rotation.txt"));
    let mut unknown = before.clone();
    let error = unknown
        .rotate(rng, &What::Node("pi-9".into()))
        .expect_err("no node");
    assert!(error.to_string().contains("pi-9"), "{error}");
}
