//! SSH public keys.

use std::path::Path;

use super::{complaints, good, load_good};
use crate::config::ssh::{key, keys_in};

const ED25519: &str = include_str!("keys/ed25519.pub");

#[test]
fn modern_keys_are_accepted() {
    for text in [
        ED25519,
        include_str!("keys/sk-ed25519.pub"),
        include_str!("keys/ecdsa256.pub"),
        include_str!("keys/ecdsa384.pub"),
        include_str!("keys/ecdsa521.pub"),
        include_str!("keys/sk-ecdsa.pub"),
        include_str!("keys/rsa3072.pub"),
    ] {
        assert_eq!(key(text).as_deref(), Ok(text.trim()));
    }
    let without_comment = ED25519.trim().trim_end_matches(" test");
    assert_eq!(key(without_comment).as_deref(), Ok(without_comment));
    let spaced = ED25519.replace(' ', "  ");
    assert_eq!(key(&spaced).as_deref(), Ok(ED25519.trim()));
}

#[test]
fn other_keys_are_refused() {
    let options = format!("command=\"sh\" {ED25519}");
    let two = format!("{ED25519}{ED25519}");
    let cut = &ED25519[..40];
    let other_kind = ED25519.replace("ssh-ed25519", "ssh-rsa");
    for (text, message) in [
        (
            include_str!("keys/rsa2048.pub"),
            "this RSA key has 2048 bits, which is too short",
        ),
        (
            include_str!("keys/dsa.pub"),
            "this is a DSA key, which sshd no longer accepts",
        ),
        (include_str!("keys/cert.pub"), "this is an SSH certificate"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0",
            "this is a private key",
        ),
        (
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "this is a private key",
        ),
        (
            "---- BEGIN SSH2 PUBLIC KEY ----",
            "this is a key in the SSH2 format",
        ),
        (&options, "options before a key are not supported"),
        (&two, "a key is one line of text"),
        (cut, "this ssh-ed25519 key is damaged or cut short"),
        (&other_kind, "this ssh-rsa key is damaged or cut short"),
        ("", "\"\" is not an SSH public key"),
        ("me@desk", "\"me@desk\" is not an SSH public key"),
    ] {
        assert_eq!(
            key(text).map_err(|wrong| wrong.message),
            Err(message.to_owned())
        );
    }
}

#[test]
fn files_hold_a_key_per_line() {
    let text = format!("# mine\r\n\n  {}\r\nnonsense\n", ED25519.trim());
    let keys = keys_in(Path::new("k.pub"), &text);
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].as_deref(), Ok(ED25519.trim()));
    let problem = keys[1].as_ref().expect_err("nonsense");
    assert_eq!((problem.line, problem.column), (4, 1));
}

#[test]
fn key_files_that_are_none() {
    let with = |content: &[u8]| {
        let mut files = good();
        files.insert("c/keys/admin.pub".into(), content.to_vec());
        load_good(&files).map_or_else(|problems| problems.to_string(), |_| "nothing".to_owned())
    };
    assert_eq!(
        with(b"-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"),
        "c/cluster.toml:14:18: c/keys/admin.pub is a private key; name its public half; `ssh-keygen -y -f c/keys/admin.pub` prints it"
    );
    assert_eq!(
        with(b"# nothing yet\n"),
        "c/cluster.toml:14:18: c/keys/admin.pub holds no key; put the line of a .pub file into it"
    );
    assert_eq!(
        with(b"\xff\xfe"),
        "c/cluster.toml:14:18: c/keys/admin.pub is not text; name a .pub file as `ssh-keygen` makes it"
    );
    assert_eq!(
        with(&vec![b'\n'; 64 * 1024 + 1]),
        "c/cluster.toml:14:18: c/keys/admin.pub cannot be read: it is too large for what it should be; \
         name a file with public keys, such as \"~/.ssh/id_ed25519.pub\""
    );
    assert_eq!(
        complaints("c/cluster.toml", "keys/admin.pub", "~/.ssh/id.pub"),
        "c/cluster.toml:14:18: /home/me/.ssh/id.pub cannot be read: there is no such file; \
         name a file with public keys, such as \"~/.ssh/id_ed25519.pub\""
    );
}

#[test]
fn the_same_key_counts_once() {
    let mut files = good();
    let text = super::CLUSTER.replace(
        "ssh_key_files",
        &format!("ssh_keys = [\"{}\"]\nssh_key_files", ED25519.trim()),
    );
    files.insert("c/cluster.toml".into(), text.into());
    let workspace = load_good(&files).expect("allowed");
    assert_eq!(
        workspace.plan("pi-1").expect("a node").users[0].ssh_keys,
        [ED25519.trim()]
    );
}

#[test]
fn a_private_key_is_never_shown() {
    let secret = "c2VjcmV0c2VjcmV0";
    let pasted = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}");
    for (from, to) in [
        ("\"pi-1\"", format!("\"\"\"{pasted}\"\"\"")),
        ("\"192.168.4.11\"", format!("\"\"\"{pasted}\"\"\"")),
        ("[\"keys/admin.pub\"]", format!("[\"\"\"{pasted}\"\"\"]")),
        ("name = \"home\"", pasted.clone()),
        ("\"home\"", pasted.clone()),
    ] {
        let said = complaints("c/cluster.toml", from, &to);
        assert!(said != "nothing" && !said.contains(secret), "{said}");
    }
}
