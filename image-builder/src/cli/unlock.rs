//! Keys and passphrases: from the terminal, the environment, and files they name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::config::{Disk, Files as _, why};
use crate::secret::{IDENTITY, NEW_PASSPHRASE, PASSPHRASE, Secret};
use crate::secrets::{Ask, Given, Identity, Recipient, Seal, SecretsError, Unlock};

/// Larger than any file of recipients, or with a passphrase.
const LIMIT: u64 = 1 << 20;

/// How the secrets file is opened.
#[derive(Debug, clap::Args)]
pub(super) struct Unlocking {
    /// A file with a key that opens the secrets: an age key or an SSH private key.
    /// Also from $IMGBUILD_SECRETS_IDENTITY, the path or the key itself. A
    /// passphrase is asked for, or taken from $IMGBUILD_SECRETS_PASSPHRASE or the
    /// file that $IMGBUILD_SECRETS_PASSPHRASE_FILE names.
    #[arg(long = "identity", value_name = "FILE", global = true)]
    identities: Vec<PathBuf>,
}

/// For whom it is encrypted.
#[derive(Debug, clap::Args)]
pub(super) struct Sealing {
    /// Encrypt for this key: `age1...`, an SSH public key, or a file of them.
    /// Without any, a passphrase is asked for, or taken from
    /// $IMGBUILD_SECRETS_NEW_PASSPHRASE or the file that
    /// $IMGBUILD_SECRETS_NEW_PASSPHRASE_FILE names.
    #[arg(long = "recipient", value_name = "KEY|FILE")]
    recipients: Vec<String>,
}

impl Unlocking {
    /// Everything that may open the file.
    pub(super) fn unlock(&self) -> anyhow::Result<Unlock> {
        let files = self.identities.iter();
        let mut identities = files
            .map(|path| Identity::load(path))
            .collect::<Result<Vec<_>, _>>()?;
        identities.extend(identity_of_environment()?);
        let ask: Arc<dyn Ask> = match passphrase_of_environment(PASSPHRASE)? {
            Some(passphrase) => Arc::new(Given(passphrase)),
            None => Arc::new(Terminal),
        };
        Ok(Unlock { identities, ask })
    }
}

impl Sealing {
    /// For whom to encrypt, if keys are named.
    pub(super) fn for_keys(&self) -> anyhow::Result<Option<Seal>> {
        if self.recipients.is_empty() {
            return Ok(None);
        }
        let mut recipients = Vec::new();
        for (index, written) in self.recipients.iter().enumerate() {
            let number = index + 1;
            let wrong = |why: String| SecretsError::Recipient { number, why };
            let error = match Recipient::parse(written) {
                Ok(recipient) => {
                    recipients.push(recipient);
                    continue;
                }
                Err(error) => error,
            };
            // What is no key may be a file with keys; it is named only if it is one.
            let path = Path::new(written);
            if !path.is_file() {
                return Err(wrong(error.to_string()).into());
            }
            let named = |why: String| wrong(format!("{}: {why}", path.display()));
            let bytes = Disk.read(path, LIMIT);
            let bytes = Zeroizing::new(bytes.map_err(|error| named(why(&error)))?);
            let text = std::str::from_utf8(&bytes).map_err(|_| named("it is not text".into()))?;
            let found = Recipient::parse_all(text).map_err(|(line, error)| match line {
                0 => named("it holds no key".into()),
                line => named(format!("line {line}: {error}")),
            })?;
            recipients.extend(found);
        }
        recipients.sort_by_key(ToString::to_string);
        recipients.dedup();
        Ok(Some(Seal::Recipients(recipients)))
    }
}

/// A new passphrase, asked for twice.
pub(super) fn new_seal() -> anyhow::Result<Seal> {
    let passphrase = new_passphrase(NEW_PASSPHRASE, "New passphrase of the secrets", || {
        format!(
            "name whom to encrypt the secrets for with --recipient, or put a passphrase into \
             {NEW_PASSPHRASE}: there is no terminal to ask for one"
        )
    })?;
    Ok(Seal::Passphrase(passphrase))
}

/// Asks at the terminal, without an echo.
struct Terminal;

impl Ask for Terminal {
    fn passphrase(&self, what: &str) -> Option<Secret> {
        ask(&format!("Passphrase of {what}: ")).ok()
    }
}

/// From `/dev/tty`, wherever stdin comes from.
pub(super) fn ask(question: &str) -> io::Result<Secret> {
    rpassword::prompt_password(question).map(Secret::new)
}

/// From the environment, or asked for twice; `instead` says what to do where there
/// is nobody to ask.
pub(super) fn new_passphrase(
    variable: &str,
    question: &str,
    instead: impl FnOnce() -> String,
) -> anyhow::Result<Secret> {
    if let Some(passphrase) = passphrase_of_environment(variable)? {
        return Ok(passphrase);
    }
    let Ok(first) = ask(&format!("{question}: ")) else {
        bail!(instead());
    };
    if first.expose().is_empty() {
        bail!("an empty passphrase protects nothing");
    }
    let second = ask("Once more: ").context("asking for a passphrase")?;
    if first != second {
        bail!("the two passphrases differ; nothing was changed");
    }
    Ok(first)
}

pub(super) fn passphrase_of_environment(name: &str) -> anyhow::Result<Option<Secret>> {
    if let Some(value) = variable(name)? {
        return Ok(Some(value));
    }
    let file = format!("{name}_FILE");
    let Some(path) = std::env::var_os(&file).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let what = || {
        format!(
            "reading the passphrase in {}, which {file} names",
            path.display()
        )
    };
    let bytes = Zeroizing::new(Disk.read(&path, LIMIT).with_context(what)?);
    let Ok(text) = std::str::from_utf8(&bytes) else {
        bail!("{}: it is not text", what());
    };
    // An editor's last newline is no part of it.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        bail!("{}: it is empty", what());
    }
    Ok(Some(text.into()))
}

fn identity_of_environment() -> anyhow::Result<Option<Identity>> {
    let Some(value) = variable(IDENTITY)? else {
        return Ok(None);
    };
    let text = value.expose().trim_start();
    if text.contains("-----BEGIN") || text.to_uppercase().contains("AGE-SECRET-KEY-") {
        return Ok(Some(Identity::new(IDENTITY, value)));
    }
    Ok(Some(Identity::load(Path::new(text))?))
}

/// A variable's value; `None` if it is unset or empty.
pub(super) fn variable(name: &str) -> anyhow::Result<Option<Secret>> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(Secret::new(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // Its own message quotes the value.
        Err(std::env::VarError::NotUnicode(_)) => bail!("{name} is not text"),
    }
}
