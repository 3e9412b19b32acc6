//! The cluster's secrets: made once, kept in one file that is encrypted with age
//! (<https://age-encryption.org/v1>), so that it can lie in Git beside the cluster
//! file. Opened in memory only; never in clear on a disk.
//!
//! ```text
//! document    the secrets as text, strict and versioned; written: its shape
//! seal        for whom it is encrypted; unlock: with what it is opened
//! repository  what reads the repository of the cluster's tree
//! vault       the file: read, changed by one at a time, replaced as a whole
//! rotate      what changes, and what must follow; entry: one secret by its name
//! ```

mod document;
mod entry;
mod error;
mod repository;
mod rotate;
mod seal;
mod unlock;
mod vault;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ssh_key::rand_core::CryptoRngCore;
use time::OffsetDateTime;
use uuid::Uuid;

pub use document::ParseError;
pub use entry::Entry;
pub use error::SecretsError;
pub use repository::{NoCredential, Repository};
pub use rotate::{Rotation, What};
pub use seal::{Recipient, RecipientError, Seal};
pub use unlock::{Ask, Given, Identity, Nobody, Unlock};
pub use vault::Vault;

use crate::identity::HostKeys;
use crate::pki::{Authorities, CaHash, Token, token};
use crate::secret::Secret;

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// Where a cluster's secrets are: beside its file.
pub fn path(cluster_dir: &Path) -> PathBuf {
    cluster_dir.join("secrets.age")
}

/// 128 bits, what K3s takes for its own tokens and passwords (`util.Random(16)`).
const BYTES: usize = 16;

/// Everything about one cluster that nobody else may know. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The cluster they belong to.
    pub cluster: Uuid,
    /// Whom the file is encrypted for; nobody: there is a passphrase.
    pub recipients: Vec<Recipient>,
    /// Lets servers join, and encrypts what K3s keeps of its CAs in the datastore.
    pub server_token: Secret,
    /// Server tokens of the past, the latest first: a snapshot of etcd opens with
    /// the token of its time only.
    pub former_server_tokens: Vec<Secret>,
    /// Lets agents join, and nobody else.
    pub agent_token: Secret,
    /// The cluster's CAs.
    pub authorities: Authorities,
    /// What lets it read its repository, if that takes something.
    pub repository: Option<Repository>,
    /// By name.
    pub nodes: BTreeMap<String, NodeSecrets>,
}

/// What makes a node the same node after it is flashed again.
#[derive(Debug, Clone)]
pub struct NodeSecrets {
    /// Its SSH host keys.
    pub host_keys: HostKeys,
    /// What it shows to K3s, in `/etc/rancher/node/password`: the servers keep its
    /// hash and refuse another node of the same name.
    pub password: Secret,
}

impl Secrets {
    /// The secrets of a new cluster without nodes.
    ///
    /// # Errors
    /// When the random source fails or a certificate cannot be made.
    pub fn new(
        rng: &mut impl CryptoRngCore,
        cluster: Uuid,
        at: OffsetDateTime,
    ) -> Result<Self, SecretsError> {
        Ok(Self {
            cluster,
            recipients: Vec::new(),
            server_token: Secret::random(rng, BYTES),
            former_server_tokens: Vec::new(),
            agent_token: Secret::random(rng, BYTES),
            authorities: Authorities::mint(rng, at)?,
            repository: None,
            nodes: BTreeMap::new(),
        })
    }

    /// Gives a node its secrets, with host keys it had before if there are any.
    /// `false`, and nothing is changed: it has secrets.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn add_node(
        &mut self,
        rng: &mut impl CryptoRngCore,
        name: &str,
        host_keys: Option<HostKeys>,
    ) -> Result<bool, SecretsError> {
        if self.nodes.contains_key(name) {
            return Ok(false);
        }
        let host_keys = match host_keys {
            Some(keys) => keys,
            None => new_host_keys(rng, name)?,
        };
        let password = Secret::random(rng, BYTES);
        let node = NodeSecrets {
            host_keys,
            password,
        };
        self.nodes.insert(name.to_owned(), node);
        Ok(true)
    }

    /// A node's secrets.
    ///
    /// # Errors
    /// When it has none.
    pub fn node(&self, name: &str) -> Result<&NodeSecrets, SecretsError> {
        let node = self.nodes.get(name);
        node.ok_or_else(|| SecretsError::NoNode(name.to_owned()))
    }

    /// What every token says of the CA.
    ///
    /// # Errors
    /// When the CA is damaged.
    pub fn ca_hash(&self) -> Result<CaHash, SecretsError> {
        Ok(self.authorities.hash()?)
    }

    /// The full token of a server, for a `token-file`: for server images only.
    ///
    /// # Errors
    /// When the CA is damaged.
    pub fn full_server_token(&self) -> Result<Secret, SecretsError> {
        let hash = self.ca_hash()?;
        Ok(Token::full(&hash, token::SERVER, &self.server_token))
    }

    /// The full token of an agent: for the `token-file` of agents and the
    /// `agent-token-file` of servers.
    ///
    /// # Errors
    /// When the CA is damaged.
    pub fn full_agent_token(&self) -> Result<Secret, SecretsError> {
        let hash = self.ca_hash()?;
        Ok(Token::full(&hash, token::AGENT, &self.agent_token))
    }
}

fn new_host_keys(rng: &mut impl CryptoRngCore, node: &str) -> Result<HostKeys, SecretsError> {
    HostKeys::generate(rng, node).map_err(|_| SecretsError::HostKeys(node.to_owned()))
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
