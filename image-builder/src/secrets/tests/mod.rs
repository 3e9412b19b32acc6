mod document;
mod lock;
mod vault;

use std::path::Path;
use std::sync::Arc;

use super::fixture::{CLUSTER, canaries, secrets};
use super::*;

fn given(passphrase: &str) -> Unlock {
    Unlock {
        identities: Vec::new(),
        ask: Arc::new(Given(passphrase.into())),
    }
}

fn with_key(identities: Vec<Identity>) -> Unlock {
    Unlock {
        identities,
        ask: Arc::new(Nobody),
    }
}

/// A new age key: what opens, and for whom to encrypt.
fn age_key() -> (Identity, Recipient) {
    use age::secrecy::ExposeSecret as _;
    let key = age::x25519::Identity::generate();
    let recipient = Recipient::parse(&key.to_public().to_string()).expect("a recipient");
    let text = key.to_string().expose_secret().to_owned();
    (Identity::new("key.txt", Secret::new(text)), recipient)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("file").permissions().mode() & 0o777
}

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}
