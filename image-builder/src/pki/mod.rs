//! The cluster's own certificate authorities and tokens, made before the cluster
//! exists: so every image carries a token that names the CA it will meet, and no
//! join trusts blindly.
//!
//! Shape and names are those of K3s' `contrib/util/generate-custom-ca-certs.sh`:
//! a root, an intermediate below it, and five authorities below that, which K3s
//! finds in `server/tls` before its first start (docs: `k3s certificate`, custom CA
//! certificates). Nothing here reads a clock or a file.

mod admin;
mod authority;
mod files;
mod hash;
mod key;
pub(crate) mod token;

use ssh_key::rand_core::CryptoRngCore;
use time::OffsetDateTime;

pub use admin::{Admin, kubeconfig};
pub use authority::Authority;
pub use files::{TLS_DIR, TlsFile};
pub use hash::{CaHash, HashError};
pub use key::ServiceKey;
pub use token::{Credentials, Token, TokenError};

/// Why something could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The certificate library refused.
    #[error("making the certificate {name}: {source}")]
    Certificate {
        /// The common name it was to have.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A key could not be made.
    #[error("making {0}: the random source or the key's encoding failed")]
    Key(&'static str),
    /// What was kept is not what it should be. Never quotes it.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which one.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl PkiError {
    fn damaged(what: &str, why: &'static str) -> Self {
        Self::Damaged {
            what: what.to_owned(),
            why,
        }
    }
}

/// All authorities of a cluster, and the key its service accounts' tokens are
/// signed with. `Debug` shows certificates only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    /// What the tokens' hash is of. Its key is needed only to make another
    /// intermediate: no node gets it.
    pub root: Authority,
    /// Between the root and the others, so that those can be made anew without
    /// changing a token. No node gets its key.
    pub intermediate: Authority,
    /// Signs the certificates of the API servers: who joins, meets it.
    pub server: Authority,
    /// Signs the certificates of kubelets, components and admins.
    pub client: Authority,
    /// Signs the API server's certificate for aggregated API servers.
    pub request_header: Authority,
    /// Signs etcd's certificates for its peers.
    pub etcd_peer: Authority,
    /// Signs etcd's certificates for its clients.
    pub etcd_server: Authority,
    /// Signs service accounts' tokens.
    pub service: ServiceKey,
}

/// What the root outlives: 20 years, as in K3s' script.
const ROOT_DAYS: i64 = 7300;

/// How long the others last: a little over ten years, as in K3s' script.
const CA_DAYS: i64 = 3700;

impl Authorities {
    /// Makes them all, valid from a day before `at`.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn mint(rng: &mut impl CryptoRngCore, at: OffsetDateTime) -> Result<Self, PkiError> {
        let stamp = at.unix_timestamp();
        let name = |what: &str| format!("k3s-{what}-ca@{stamp}");
        let root = Authority::root(rng, &name("root"), at, ROOT_DAYS)?;
        let signer = root.signer("the root CA")?;
        let intermediate = signer.authority(rng, &name("intermediate"), at, CA_DAYS)?;
        let signer = intermediate.signer("the intermediate CA")?;
        let mut below = |what| signer.authority(rng, &name(what), at, CA_DAYS);
        Ok(Self {
            server: below("server")?,
            client: below("client")?,
            request_header: below("request-header")?,
            etcd_peer: below("etcd-peer")?,
            etcd_server: below("etcd-server")?,
            service: ServiceKey::new(rng)?,
            root,
            intermediate,
        })
    }

    /// A `.crt` file as K3s wants it: the authority, then what signed it, up to the
    /// root.
    pub fn chain(&self, authority: &Authority) -> String {
        [authority, &self.intermediate, &self.root]
            .map(|each| each.certificate.as_str())
            .concat()
    }

    /// What every token says of the cluster: the hash of what `/cacerts` will serve.
    ///
    /// # Errors
    /// When the certificates are damaged.
    pub fn hash(&self) -> Result<CaHash, HashError> {
        CaHash::of_bundle(self.chain(&self.server).as_bytes())
    }

    /// Every authority with the name it has in messages.
    pub(crate) fn each(&self) -> [(&'static str, &Authority); 7] {
        let Self {
            root,
            intermediate,
            server,
            client,
            request_header,
            etcd_peer,
            etcd_server,
            service: _,
        } = self;
        [
            ("the root CA", root),
            ("the intermediate CA", intermediate),
            ("the server CA", server),
            ("the client CA", client),
            ("the request-header CA", request_header),
            ("the etcd peer CA", etcd_peer),
            ("the etcd server CA", etcd_server),
        ]
    }

    /// Holds every key against its certificate, and every certificate against what
    /// signed it.
    ///
    /// # Errors
    /// Names the first that is wrong.
    pub fn check(&self) -> Result<(), PkiError> {
        for (what, authority) in self.each() {
            let issuer = match what {
                "the root CA" | "the intermediate CA" => &self.root,
                _ => &self.intermediate,
            };
            authority.check(what, issuer)?;
        }
        self.service.check()
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
