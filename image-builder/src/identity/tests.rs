use std::net::Ipv4Addr;
use std::process::Command;

use super::*;
use crate::plan::Peer;

const NODE: &str = "pi-1";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

/// A directory with a node's keys in it.
fn kept() -> (tempfile::TempDir, HostKeys) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let keys = fixture::host_keys();
    let node = dir.path().join(NODE);
    private_dir(&node).expect("directory");
    for key in keys.each() {
        let content = key.private().expect("text");
        assert!(create(&node, &node.join(key.file_name()), &content).expect("written"));
    }
    (dir, keys.clone())
}

/// The whole chain of an error, as `main` prints it.
fn chain<T: fmt::Debug>(result: Result<T>) -> String {
    format!("{:#}", result.expect_err("refused"))
}

#[test]
fn keys_are_made_once_and_private() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let first = HostKeys::load_or_create(dir.path(), NODE).expect("new keys");
    let again = HostKeys::load_or_create(dir.path(), NODE).expect("kept keys");
    for (new, old) in first.each().into_iter().zip(again.each()) {
        assert_eq!(new.private().expect("text"), old.private().expect("text"));
        let path = dir.path().join(NODE).join(new.file_name());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read(path).expect("file"), new.private().expect("text"));
    }
    assert_eq!(mode(&dir.path().join(NODE)), 0o700);
    let names: Vec<_> = fs::read_dir(dir.path().join(NODE))
        .expect("directory")
        .collect();
    assert_eq!(names.len(), 2, "nothing is left beside: {names:?}");
}

#[test]
fn git_passes_over_new_secrets() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let secrets = dir.path().join("cluster/secrets");
    secrets_dir(&secrets).expect("made");
    let ignore = secrets.join(".gitignore");
    assert_eq!(fs::read_to_string(&ignore).expect("file"), "*\n");
    assert_eq!(mode(&secrets), 0o700);

    fs::remove_file(&ignore).expect("taken away");
    secrets_dir(&secrets).expect("there");
    assert!(!ignore.exists(), "not written twice");
}

#[test]
fn openssh_agrees() {
    let (dir, keys) = kept();
    for key in keys.each() {
        let path = dir.path().join(NODE).join(key.file_name());
        let ask = |flags: &[&str]| {
            let output = Command::new("ssh-keygen")
                .args(flags)
                .arg("-f")
                .arg(&path)
                .output()
                .expect("ssh-keygen; run ci/setup");
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words}");
            String::from_utf8(output.stdout).expect("text")
        };
        let public = ask(&["-y"]);
        assert_eq!(public.trim_end(), format!("{} {NODE}", key.public()));
        let listing = ask(&["-l"]);
        assert!(listing.contains(&key.fingerprint()), "{listing}");
    }
}

#[test]
fn openssh_can_sign_with_both() {
    // `-y` reads the public half only; a wrong CRT coefficient shows here.
    let (dir, keys) = kept();
    let message = dir.path().join("message");
    fs::write(&message, "hello").expect("message");
    for key in keys.each() {
        let path = dir.path().join(NODE).join(key.file_name());
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "test", "-f"])
            .arg(&path)
            .arg(&message)
            .output()
            .expect("ssh-keygen; run ci/setup");
        assert!(
            signed.status.success(),
            "{}",
            String::from_utf8_lossy(&signed.stderr)
        );
        let signature = dir.path().join("message.sig");
        let checked = Command::new("ssh-keygen")
            .args(["-Y", "check-novalidate", "-n", "test", "-s"])
            .arg(&signature)
            .stdin(File::open(&message).expect("message"))
            .output()
            .expect("ran before");
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stdout)
        );
        fs::remove_file(signature).expect("signature");
    }
}

#[test]
fn an_open_key_or_directory_is_refused_with_the_command_to_run() {
    let (dir, keys) = kept();
    let node = dir.path().join(NODE);
    let key = node.join(keys.ed25519.file_name());
    for (path, open, closed) in [(&key, 0o640, 0o600), (&node, 0o755, 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(open)).expect("chmod");
        let said = chain(HostKeys::load_or_create(dir.path(), NODE));
        let hint = format!("chmod {closed:o} {}", path.display());
        assert!(said.contains(&hint), "{said}");
        fs::set_permissions(path, fs::Permissions::from_mode(closed)).expect("chmod");
    }
}

#[test]
fn a_bad_key_is_refused_and_left_alone() {
    let (dir, keys) = kept();
    let path = dir.path().join(NODE).join(keys.ed25519.file_name());
    let good = String::from_utf8(keys.ed25519.private().expect("text")).expect("ASCII");
    let rsa = String::from_utf8(keys.rsa.private().expect("text")).expect("ASCII");
    let cases = [
        (String::new(), "damaged"),
        (good[..good.len() / 2].to_owned(), "damaged"),
        (rsa, "not Ed25519"),
    ];
    for (bad, said) in cases {
        fs::write(&path, &bad).expect("damage");
        let error = chain(HostKeys::load_or_create(dir.path(), NODE));
        assert!(
            error.contains(said) && error.contains("ssh_host_ed25519_key"),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(&path).expect("file"),
            bad,
            "never overwritten"
        );
        for line in bad.lines().filter(|line| !line.starts_with('-')) {
            assert!(!error.contains(line), "the error quotes the key");
        }
    }
}

#[test]
fn a_file_that_appears_meanwhile_wins() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("key");
    assert!(create(dir.path(), &path, b"first").expect("written"));
    assert!(!create(dir.path(), &path, b"second").expect("refused"));
    assert_eq!(fs::read(&path).expect("file"), b"first");
}

#[test]
fn debug_hides_the_private_half() {
    let (_dir, keys) = kept();
    let shown = format!("{keys:?}");
    assert!(shown.contains("SHA256:"), "{shown}");
    for key in keys.each() {
        let private = String::from_utf8(key.private().expect("text")).expect("ASCII");
        assert!(private.lines().all(|line| !shown.contains(line)));
    }
}

#[test]
fn texts_for_clients() {
    let (_dir, keys) = kept();
    let peer = Peer {
        name: NODE.into(),
        address: Ipv4Addr::new(192, 168, 4, 11),
    };
    let lines = known_hosts([(&peer, &keys)]);
    assert_eq!(
        lines,
        format!(
            "pi-1,192.168.4.11 {}\npi-1,192.168.4.11 {}\n",
            keys.ed25519.public(),
            keys.rsa.public()
        )
    );
    assert_eq!(
        ssh_config([&peer], "admin", Path::new("/home/me/out/known_hosts")),
        "Host pi-1\n    HostName 192.168.4.11\n    User admin\n    \
         UserKnownHostsFile \"/home/me/out/known_hosts\"\n    StrictHostKeyChecking yes\n"
    );
}
