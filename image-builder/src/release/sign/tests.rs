//! Against the program minisign, both ways.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::cmd::{Cmd, CmdError};

fn comment() -> Comment {
    Comment {
        name: "imgbuild-pi5-ssd-1.2".into(),
        version: "1.2".into(),
        time: 1_795_000_000,
        files: vec!["a.img.xz".into(), "b".into()],
    }
}

fn nobody() -> Option<Secret> {
    panic!("the key has no password")
}

fn minisign(dir: &Path, args: &[&str]) -> Result<String, CmdError> {
    let mut cmd = Cmd::new("minisign", "run ci/setup");
    for arg in args {
        cmd = cmd.arg(match arg.strip_prefix('@') {
            Some(name) => dir.join(name).into_os_string(),
            None => arg.into(),
        });
    }
    Ok(String::from_utf8_lossy(&cmd.run(&[0])?.stdout).into_owned())
}

struct Lab {
    dir: tempfile::TempDir,
    key: SigningKey,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let (secret, public) = generate(None).expect("a key");
        fs::write(dir.path().join("key.pub"), public).expect("written");
        let key = SigningKey::open(&secret, nobody).expect("opened");
        Self { dir, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn minisign_verifies_ours() {
    let lab = Lab::new();
    fs::write(lab.path("sums"), "content\n").expect("written");
    let signature = lab.key.sign(b"content\n", &comment()).expect("signed");
    fs::write(lab.path("sums.minisig"), signature).expect("written");
    let verify = ["-V", "-p", "@key.pub", "-m", "@sums"];
    let said = minisign(lab.dir.path(), &verify).expect("verified");
    let trusted = "timestamp:1795000000 name:imgbuild-pi5-ssd-1.2 version:1.2 files:a.img.xz,b";
    assert!(said.contains(trusted), "{said}");
    fs::write(lab.path("sums"), "Content\n").expect("written");
    minisign(lab.dir.path(), &verify).expect_err("changed");
}

#[test]
fn ours_verifies_minisign() {
    let lab = Lab::new();
    // It asks for the password twice, and then for each signature.
    let typing = |args: &str| {
        let script = format!("printf 'canary\\ncanary\\n' | minisign {args}");
        let sh = Cmd::new("sh", "")
            .arg("-c")
            .arg(format!("cd '{}' && {script}", lab.dir.path().display()));
        sh.run(&[0]).expect("minisign; run ci/setup");
    };
    typing("-G -p their.pub -s their.key");
    fs::write(lab.path("sums"), "content\n").expect("written");
    let text = comment().to_string();
    typing(&format!("-S -s their.key -m sums -t '{text}'"));
    let signature = fs::read_to_string(lab.path("sums.minisig")).expect("signature");
    let public = fs::read_to_string(lab.path("their.pub")).expect("public key");
    let public: PublicKey = public.parse().expect("a key");
    let (id, said) =
        verify(b"content\n", &signature, std::slice::from_ref(&public)).expect("verified");
    assert_eq!((id, said), (public.id(), comment()));
    let secret = fs::read_to_string(lab.path("their.key")).expect("secret key");
    let canary = || Some(Secret::from("canary"));
    let theirs = SigningKey::open(&Secret::new(secret), canary).expect("opened");
    assert_eq!(theirs.public().expect("public half"), public);
}

#[test]
fn whatever_is_changed_is_noticed() {
    let lab = Lab::new();
    let trusted = [lab.key.public().expect("public half")];
    let good = lab.key.sign(b"content\n", &comment()).expect("signed");
    verify(b"content\n", &good, &trusted).expect("verified");
    assert!(matches!(
        verify(b"content", &good, &trusted),
        Err(SignError::Bad(_))
    ));
    // Of the file, the first line alone is nobody's.
    let lines: Vec<&str> = good.lines().collect();
    for at in 1..lines.len() {
        let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let line = &mut changed[at];
        let place = line.len() - 20;
        let other = if line.as_bytes()[place] == b'A' {
            "B"
        } else {
            "A"
        };
        line.replace_range(place..=place, other);
        let changed = changed.join("\n");
        assert!(
            verify(b"content\n", &changed, &trusted).is_err(),
            "line {at}"
        );
        let cut = lines[..at].join("\n");
        assert!(matches!(
            verify(b"content\n", &cut, &trusted),
            Err(SignError::Signature)
        ));
    }
    // Found by fuzzing: the crate panics on a last line that is too short.
    let short = [&lines[..3], &["B4NIAJbjbV01JkskYsBx"]].concat().join("\n");
    assert!(matches!(
        verify(b"content\n", &short, &trusted),
        Err(SignError::Signature)
    ));
    let other = generate(None)
        .expect("a key")
        .1
        .parse()
        .expect("a public key");
    assert!(matches!(
        verify(b"content\n", &good, &[other]),
        Err(SignError::Untrusted { .. })
    ));
    assert!(matches!(
        verify(b"content\n", &good, &[]),
        Err(SignError::Untrusted { .. })
    ));
}

#[test]
fn a_password_protects_the_key() {
    let password = Secret::from("canary in the mine");
    let (secret, public) = generate(Some(&password)).expect("a key");
    let public: PublicKey = public.parse().expect("a key");
    let key = SigningKey::open(&secret, || Some(password)).expect("opened");
    assert_eq!(key.public().expect("public half"), public);
    assert!(!format!("{key:?} {secret:?}").contains("canary"));
    let wrong = SigningKey::open(&secret, || Some("another".into()));
    assert!(matches!(wrong, Err(SignError::Password)));
    let none = SigningKey::open(&secret, || None);
    assert!(matches!(none, Err(SignError::NoPassword)));
    let nonsense = SigningKey::open(&"nonsense".into(), || None);
    assert!(matches!(nonsense, Err(SignError::SecretKey)));
}

#[test]
fn comments_are_read_as_they_are_written() {
    assert_eq!(
        comment().to_string().parse::<Comment>().expect("read"),
        comment()
    );
    for bad in ["", "timestamp:1", "timestamp:x name:a version:b files:c"] {
        assert!(bad.parse::<Comment>().is_err(), "{bad}");
    }
    let more = format!("{} more:1", comment());
    assert!(more.parse::<Comment>().is_err());
}
