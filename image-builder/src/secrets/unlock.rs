//! With what a file is opened.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use age::{Callbacks, DecryptError, Decryptor, IdentityFile, encrypted, scrypt, ssh};
use zeroize::Zeroizing;

use super::SecretsError;
use super::seal::secret_string;
use crate::config::{Disk, Files as _, why};
use crate::secret::Secret;

/// Larger than any file of keys.
const KEY_LIMIT: u64 = 1 << 20;

/// Where passphrases come from.
pub trait Ask: Send + Sync {
    /// The passphrase of `what`; `None` when there is nobody to ask.
    fn passphrase(&self, what: &str) -> Option<Secret>;
}

/// A passphrase that was given beforehand, for whatever has one.
pub struct Given(pub Secret);

impl Ask for Given {
    fn passphrase(&self, _: &str) -> Option<Secret> {
        Some(self.0.clone())
    }
}

/// Nobody to ask.
pub struct Nobody;

impl Ask for Nobody {
    fn passphrase(&self, _: &str) -> Option<Secret> {
        None
    }
}

/// A key as text, and where it is from: an age identity, one encrypted with a
/// passphrase, or an SSH private key. `Debug` shows where it is from.
#[derive(Clone)]
pub struct Identity {
    from: String,
    text: Secret,
}

/// Everything that may open a file.
#[derive(Clone)]
pub struct Unlock {
    /// Tried in this order.
    pub identities: Vec<Identity>,
    /// Asked where a passphrase is needed.
    pub ask: Arc<dyn Ask>,
}

/// What was in a file.
pub(super) struct Opened {
    pub(super) text: Zeroizing<String>,
    /// The passphrase it was opened with, if it has one.
    pub(super) passphrase: Option<Secret>,
}

impl Identity {
    /// A key, and what it is called in messages.
    pub fn new(from: &str, text: Secret) -> Self {
        Self {
            from: from.to_owned(),
            text,
        }
    }

    /// Reads a file with a key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(path: &Path) -> Result<Self, SecretsError> {
        let from = path.display().to_string();
        let unusable = |why| SecretsError::Key {
            key: from.clone(),
            why,
        };
        let bytes = Disk.read(path, KEY_LIMIT);
        let bytes = Zeroizing::new(bytes.map_err(|error| unusable(why(&error)))?);
        let text = std::str::from_utf8(&bytes).map_err(|_| unusable("it is not text".into()))?;
        Ok(Self::new(&from, text.into()))
    }

    fn for_age(&self, asking: Asking) -> Result<Vec<Box<dyn age::Identity>>, SecretsError> {
        let unusable = |why: &str| SecretsError::Key {
            key: self.from.clone(),
            why: why.into(),
        };
        let text = self.text.expose().trim_start();
        let bytes = text.as_bytes();
        let name = Some(self.from.clone());
        if text.starts_with("-----BEGIN AGE") || text.starts_with("age-encryption.org/") {
            let bytes = std::io::Cursor::new(bytes.to_vec());
            let reader = ArmoredReader::new(bytes);
            return match encrypted::Identity::from_buffer(reader, name, asking, None) {
                Ok(Some(identity)) => Ok(vec![Box::new(identity)]),
                _ => Err(unusable(
                    "it is not an age key that is encrypted with a passphrase",
                )),
            };
        }
        if text.starts_with("-----BEGIN") {
            let key = ssh::Identity::from_buffer(bytes, name);
            let key = key.map_err(|_| {
                unusable("it is damaged, or no SSH private key of a kind that age reads")
            })?;
            if let ssh::Identity::Unsupported(_) = key {
                return Err(unusable(
                    "SSH keys of this kind cannot be used; take ssh-ed25519, ssh-rsa or an age key",
                ));
            }
            return Ok(vec![Box::new(key.with_callbacks(asking))]);
        }
        let keys = IdentityFile::from_buffer(bytes);
        let keys = keys.map_err(|_| {
            unusable("it is neither an age key (AGE-SECRET-KEY-1...) nor an SSH private key")
        })?;
        let keys = keys
            .into_identities()
            .map_err(|_| unusable("it holds no key"))?;
        match keys.is_empty() {
            true => Err(unusable("it holds no key")),
            false => Ok(keys
                .into_iter()
                .map(|key| key as Box<dyn age::Identity>)
                .collect()),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.from)
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unlock({:?})", self.identities)
    }
}

impl Unlock {
    /// Opens what is in the file at `path`, which is named in messages only.
    pub(super) fn open(&self, path: &Path, sealed: &[u8]) -> Result<Opened, SecretsError> {
        let damaged = |why: &str| SecretsError::Damaged {
            path: path.into(),
            why: why.into(),
        };
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed))
            .map_err(|_| damaged("it is not a file that age encrypted"))?;
        let is_scrypt = decryptor.is_scrypt();
        let mut passphrase = None;
        let left_alone = Arc::new(AtomicBool::new(false));
        let mut keys: Vec<Box<dyn age::Identity>> = Vec::new();
        if is_scrypt {
            let what = path.display().to_string();
            let given = self.ask.passphrase(&what);
            let given = given.ok_or(SecretsError::NobodyToAsk { what })?;
            keys.push(Box::new(scrypt::Identity::new(secret_string(&given))));
            passphrase = Some(given);
        } else {
            if self.identities.is_empty() {
                return Err(SecretsError::NoKey(path.into()));
            }
            for identity in &self.identities {
                let asking = Asking {
                    what: identity.from.clone(),
                    ask: Arc::clone(&self.ask),
                    known: Arc::default(),
                    left_alone: Arc::clone(&left_alone),
                };
                keys.extend(identity.for_age(asking)?);
            }
        }
        let opened = decryptor.decrypt(keys.iter().map(|key| &**key));
        let mut reader = opened.map_err(|error| match error {
            DecryptError::DecryptionFailed if is_scrypt => SecretsError::Passphrase(path.into()),
            DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys
                if left_alone.load(Ordering::Relaxed) =>
            {
                SecretsError::NobodyToAsk { what: self.names() }
            }
            DecryptError::KeyDecryptionFailed => SecretsError::Key {
                key: self.names(),
                why: "the passphrase does not open it".into(),
            },
            DecryptError::NoMatchingKeys => SecretsError::OtherKey {
                path: path.into(),
                keys: self.names(),
            },
            DecryptError::ExcessiveWork { .. } => {
                damaged("its passphrase would take this machine minutes to check")
            }
            _ => damaged("its header is not as it was written"),
        })?;
        // At once large enough: what grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(sealed.len()));
        reader
            .read_to_string(&mut text)
            .map_err(|_| damaged("its content is not as it was written"))?;
        Ok(Opened { text, passphrase })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.identities.iter().map(|each| &*each.from).collect();
        names.join(", ")
    }
}

/// Answers age's questions about one key. Asked once: age asks again for every
/// recipient of a file.
#[derive(Clone)]
struct Asking {
    what: String,
    ask: Arc<dyn Ask>,
    known: Arc<Mutex<Option<Secret>>>,
    left_alone: Arc<AtomicBool>,
}

impl Callbacks for Asking {
    fn display_message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        let mut known = self.known.lock().ok()?;
        if known.is_none() {
            *known = self.ask.passphrase(&self.what);
        }
        let secret = known.as_ref().map(secret_string);
        self.left_alone
            .fetch_or(secret.is_none(), Ordering::Relaxed);
        secret
    }
}
