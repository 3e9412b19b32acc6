//! SSH public keys, from the cluster file and from files it names.

use std::path::Path;

use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::check::position;
use super::problem::{Problem, Wrong, quoted};

/// Fewer bits are not refused by sshd, but no longer enough (NIST SP 800-57).
const RSA_BITS: usize = 3072;

/// In the comment of the example key of a fresh checkout, whose private half
/// was thrown away.
pub(crate) const EXAMPLE: &str = "imgbuild-example";

/// The first word of every kind of key that is accepted.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// One line of a `.pub` file, as `authorized_keys` is to have it: kind, key and
/// comment with single spaces between them.
pub(crate) fn key(line: &str) -> Result<String, Wrong> {
    if is_private(line) {
        let hint = "write the one line of the .pub file instead; whoever saw this file has the key, so make a new one";
        return Err(Wrong::new("this is a private key", hint));
    }
    let line = line.trim();
    // Another line would be another key, with options of its own.
    if line.contains(char::is_control) {
        let hint = "write each key as a text of its own, on one line";
        return Err(Wrong::new("a key is one line of text", hint));
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let kind = words.next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Err(other_kind(line, kind));
    }
    let line = words.fold(kind.to_owned(), |line, word| line + " " + word);
    let damaged = |_| {
        let hint = "copy the whole line of the .pub file again";
        Wrong::new(format!("this {kind} key is damaged or cut short"), hint)
    };
    let key = PublicKey::from_openssh(&line).map_err(damaged)?;
    match key.key_data() {
        KeyData::Rsa(rsa) => long_enough(rsa.n.as_positive_bytes().unwrap_or_default())?,
        KeyData::Ed25519(_)
        | KeyData::SkEd25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEcdsaSha2NistP256(_) => {}
        _ => return Err(other_kind(&line, kind)),
    }
    Ok(line)
}

/// The keys in a file, one per line; empty lines and comments are skipped.
pub(crate) fn keys_in(path: &Path, text: &str) -> Vec<Result<String, Problem>> {
    let mut offset = 0;
    let mut keys = Vec::new();
    for line in text.split_inclusive('\n') {
        let start = offset + (line.len() - line.trim_start().len());
        offset += line.len();
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(key(line).map_err(|wrong| wrong.at(path, position(text, start))));
        }
    }
    keys
}

/// Any of the forms that private keys are stored in, or a part of one.
pub(crate) fn is_private(text: &str) -> bool {
    // The third is how the body of OpenSSH's own form begins, in base64.
    ["PRIVATE KEY", "PuTTY-User-Key-File", "b3BlbnNzaC1rZXkt"]
        .iter()
        .any(|mark| text.contains(mark))
}

fn other_kind(line: &str, kind: &str) -> Wrong {
    if kind.contains("-cert-v") {
        let hint = "write the plain key that it was made from";
        return Wrong::new("this is an SSH certificate", hint);
    }
    if kind == "ssh-dss" {
        let hint = "make a new key with `ssh-keygen -t ed25519`";
        return Wrong::new("this is a DSA key, which sshd no longer accepts", hint);
    }
    if line.starts_with("---- BEGIN SSH2") {
        let hint = "convert it with `ssh-keygen -i -f FILE`";
        return Wrong::new("this is a key in the SSH2 format", hint);
    }
    // Options can force a command or lift a restriction, which this file's
    // readers would not expect of a list of keys.
    if line.split([' ', '\t']).any(|word| KINDS.contains(&word)) {
        let hint = format!("begin with the key's kind, such as {}", KINDS[0]);
        return Wrong::new("options before a key are not supported", hint);
    }
    let hint = format!(
        "write the one line of a .pub file: {}, ecdsa or rsa",
        KINDS[0]
    );
    Wrong::new(format!("{} is not an SSH public key", quoted(line)), hint)
}

fn long_enough(modulus: &[u8]) -> Result<(), Wrong> {
    let leading = modulus
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - leading;
    if bits >= RSA_BITS {
        return Ok(());
    }
    let hint = format!(
        "make a new key with `ssh-keygen -t ed25519`, or use rsa with {RSA_BITS} bits or more"
    );
    Err(Wrong::new(
        format!("this RSA key has {bits} bits, which is too short"),
        hint,
    ))
}
