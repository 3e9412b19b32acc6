//! Reads OpenSSH's private key format just far enough to tell a whole key from
//! a torn one, and whose public half it has. Looks past the secret itself.
//!
//! The format is `PROTOCOL.key` in OpenSSH's sources. sshd's own reading would
//! cost a process per key on every boot and say less about what is wrong.

use std::fmt;

use base64ct::{Base64, Encoding};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// A public key: the decoded second word of its line. The type is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads a line `type base64 [comment]`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let blob = Base64::decode_vec(words.next()?).ok()?;
        (Fields(&blob).string().ok()? == kind.as_bytes()).then_some(Self(blob))
    }
}

/// The line without a comment.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = Fields(&self.0).string().unwrap_or_default();
        let blob = Base64::encode_string(&self.0);
        write!(f, "{} {blob}", String::from_utf8_lossy(kind))
    }
}

/// Why a file is not a usable private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// No first or last line, or not text at all.
    #[error("no OpenSSH private key from first to last line")]
    Frame,
    /// Between the lines is something that is not base64.
    #[error("not base64 inside")]
    Base64,
    /// The lengths inside do not add up.
    #[error("cut short or overwritten inside")]
    Content,
    /// Nobody could type the passphrase.
    #[error("locked with a passphrase")]
    Encrypted,
}

/// The public half of a whole, unencrypted private key.
///
/// # Errors
/// When the key is not whole.
pub(super) fn public_half(private: &[u8]) -> Result<PublicKey, Damage> {
    let text = std::str::from_utf8(private).map_err(|_| Damage::Frame)?;
    let body = text
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(Damage::Frame)?;
    let body: String = body.split_ascii_whitespace().collect();
    let bytes = Base64::decode_vec(&body).map_err(|_| Damage::Base64)?;

    let mut fields = Fields(bytes.strip_prefix(MAGIC).ok_or(Damage::Content)?);
    let cipher = fields.string()?;
    let (_kdf, _kdf_options) = (fields.string()?, fields.string()?);
    if cipher != b"none" {
        return Err(Damage::Encrypted);
    }
    let count = fields.number()?;
    let public = fields.string()?;
    let secret = fields.string()?;
    if count != 1 || !fields.0.is_empty() || !is_whole(secret)? {
        return Err(Damage::Content);
    }
    Ok(PublicKey(public.to_vec()))
}

/// A number written twice in front, 1, 2, 3 behind: both ends are there.
fn is_whole(secret: &[u8]) -> Result<bool, Damage> {
    let mut fields = Fields(secret);
    let twice = fields.number()? == fields.number()?;
    let padding = secret.last().copied().filter(|length| *length < 8);
    let expected: Vec<u8> = (1..=padding.unwrap_or(0)).collect();
    Ok(twice && secret.len().is_multiple_of(8) && secret.ends_with(&expected))
}

/// Numbers and strings of the SSH protocol, taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<u32, Damage> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Damage::Content)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Result<&'a [u8], Damage> {
        let length = usize::try_from(self.number()?).map_err(|_| Damage::Content)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Damage::Content)?;
        self.0 = rest;
        Ok(string)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::tests::machine::key_pair;

    #[test]
    fn a_whole_key_gives_its_public_half() {
        let (private, public) = key_pair("ssh-ed25519", b"seed");
        let half = public_half(private.as_bytes()).expect("whole");
        assert_eq!(half.to_string(), public);
        assert_eq!(
            PublicKey::parse(&format!("{public} a comment\n")),
            Some(half)
        );
    }

    #[test]
    fn torn_at_every_byte_it_is_damaged() {
        let (private, _) = key_pair("ssh-ed25519", b"seed");
        // The last byte is the newline, which is not missed.
        for length in 0..private.len() - 1 {
            public_half(&private.as_bytes()[..length]).expect_err("torn");
        }
    }

    #[test]
    fn blocks_of_zeros_are_noticed() {
        let (private, _) = key_pair("ssh-rsa", &[7; 900]);
        for start in (0..private.len() - 16).step_by(16) {
            let mut bytes = private.clone().into_bytes();
            bytes[start..start + 16].fill(0);
            public_half(&bytes).expect_err("zeros");
        }
    }

    #[test]
    fn damage_is_named() {
        let wrap = |body: &[u8]| format!("{BEGIN}\n{}\n{END}\n", Base64::encode_string(body));
        let encrypted = b"openssh-key-v1\0\0\0\0\x0aaes256-ctr\0\0\0\0\0\0\0\0";
        for (private, damage) in [
            (String::new(), Damage::Frame),
            (format!("{BEGIN}\n"), Damage::Frame),
            (format!("{BEGIN}\n!\n{END}"), Damage::Base64),
            (wrap(b"something else"), Damage::Content),
            (wrap(b"openssh-key-v1\0\xff\xff\xff\xff"), Damage::Content),
            (wrap(encrypted), Damage::Encrypted),
        ] {
            assert_eq!(public_half(private.as_bytes()), Err(damage), "{private}");
        }
    }

    #[test]
    fn a_public_line_must_agree_with_itself() {
        let (_, public) = key_pair("ssh-ed25519", b"seed");
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &public.replacen("ed", "xx", 1),
        ] {
            assert_eq!(PublicKey::parse(line), None, "{line}");
        }
    }

    /// A second opinion: what OpenSSH writes, we read.
    #[test]
    fn keys_of_ssh_keygen_are_whole() {
        let directory = tempfile::tempdir().expect("directory");
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let path = directory.path().join(kind);
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", kind, "-N", "", "-C", "a comment", "-f"]);
            let status = keygen
                .arg(&path)
                .status()
                .expect("ssh-keygen; run ci/setup");
            assert!(status.success());
            let private = std::fs::read(&path).expect("private key");
            let public = std::fs::read_to_string(path.with_extension("pub")).expect("public key");
            let half = public_half(&private).expect("whole");
            assert_eq!(PublicKey::parse(&public), Some(half), "{kind}");
        }
    }
}
