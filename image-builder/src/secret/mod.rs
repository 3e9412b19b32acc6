//! Values that nobody is shown, and where they come from: the one room that asks
//! the system for random numbers.
//!
//! What a [`Secret`] was copied from or to by a parser or a cipher is not always
//! overwritten; the value itself is, and it is never printed.

use std::fmt;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use ssh_key::rand_core::{CryptoRngCore, OsRng};
use zeroize::Zeroizing;

/// What `Debug` shows of a secret.
const HIDDEN: &str = "(secret)";

/// Digits of [`Secret::fingerprint`]: enough to tell two secrets apart, too few
/// to be taken for one.
const SHOWN: usize = 16;

/// Variables of the environment that hold secrets.
const VARIABLES: [&str; 5] = [
    PASSPHRASE,
    NEW_PASSPHRASE,
    IDENTITY,
    SIGNING_KEY,
    SIGNING_PASSWORD,
];

/// The passphrase of the secrets file, or of the key that opens it; with `_FILE`
/// behind it the path of a file that holds it.
pub const PASSPHRASE: &str = "IMGBUILD_SECRETS_PASSPHRASE";

/// The passphrase it is to have from now on.
pub const NEW_PASSPHRASE: &str = "IMGBUILD_SECRETS_NEW_PASSPHRASE";

/// The key that opens the secrets file, or the path of a file that holds it.
pub const IDENTITY: &str = "IMGBUILD_SECRETS_IDENTITY";

/// The key that signs releases, or the path of a file that holds it.
pub const SIGNING_KEY: &str = "IMGBUILD_SIGNING_KEY";

/// Its password; with `_FILE` behind it the path of a file that holds it.
pub const SIGNING_PASSWORD: &str = "IMGBUILD_SIGNING_PASSWORD";

/// A text that is not shown, and is overwritten in memory when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A new one: lower-case hex digits, two a byte.
    pub fn random(rng: &mut impl CryptoRngCore, bytes: usize) -> Self {
        let mut raw = Zeroizing::new(vec![0; bytes]);
        rng.fill_bytes(&mut raw);
        Self::new(base16ct::lower::encode_string(&raw))
    }

    /// The text, for whoever puts it where it belongs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The beginning of its sha256, in hex. Only for secrets that nobody can
    /// guess: a short password would be found by trying.
    pub fn fingerprint(&self) -> String {
        short_sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

/// The beginning of a sha256, in hex, to tell two values apart by.
pub(crate) fn short_sha256(bytes: &[u8]) -> String {
    let mut digits = base16ct::lower::encode_string(&Sha256::digest(bytes));
    digits.truncate(SHOWN);
    digits
}

/// Starts a program without the secrets of our environment: every program that we
/// start.
pub(crate) fn keep_from(command: &mut Command) -> &mut Command {
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The source of everything that nobody may guess. Nothing else in this program
/// makes keys, tokens or passwords.
pub fn source() -> impl CryptoRngCore {
    OsRng
}

/// A new pair of keys for signatures. The crate asks the system by itself, as it
/// does for each signature.
pub(crate) fn signing_pair(
    password: Option<&Secret>,
) -> Result<minisign::KeyPair, minisign::PError> {
    use minisign::KeyPair;
    match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password.expose().to_owned())),
        None => KeyPair::generate_unencrypted_keypair(),
    }
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::from("canary");
        assert_eq!(format!("{secret:?} {secret:#?}"), "(secret) (secret)");
        assert!(!secret.fingerprint().contains("canary"));
    }

    #[test]
    fn two_are_never_the_same() {
        let [one, other] = [(); 2].map(|()| Secret::random(&mut source(), 16));
        assert!(one != other);
        assert_eq!(one.expose().len(), 32);
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn no_program_gets_the_secrets_of_our_environment() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "env"])
            .env(PASSPHRASE, "canary")
            .env(IDENTITY, "canary");
        let output = keep_from(&mut command).output().expect("sh");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("canary"));
    }

    #[test]
    fn every_program_is_started_without_them() {
        for (path, text) in sources() {
            for (at, _) in text.match_indices("Command::new(") {
                let is_test = path.contains("/tests") || text[..at].contains("#[cfg(test)]");
                assert!(is_test || text.contains("keep_from"), "{path}");
            }
        }
    }

    #[test]
    fn nobody_else_asks_for_random_numbers() {
        for (path, text) in sources() {
            for word in ["OsRng", "SystemRandom", "getrandom", "KeyPair::generate"] {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
    }

    /// Every source file but this room's.
    fn sources() -> Vec<(String, String)> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![here.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("sources") {
                let path = entry.expect("entry").path();
                if path.is_dir() && path != here.join("secret") {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let text = fs::read_to_string(&path).expect("text");
                    found.push((path.display().to_string(), text));
                }
            }
        }
        found
    }
}
