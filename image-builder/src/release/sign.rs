//! Signatures in minisign's format (jedisct1.github.io/minisign, "Signature
//! format"), by that program's author's own crate. A signature covers `SHA256SUMS`;
//! its trusted comment says which release that is, so that a good signature on an
//! old release does not pass for one on a new.

use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};

use zeroize::Zeroizing;

use crate::secret::{Secret, signing_pair};

/// The end of a signature's file name.
pub const END: &str = "minisig";

/// More than any signature has: four lines, and a comment of file names.
pub const MAX: u64 = 64 << 10;

/// Bytes of an Ed25519 signature (RFC 8032, section 5.1.6).
const ED25519_SIGNATURE: usize = 64;

/// Why something is not signed, or not by whom it should be.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not a public key.
    #[error("{0:?} is no minisign public key; it is the line that begins with RW in a .pub file")]
    PublicKey(String),
    /// Not a secret key.
    #[error(
        "it is no minisign secret key, or one without a password that was not made by \
         `imgbuild keygen`: minisign leaves the checksum of such a key out"
    )]
    SecretKey,
    /// The password does not open it.
    #[error("the password does not open the signing key")]
    Password,
    /// It has a password, and none was given.
    #[error(
        "the signing key is protected by a password; put it into IMGBUILD_SIGNING_PASSWORD, or \
         run this at a terminal"
    )]
    NoPassword,
    /// Not a signature.
    #[error("it is no minisign signature")]
    Signature,
    /// A good signature perhaps, by somebody else.
    #[error("it is signed with the key {found}, and the keys that are trusted are {trusted}")]
    Untrusted {
        /// Who signed.
        found: KeyId,
        /// Who should have.
        trusted: String,
    },
    /// By one of ours, and not of these bytes.
    #[error("the signature by {0} does not fit: what is signed, or its comment, was changed")]
    Bad(KeyId),
    /// The comment says something else than what is there.
    #[error("its trusted comment is not that of a release: {0:?}")]
    Comment(String),
    /// The crate's own words.
    #[error("signing failed: {0}")]
    Failed(minisign::PError),
}

/// Which key, as minisign shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

fn key_id(bytes: &[u8]) -> KeyId {
    KeyId(bytes.try_into().map_or(0, u64::from_le_bytes))
}

/// Who may sign releases.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(minisign::PublicKey);

impl PublicKey {
    /// Which it is.
    pub fn id(&self) -> KeyId {
        key_id(self.0.keynum())
    }
}

impl FromStr for PublicKey {
    type Err = SignError;

    /// The line that begins with `RW`, or a whole `.pub` file.
    fn from_str(text: &str) -> Result<Self, SignError> {
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        let line = line.unwrap_or_default().trim();
        let key = minisign::PublicKey::from_base64(line);
        key.map(Self)
            .map_err(|_| SignError::PublicKey(line.to_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that signs, open. `Debug` shows which, not what.
pub struct SigningKey(SecretKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", key_id(self.0.keynum()))
    }
}

/// A new key: its file, protected by `password` if there is one, and its public
/// half's.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate(password: Option<&Secret>) -> Result<(Secret, String), SignError> {
    let pair = signing_pair(password);
    let KeyPair { pk, sk } = pair.map_err(SignError::Failed)?;
    let comment = "signs releases of imgbuild";
    let secret = sk.to_box(Some(comment)).map_err(SignError::Failed)?;
    let public: PublicKeyBox = pk.to_box().map_err(SignError::Failed)?;
    Ok((Secret::new(secret.into_string()), public.into_string()))
}

/// Whether a key file's text has a password: by the name of the function that makes
/// a key of it, the second of the three names its second line begins with.
fn is_protected(text: &Secret) -> Result<bool, SignError> {
    let line = text.expose().lines().nth(1).ok_or(SignError::SecretKey)?;
    let bytes = Zeroizing::new(
        STANDARD
            .decode(line.trim())
            .map_err(|_| SignError::SecretKey)?,
    );
    match bytes.get(..6) {
        Some(b"EdScB2") => Ok(true),
        Some(b"Ed\0\0B2") => Ok(false),
        _ => Err(SignError::SecretKey),
    }
}

impl SigningKey {
    /// Opens a key file's text. `password` is asked for if it takes one.
    ///
    /// # Errors
    /// When it is none, or the password is wrong or missing.
    pub fn open(
        text: &Secret,
        password: impl FnOnce() -> Option<Secret>,
    ) -> Result<Self, SignError> {
        let sealed = || -> Result<SecretKeyBox, SignError> {
            SecretKeyBox::from_string(text.expose()).map_err(|_| SignError::SecretKey)
        };
        if !is_protected(text)? {
            let key = sealed()?.into_unencrypted_secret_key();
            return key.map(Self).map_err(|_| SignError::SecretKey);
        }
        let password = password().ok_or(SignError::NoPassword)?;
        let key = sealed()?.into_secret_key(Some(password.expose().to_owned()));
        key.map(Self).map_err(|_| SignError::Password)
    }

    /// Its public half.
    ///
    /// # Errors
    /// When the key is damaged.
    pub fn public(&self) -> Result<PublicKey, SignError> {
        let key = minisign::PublicKey::from_secret_key(&self.0);
        key.map(PublicKey).map_err(|_| SignError::SecretKey)
    }

    /// Signs; the text of a `.minisig` file. Random bits go into it, so no two are
    /// the same.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn sign(&self, content: &[u8], comment: &Comment) -> Result<String, SignError> {
        let trusted = comment.to_string();
        let untrusted = format!("signature from imgbuild key {}", key_id(self.0.keynum()));
        let signed = minisign::sign(None, &self.0, content, Some(&trusted), Some(&untrusted));
        Ok(signed.map_err(SignError::Failed)?.into_string())
    }
}

/// Which release was signed: what the trusted comment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// `imgbuild-PROFILE-VERSION`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its date, in seconds since 1970.
    pub time: i64,
    /// The names of its files, sorted.
    pub files: Vec<String>,
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            version,
            time,
            files,
        } = self;
        write!(
            f,
            "timestamp:{time} name:{name} version:{version} files:{}",
            files.join(",")
        )
    }
}

impl FromStr for Comment {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        let mut words = text.split(' ');
        let mut field = |name: &str| {
            let word = words.next()?.strip_prefix(name)?;
            word.strip_prefix(':').map(str::to_owned)
        };
        let mut read = || {
            Some(Self {
                time: field("timestamp")?.parse().ok()?,
                name: field("name")?,
                version: field("version")?,
                files: field("files")?.split(',').map(str::to_owned).collect(),
            })
        };
        // A number has one way to be written, and nothing comes behind.
        let comment = read().filter(|comment| comment.to_string() == text);
        comment.ok_or_else(|| SignError::Comment(text.to_owned()))
    }
}

/// Whether the last line is as long as a signature is: minisign 0.10.0 cuts it
/// without a look at its length, and panics on a short one.
fn is_whole(signature: &str) -> bool {
    let line = signature.lines().nth(3).unwrap_or_default();
    let bytes = STANDARD.decode(line.trim());
    bytes.is_ok_and(|bytes| bytes.len() == ED25519_SIGNATURE)
}

/// Checks that one of `trusted` signed `content`; who, and what it says.
///
/// # Errors
/// When the signature is none, or by nobody of these, or of other bytes.
pub fn verify(
    content: &[u8],
    signature: &str,
    trusted: &[PublicKey],
) -> Result<(KeyId, Comment), SignError> {
    if !is_whole(signature) {
        return Err(SignError::Signature);
    }
    let signature = SignatureBox::from_string(signature).map_err(|_| SignError::Signature)?;
    let found = key_id(signature.keynum());
    let key = trusted.iter().find(|key| key.id() == found);
    let Some(PublicKey(key)) = key else {
        let trusted: Vec<_> = trusted.iter().map(|key| key.id().to_string()).collect();
        return Err(SignError::Untrusted {
            found,
            trusted: trusted.join(", "),
        });
    };
    minisign::verify(key, &signature, Cursor::new(content), true, false, false)
        .map_err(|_| SignError::Bad(found))?;
    let comment = signature
        .trusted_comment()
        .map_err(|_| SignError::Signature)?;
    Ok((found, comment.parse()?))
}

#[cfg(test)]
mod tests;
