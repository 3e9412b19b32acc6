//! Keys that sign releases: from files, the environment, or the terminal.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use super::unlock::{ask, new_passphrase, passphrase_of_environment, variable};
use crate::config::{Disk, Files as _};
use crate::plan::PublicKey;
use crate::release::sign::SigningKey;
use crate::secret::{SIGNING_KEY, SIGNING_PASSWORD, Secret};

/// More than any key file has.
const LIMIT: u64 = 16 << 10;

/// The key that signs: a file, or `$IMGBUILD_SIGNING_KEY`, which holds its path or
/// the key itself. `None`: there is neither.
pub(super) fn signing_key(given: Option<&Path>) -> anyhow::Result<Option<SigningKey>> {
    let (name, text) = match (given, variable(SIGNING_KEY)?) {
        (Some(path), _) => (path.display().to_string(), read(path)?),
        (None, Some(value)) if value.expose().contains('\n') => (SIGNING_KEY.to_owned(), value),
        (None, Some(value)) => (SIGNING_KEY.to_owned(), read(Path::new(value.expose()))?),
        (None, None) => return Ok(None),
    };
    let mut trouble = Ok(());
    let password = || {
        let known = passphrase_of_environment(SIGNING_PASSWORD).unwrap_or_else(|error| {
            trouble = Err(error);
            None
        });
        known.or_else(|| ask(&format!("Password of {name}: ")).ok())
    };
    let key = SigningKey::open(&text, password);
    trouble?;
    let key = key.with_context(|| format!("opening the signing key in {name}"))?;
    Ok(Some(key))
}

/// The password of a new key, asked for twice; `None` if it is to have none.
pub(super) fn new_password() -> anyhow::Result<Secret> {
    new_passphrase(SIGNING_PASSWORD, "New password of the signing key", || {
        format!(
            "put a password into {SIGNING_PASSWORD}, or write --no-password and keep the key \
             where nobody else reads it: there is no terminal to ask for one"
        )
    })
}

/// Whose releases count: those of the cluster, and those that were named.
pub(super) fn trusted(
    given: &[String],
    of_cluster: &[PublicKey],
) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = of_cluster.to_vec();
    for text in given {
        // What is no key may be a file with one.
        let key = match text.parse() {
            Ok(key) => key,
            Err(_) if Path::new(text).is_file() => {
                let path = PathBuf::from(text);
                let what = || format!("reading {text}");
                std::str::from_utf8(&Disk.read(&path, LIMIT).with_context(what)?)
                    .with_context(what)?
                    .parse()
                    .with_context(what)?
            }
            Err(error) => return Err(anyhow::Error::from(error)),
        };
        keys.push(key);
    }
    Ok(keys)
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    let what = || format!("reading the signing key {}", path.display());
    let bytes = Zeroizing::new(Disk.read(path, LIMIT).with_context(what)?);
    let Ok(text) = std::str::from_utf8(&bytes) else {
        bail!("{}: it is not text", what());
    };
    Ok(text.into())
}
