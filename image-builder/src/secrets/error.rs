//! Why the secrets cannot be used. No message quotes what was in the file, in a
//! key or in a passphrase.

use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use super::VERSION;
use crate::pki::{HashError, PkiError};

/// What is wrong with a secrets file, or with what should open it.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// It cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is none.
    #[error("there is no secrets file {}; `imgbuild secrets init` makes it", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error(
        "{} is there already and is not replaced: the nodes have its secrets. `imgbuild secrets \
         rotate` changes a secret, `imgbuild secrets rekey` who can open them",
        .0.display()
    )]
    Exists(PathBuf),
    /// It cannot be what we wrote.
    #[error("{} is damaged: {why}; take it from Git or a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a newer program.
    #[error("{} has version {found}, this imgbuild reads {VERSION}; update it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "{} belongs to the cluster with the id {found}, not to this one ({wanted}); is it in the \
         wrong folder, or was the id in cluster.toml changed?",
        path.display()
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The id in it.
        found: Uuid,
        /// The cluster's.
        wanted: Uuid,
    },
    /// The passphrase is another one.
    #[error("the passphrase does not open {}", .0.display())]
    Passphrase(PathBuf),
    /// There is nobody to ask.
    #[error(
        "{what} has a passphrase, and there is no terminal to ask for it; put it into \
         IMGBUILD_SECRETS_PASSPHRASE, or name a file with it in IMGBUILD_SECRETS_PASSPHRASE_FILE"
    )]
    NobodyToAsk {
        /// What has one.
        what: String,
    },
    /// No key was given.
    #[error(
        "{} is encrypted for keys; name the file of one with --identity or \
         IMGBUILD_SECRETS_IDENTITY",
        .0.display()
    )]
    NoKey(PathBuf),
    /// None of the keys is one it was encrypted for.
    #[error("{} is not encrypted for {keys}", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The keys that were tried.
        keys: String,
    },
    /// A key cannot be used.
    #[error("the key {key} cannot be used: {why}")]
    Key {
        /// Where it is from.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A recipient cannot be used.
    #[error("recipient {number} cannot be used: {why}")]
    Recipient {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else is writing.
    #[error("another imgbuild is changing {}; run this again when it is done", .0.display())]
    Busy(PathBuf),
    /// Somebody else wrote.
    #[error(
        "{} was changed by somebody else since it was read; nothing was written, run this again",
        .0.display()
    )]
    Changed(PathBuf),
    /// A node without secrets.
    #[error("there are no secrets of the node {0}; `imgbuild secrets add` makes them")]
    NoNode(String),
    /// A name that nothing has.
    #[error("there is no secret with the name {0:?}; `imgbuild secrets show` lists them")]
    NoEntry(String),
    /// A certificate or key could not be made, or is not sound.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The CA has no hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// SSH host keys could not be made.
    #[error("making the SSH host keys of {0}: the random source or the encoding failed")]
    HostKeys(String),
}
