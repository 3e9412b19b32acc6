//! A node's SSH host keys: made once, kept with the cluster's secrets, baked
//! into every image of the node. A re-flashed node is the same node, so nobody
//! is asked to type "yes" to a new fingerprint.
//!
//! The seam is narrow on purpose: whoever composes an image gets [`HostKeys`]
//! and need not know that they are files today.

mod trust;

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use ssh_key::private::{Ed25519Keypair, KeypairData, RsaKeypair};
use ssh_key::rand_core::CryptoRngCore;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

pub use trust::{known_hosts, ssh_config};

use crate::secret::{self, Secret};

/// Both host keys of one node. RSA beside Ed25519 because old clients and
/// appliances know nothing newer.
#[derive(Debug, Clone)]
pub struct HostKeys {
    /// The key every current client uses.
    pub ed25519: KeyPair,
    /// The key for the others.
    pub rsa: KeyPair,
}

/// One host key with both halves. `Debug` shows the public one only. The private
/// one is overwritten in memory when the value is dropped, by ssh-key; the texts
/// it was read from and goes out as ([`KeyPair::private`]) are not, and end up in
/// an image that anyone who holds it can read.
#[derive(Clone)]
pub struct KeyPair {
    key: PrivateKey,
}

/// The two kinds of host key a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    Rsa,
}

/// 3072 bits are worth about 128 bits of symmetric strength (NIST SP 800-57,
/// table 2), what Ed25519 gives too.
const RSA_BITS: usize = 3072;

impl HostKeys {
    /// The keys of `node` below `secrets`, made first where they are missing.
    /// A key that exists is never written again, not even when it is damaged:
    /// every client that knows it would raise an alarm at the new one.
    ///
    /// # Errors
    /// When a key cannot be read, is damaged or readable by others, or when a
    /// missing one cannot be made.
    pub fn load_or_create(secrets: &Path, node: &str) -> Result<Self> {
        secrets_dir(secrets)?;
        let dir = secrets.join(node);
        private_dir(&dir)?;
        Ok(Self {
            ed25519: load_or_create(&dir, Kind::Ed25519, node)?,
            rsa: load_or_create(&dir, Kind::Rsa, node)?,
        })
    }

    /// Makes two new keys. `node` becomes their comment.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn generate(rng: &mut impl CryptoRngCore, node: &str) -> Result<Self> {
        Ok(Self {
            ed25519: Kind::Ed25519.generate(rng, node)?,
            rsa: Kind::Rsa.generate(rng, node)?,
        })
    }

    /// Keys that were made before: OpenSSH's private form, as [`KeyPair::private`]
    /// gives it.
    ///
    /// # Errors
    /// When one of them is damaged or of another type. The error does not quote it.
    pub fn parse(ed25519: &[u8], rsa: &[u8]) -> Result<Self> {
        Ok(Self {
            ed25519: Kind::Ed25519.parse(ed25519)?,
            rsa: Kind::Rsa.parse(rsa)?,
        })
    }

    /// The keys of `node` below `secrets`, `None` when it has none there. Nothing
    /// is made.
    ///
    /// # Errors
    /// When a key cannot be read, is damaged or readable by others, or one of the
    /// two is missing.
    pub fn load(secrets: &Path, node: &str) -> Result<Option<Self>> {
        let dir = secrets.join(node);
        let read = |kind: Kind| load(&dir.join(kind.file_name()), kind);
        match (read(Kind::Ed25519)?, read(Kind::Rsa)?) {
            (Some(ed25519), Some(rsa)) => Ok(Some(Self { ed25519, rsa })),
            (None, None) => Ok(None),
            _ => bail!(
                "{} holds one of two host keys; restore the other from a backup, or delete both",
                dir.display()
            ),
        }
    }

    /// Both keys, the preferred one first.
    pub fn each(&self) -> [&KeyPair; 2] {
        [&self.ed25519, &self.rsa]
    }
}

impl KeyPair {
    /// The private half in OpenSSH's format. Its holder marks it secret.
    ///
    /// # Errors
    /// Never for a key that this module made or read; the encoder is fallible.
    pub fn private(&self) -> Result<Vec<u8>> {
        let text = self
            .key
            .to_openssh(LineEnding::LF)
            .context("encoding a host key")?;
        Ok(text.as_bytes().to_vec())
    }

    /// The same, for whoever keeps it.
    pub(crate) fn private_text(&self) -> Secret {
        let text = self.key.to_openssh(LineEnding::LF);
        Secret::from(text.expect("a key that was made or read here").as_str())
    }

    /// The public half as `<type> <base64>`, without a comment.
    pub fn public(&self) -> String {
        let mut public = self.key.public_key().clone();
        public.set_comment("");
        public
            .to_openssh()
            .expect("a public key of a known type has a text form")
            .trim_end()
            .to_owned()
    }

    /// The fingerprint as `ssh` shows it at a first login, `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The key's type, `ssh-ed25519`.
    pub fn algorithm(&self) -> String {
        self.key.algorithm().to_string()
    }

    /// The name OpenSSH gives this key's file.
    pub fn file_name(&self) -> &'static str {
        match self.key.algorithm() {
            Algorithm::Ed25519 => Kind::Ed25519.file_name(),
            _ => Kind::Rsa.file_name(),
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyPair({} {})",
            self.key.algorithm(),
            self.fingerprint()
        )
    }
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Kind::Ed25519 => "ssh_host_ed25519_key",
            Kind::Rsa => "ssh_host_rsa_key",
        }
    }

    fn generate(self, rng: &mut impl CryptoRngCore, comment: &str) -> Result<KeyPair> {
        let data = match self {
            Kind::Ed25519 => KeypairData::from(Ed25519Keypair::random(rng)),
            Kind::Rsa => {
                KeypairData::from(RsaKeypair::random(rng, RSA_BITS).context("making an RSA key")?)
            }
        };
        let key = PrivateKey::new(data, comment).context("making a host key")?;
        Ok(KeyPair { key })
    }

    /// Reads a key and holds it against what its file name promises.
    fn parse(self, text: &[u8]) -> Result<KeyPair> {
        // The parser's own message is dropped: it may not quote the key today,
        // but nothing promises that for tomorrow.
        let Ok(key) = PrivateKey::from_openssh(text) else {
            bail!("the file is not an OpenSSH private key, or it is damaged");
        };
        ensure!(
            !key.is_encrypted(),
            "the key has a passphrase, which sshd could not ask for"
        );
        match (self, key.key_data()) {
            (Kind::Ed25519, KeypairData::Ed25519(_)) => {}
            (Kind::Rsa, KeypairData::Rsa(pair)) => {
                let bits = pair.public.n.as_positive_bytes().map_or(0, |n| n.len() * 8);
                ensure!(
                    bits >= RSA_BITS,
                    "the RSA key has {bits} bits, at least {RSA_BITS} are needed"
                );
            }
            (wanted, _) => bail!(
                "the file holds a key of type {}, not {wanted:?}",
                key.algorithm()
            ),
        }
        Ok(KeyPair { key })
    }
}

fn load_or_create(dir: &Path, kind: Kind, node: &str) -> Result<KeyPair> {
    let path = dir.join(kind.file_name());
    if let Some(key) = load(&path, kind)? {
        return Ok(key);
    }
    let key = kind.generate(&mut secret::source(), node)?;
    if create(dir, &path, &key.private()?)? {
        return Ok(key);
    }
    // Another build made it in the meantime; the first one to finish counts.
    load(&path, kind)?.with_context(|| format!("host key {} came and went", path.display()))
}

fn load(path: &Path, kind: Kind) -> Result<Option<KeyPair>> {
    let what = || format!("reading host key {}", path.display());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(what),
    };
    check_mode(path, "600")?;
    let hint = "restore it from a backup, or delete it to give the node a new identity";
    kind.parse(&text)
        .map(Some)
        .with_context(|| hint)
        .with_context(what)
}

/// Writes a file that is either not there or there as a whole, and never in the
/// place of another. `false`: there was one already.
fn create(dir: &Path, path: &Path, content: &[u8]) -> Result<bool> {
    let what = || format!("writing host key {}", path.display());
    // A named temporary file has mode 0600 from its first moment.
    let mut beside = tempfile::NamedTempFile::new_in(dir).with_context(what)?;
    beside.write_all(content).with_context(what)?;
    beside.as_file().sync_all().with_context(what)?;
    match beside.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error).with_context(what),
    }
    // The name must last as long as the images that carry the key.
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(what)?;
    Ok(true)
}

/// Makes the directory of a cluster's secrets, which git is told to pass over:
/// cluster files are kept in git, and `git add .` would publish the keys. Told
/// once: whoever takes the file away, to keep secrets encrypted there, is obeyed.
fn secrets_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    private_dir(dir)?;
    let path = dir.join(".gitignore");
    fs::write(&path, "*\n").with_context(|| format!("writing {}", path.display()))
}

fn private_dir(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("making the directory for host keys {}", dir.display()))?;
    check_mode(dir, "700")
}

/// Refuses what group or others can touch, as `ssh` itself does.
fn check_mode(path: &Path, wanted: &str) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{path} is open to other users (mode {mode:03o}): run `chmod {wanted} {path}`",
        path = path.display()
    );
    Ok(())
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
