//! For whom a file is encrypted.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

use age::armor::{ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::ssh::ParseRecipientKeyError;
use age::{Encryptor, scrypt, ssh, x25519};

use crate::secret::Secret;

/// Who can open a file. age allows no mixture: who knows a passphrase can make
/// files that seem to come from a key's owner.
#[derive(Debug, Clone)]
pub enum Seal {
    /// Whoever knows it.
    Passphrase(Secret),
    /// Whoever holds the key of one of them. Never none.
    Recipients(Vec<Recipient>),
}

/// The public half of a key, as text: an age recipient (`age1...`) or an SSH public
/// key (`ssh-ed25519 ...`, `ssh-rsa ...`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(String);

/// Why a text is no recipient. Never quotes it: it may be the other half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Half of a pair that should have stayed at home.
    #[error("it is a private key; give its public half, and make a new key if others saw it")]
    Private,
    /// A kind that age does not encrypt for.
    #[error("SSH keys of the type {0} cannot be used; take ssh-ed25519, ssh-rsa or an age key")]
    Type(String),
    /// RSA of a length that is refused.
    #[error("the RSA key is too short or too long; take one of 2048 to 4096 bits")]
    RsaLength,
    /// Something else.
    #[error("it is neither `age1...` nor an SSH public key")]
    Unknown,
}

/// age's own choice takes about a second on the machine that encrypts. Tests have
/// no secrets to protect.
const TEST_WORK: u8 = 2;

impl Recipient {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is no recipient, or of a kind that cannot be used.
    pub fn parse(line: &str) -> Result<Self, RecipientError> {
        let line = line.trim();
        if line.contains("PRIVATE KEY") || line.to_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(RecipientError::Private);
        }
        if let Ok(recipient) = x25519::Recipient::from_str(line) {
            return Ok(Self(recipient.to_string()));
        }
        use ParseRecipientKeyError as E;
        match ssh::Recipient::from_str(line) {
            Ok(recipient) => Ok(Self(recipient.to_string())),
            Err(E::RsaModulusTooLarge | E::RsaModulusTooSmall) => Err(RecipientError::RsaLength),
            Err(E::Unsupported(kind)) => Err(RecipientError::Type(kind)),
            Err(_) => Err(RecipientError::Unknown),
        }
    }

    /// Reads a file of them, such as `id_ed25519.pub`: one a line, `#` begins a
    /// comment.
    ///
    /// # Errors
    /// The line's number with the reason. A file without any is [`RecipientError::
    /// Unknown`] in line 0.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, (usize, RecipientError)> {
        let mut found = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            found.push(Self::parse(line).map_err(|error| (index + 1, error))?);
        }
        match found.is_empty() {
            true => Err((0, RecipientError::Unknown)),
            false => Ok(found),
        }
    }

    fn for_age(&self) -> Box<dyn age::Recipient> {
        match x25519::Recipient::from_str(&self.0) {
            Ok(recipient) => Box::new(recipient),
            Err(_) => Box::new(ssh::Recipient::from_str(&self.0).expect("parsed before")),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Seal {
    /// The recipients; none where there is a passphrase.
    pub fn recipients(&self) -> &[Recipient] {
        match self {
            Seal::Passphrase(_) => &[],
            Seal::Recipients(recipients) => recipients,
        }
    }

    /// Encrypts, in age's text form: Git shows it as one changed block.
    pub(super) fn close(&self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        let encryptor = match self {
            Seal::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(secret_string(passphrase));
                if cfg!(test) {
                    recipient.set_work_factor(TEST_WORK);
                }
                Encryptor::with_recipients([&recipient as &dyn age::Recipient].into_iter())
            }
            Seal::Recipients(recipients) => {
                let recipients: Vec<_> = recipients.iter().map(Recipient::for_age).collect();
                Encryptor::with_recipients(recipients.iter().map(|recipient| &**recipient))
            }
        };
        let encryptor = encryptor.map_err(std::io::Error::other)?;
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    }
}

/// age's own kind of secret.
pub(super) fn secret_string(secret: &Secret) -> SecretString {
    SecretString::from(secret.expose().to_owned())
}
