//! For whom a file is, and who opens it; age's own program judges.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("temporary directory"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    /// Encrypts, and gives the file's path.
    fn sealed(&self, seal: &Seal) -> PathBuf {
        self.put("sealed", seal.close(b"the text").expect("encrypted"))
    }

    fn open(&self, unlock: &Unlock) -> Result<String, SecretsError> {
        let path = self.path("sealed");
        let opened = unlock.open(&path, &fs::read(&path).expect("file"))?;
        Ok(opened.text.to_string())
    }

    /// Runs a program of this folder's; what it prints.
    fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; run ci/setup"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {words}");
        output.stdout
    }

    fn ssh_key(&self, kind: &str, passphrase: &str) -> (Identity, Recipient) {
        let args = [
            "-q", "-t", kind, "-a", "1", "-N", passphrase, "-C", "me", "-f", kind,
        ];
        self.run("ssh-keygen", &args);
        let public = fs::read_to_string(self.path(&format!("{kind}.pub"))).expect("file");
        let identity = Identity::load(&self.path(kind)).expect("a key");
        (identity, Recipient::parse(&public).expect("a recipient"))
    }
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let lab = Lab::new();
    lab.sealed(&Seal::Passphrase("right".into()));
    assert_eq!(lab.open(&given("right")).expect("opened"), "the text");
    let wrong = lab.open(&given("canary")).expect_err("wrong").to_string();
    assert!(wrong.contains("passphrase does not open"), "{wrong}");
    assert!(!wrong.contains("canary"));
    let nobody = lab
        .open(&with_key(vec![age_key().0]))
        .expect_err("nobody")
        .to_string();
    assert!(nobody.contains("IMGBUILD_SECRETS_PASSPHRASE"), "{nobody}");
}

#[test]
fn any_of_the_keys_opens() {
    let lab = Lab::new();
    let (key, recipient) = age_key();
    let (ed25519, for_ed25519) = lab.ssh_key("ed25519", "");
    let (rsa, for_rsa) = lab.ssh_key("rsa", "");
    lab.sealed(&Seal::Recipients(vec![recipient, for_ed25519, for_rsa]));
    for identity in [key.clone(), ed25519, rsa] {
        let opened = lab.open(&with_key(vec![age_key().0, identity.clone()]));
        assert_eq!(opened.expect("opened"), "the text", "{identity:?}");
    }
    let other = lab
        .open(&with_key(vec![age_key().0]))
        .expect_err("other")
        .to_string();
    assert!(other.contains("is not encrypted for key.txt"), "{other}");
    let none = lab
        .open(&with_key(Vec::new()))
        .expect_err("none")
        .to_string();
    assert!(none.contains("--identity"), "{none}");
}

#[test]
fn a_key_with_a_passphrase_asks_once() {
    struct Counting(std::sync::atomic::AtomicU32);
    impl Ask for Counting {
        fn passphrase(&self, what: &str) -> Option<Secret> {
            assert!(what.ends_with("ed25519"), "{what}");
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Some("right".into())
        }
    }
    let lab = Lab::new();
    let (key, recipient) = lab.ssh_key("ed25519", "right");
    lab.sealed(&Seal::Recipients(vec![age_key().1, age_key().1, recipient]));
    let ask = Arc::new(Counting(0.into()));
    let unlock = Unlock {
        identities: vec![key.clone()],
        ask: ask.clone(),
    };
    assert_eq!(lab.open(&unlock).expect("opened"), "the text");
    assert_eq!(ask.0.load(std::sync::atomic::Ordering::Relaxed), 1);

    let ask = |passphrase: &str| Unlock {
        identities: vec![key.clone()],
        ..given(passphrase)
    };
    let wrong = lab.open(&ask("canary")).expect_err("wrong").to_string();
    assert!(wrong.contains("the passphrase does not open it"), "{wrong}");
    assert!(!wrong.contains("canary"), "{wrong}");
    let nobody = lab
        .open(&with_key(vec![key.clone()]))
        .expect_err("nobody")
        .to_string();
    assert!(nobody.contains("there is no terminal"), "{nobody}");
}

#[test]
fn keys_that_cannot_be_used_are_named_and_not_quoted() {
    let lab = Lab::new();
    lab.sealed(&Seal::Recipients(vec![age_key().1]));
    lab.run(
        "ssh-keygen",
        &["-q", "-t", "ecdsa", "-N", "", "-f", "ecdsa"],
    );
    let ecdsa = fs::read_to_string(lab.path("ecdsa")).expect("file");
    for (text, said) in [
        (ecdsa.as_str(), "cannot be used"),
        ("", "holds no key"),
        ("# only a comment\n", "holds no key"),
        ("canary", "neither an age key"),
        ("AGE-SECRET-KEY-1CANARY", "neither an age key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n", "damaged"),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\ncanary\n",
            "encrypted with a passphrase",
        ),
    ] {
        let key = Identity::load(&lab.put("key", text)).expect("readable");
        let unlock = with_key(vec![key]);
        let error = lab.open(&unlock).expect_err("refused");
        let shown = format!("{error} {error:?} {unlock:?}");
        assert!(
            shown.contains(said) && shown.contains("key"),
            "{said}: {shown}"
        );
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
    }
    let missing = Identity::load(&lab.path("missing"))
        .expect_err("missing")
        .to_string();
    assert!(missing.contains("there is no such file"), "{missing}");
}

#[test]
fn ages_own_program_reads_and_writes_the_same() {
    let lab = Lab::new();
    lab.run("age-keygen", &["-o", "key.txt"]);
    let public = String::from_utf8(lab.run("age-keygen", &["-y", "key.txt"])).expect("text");
    let recipient = Recipient::parse(&public).expect("a recipient");
    let (_, for_ssh) = lab.ssh_key("ed25519", "");
    lab.sealed(&Seal::Recipients(vec![recipient.clone(), for_ssh]));
    for key in ["key.txt", "ed25519"] {
        assert_eq!(
            lab.run("age", &["-d", "-i", key, "sealed"]),
            b"the text",
            "{key}"
        );
    }
    // What somebody encrypted by hand, in either form.
    let unlock = with_key(vec![Identity::load(&lab.path("key.txt")).expect("a key")]);
    lab.put("text", "by hand");
    for armor in [&["-a"][..], &[]] {
        let args = [armor, &["-r", public.trim(), "-o", "sealed", "text"]].concat();
        lab.run("age", &args);
        assert_eq!(lab.open(&unlock).expect("opened"), "by hand");
    }
}

#[test]
fn no_damage_passes_unnoticed() {
    let lab = Lab::new();
    let (key, recipient) = age_key();
    let unlock = with_key(vec![key]);
    let path = lab.sealed(&Seal::Recipients(vec![recipient]));
    let whole = fs::read(&path).expect("file");
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        lab.put("sealed", &changed);
        // What follows the armor's last line, and bits base64 does not use, may differ.
        match lab.open(&unlock) {
            Ok(text) => assert_eq!(text, "the text"),
            Err(error) => {
                let damaged = matches!(
                    error,
                    SecretsError::Damaged { .. } | SecretsError::OtherKey { .. }
                );
                assert!(damaged, "byte {index}: {error}");
            }
        }
        lab.put("sealed", &whole[..index]);
        let cut = lab.open(&unlock);
        assert!(cut.is_err() || index + 1 >= whole.len(), "cut at {index}");
    }
}

#[test]
fn recipients_are_public_halves() {
    let lab = Lab::new();
    let (_, recipient) = lab.ssh_key("ed25519", "");
    let text = format!("# me\n\n{recipient} me@laptop\nage1canary\n");
    assert_eq!(
        Recipient::parse_all(&text),
        Err((4, RecipientError::Unknown))
    );
    let text = text.replace("age1canary", &age_key().1.to_string());
    let all = Recipient::parse_all(&text).expect("two");
    assert_eq!((all.len(), &all[0]), (2, &recipient));
    assert_eq!(
        Recipient::parse_all("# none\n"),
        Err((0, RecipientError::Unknown))
    );
    lab.run(
        "ssh-keygen",
        &["-q", "-t", "ecdsa", "-N", "", "-f", "ecdsa"],
    );
    let ecdsa = fs::read_to_string(lab.path("ecdsa.pub")).expect("file");
    let private = fs::read_to_string(lab.path("ed25519")).expect("file");
    for (text, said) in [
        ("AGE-SECRET-KEY-1CANARY", "a private key"),
        ("age-secret-key-1canary", "a private key"),
        (private.lines().next().expect("a line"), "a private key"),
        (&ecdsa, "ecdsa-sha2-nistp256 cannot be used"),
        ("canary", "neither"),
        ("", "neither"),
    ] {
        let error = Recipient::parse(text).expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.to_lowercase().contains("canary"), "{error}");
    }
}
