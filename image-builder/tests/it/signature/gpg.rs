//! GnuPG with a home of its own and a clock that is told the time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use imgbuild::cmd::Cmd;
use imgbuild::signature::openpgp::{Fingerprint, Keyring};
use time::OffsetDateTime;

const HINT: &str = "run ci/setup";

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// When keys are made, unless a test says otherwise.
pub(crate) const MADE: i64 = 1_760_000_000;

/// When they sign.
pub(crate) const SIGNED: i64 = MADE + DAY;

/// When we look.
pub(crate) const NOW: i64 = MADE + 2 * DAY;

/// A moment in Unix seconds.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
}

pub(crate) struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    pub(crate) fn new() -> Self {
        // Others may not look into it, or gpg warns.
        let home = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("temporary directory");
        Self { home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs gpg at a time and returns what it printed.
    pub(crate) fn run(&self, time: i64, args: &[&str]) -> Vec<u8> {
        let mut cmd = Cmd::new("gpg", HINT)
            .env("GNUPGHOME", self.home.path().to_str().expect("UTF-8"))
            .arg("--faked-system-time")
            .arg(format!("{time}!"));
        for arg in "--batch --quiet --no-tty --yes --no-auto-check-trustdb --pinentry-mode loopback"
            .split(' ')
            .chain(["--passphrase", ""])
            .chain(args.iter().copied())
        {
            cmd = cmd.arg(arg);
        }
        cmd.run(&[0]).expect("gpg").stdout
    }

    /// Makes a primary key at [`MADE`].
    pub(crate) fn key(
        &self,
        user: &str,
        algorithm: &str,
        usage: &str,
        expires: &str,
    ) -> Fingerprint {
        self.run(MADE, &["--quick-gen-key", user, algorithm, usage, expires]);
        self.fingerprint(user)
    }

    /// A key for signing that never ends.
    pub(crate) fn signing_key(&self, user: &str) -> Fingerprint {
        self.key(user, "ed25519", "sign", "never")
    }

    /// Adds a subkey for signing at [`MADE`].
    pub(crate) fn subkey(&self, user: &str, expires: &str) {
        let primary = self.fingerprint(user).to_string();
        self.run(
            MADE,
            &["--quick-add-key", &primary, "ed25519", "sign", expires],
        );
    }

    /// Revokes a key as its owner would who lost it.
    pub(crate) fn revoke(&self, user: &str) {
        let prepared = format!("openpgp-revocs.d/{}.rev", self.fingerprint(user));
        let text = fs::read_to_string(self.path(&prepared)).expect("prepared revocation");
        // A colon keeps it from being used by mistake.
        let file = self.path("revocation");
        fs::write(&file, text.replace(":-----BEGIN", "-----BEGIN")).expect("file");
        self.run(SIGNED, &["--import", file.to_str().expect("UTF-8")]);
    }

    /// Answers the questions of `--edit-key`.
    pub(crate) fn edit(&self, user: &str, answers: &str) {
        let file = self.path("answers");
        fs::write(&file, answers).expect("file");
        let file = file.to_str().expect("UTF-8");
        self.run(SIGNED, &["--command-file", file, "--edit-key", user]);
    }

    pub(crate) fn export(&self, user: &str) -> Vec<u8> {
        self.run(NOW, &["--export", user])
    }

    pub(crate) fn ring(&self, user: &str) -> Keyring {
        Keyring::parse(&self.export(user)).expect("keyring")
    }

    /// Signs data at [`SIGNED`], or at another time.
    pub(crate) fn sign(&self, time: i64, data: &[u8], args: &[&str]) -> Vec<u8> {
        let file = self.path("data");
        fs::write(&file, data).expect("file");
        let mut all = vec!["--output", "-"];
        all.extend(args);
        all.push(file.to_str().expect("UTF-8"));
        self.run(time, &all)
    }

    pub(crate) fn detached(&self, user: &str, data: &[u8]) -> Vec<u8> {
        self.sign(SIGNED, data, &["-u", user, "--detach-sign"])
    }

    fn fingerprint(&self, user: &str) -> Fingerprint {
        let list = self.run(NOW, &["--with-colons", "--list-keys", user]);
        let list = String::from_utf8(list).expect("UTF-8");
        // Field 10 of the first fpr record (doc/DETAILS of GnuPG).
        let record = list.lines().find(|line| line.starts_with("fpr:"));
        let field = record.and_then(|record| record.split(':').nth(9));
        field.expect("a fingerprint").parse().expect("fingerprint")
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent would stay until it sees that the home is gone.
        let _ = Cmd::new("gpgconf", HINT)
            .env("GNUPGHOME", &self.home.path().to_string_lossy())
            .arg("--kill")
            .arg("all")
            .run(&[0]);
    }
}
