//! The document as it is written: the only place where a secret is serialised.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{NoCredential, NodeSecrets};
use crate::identity::HostKeys;
use crate::pki::{Authorities, Authority, ServiceKey};
use crate::secret::Secret;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: u32,
    pub(super) cluster: Uuid,
    #[serde(default)]
    pub(super) recipients: Vec<String>,
    pub(super) tokens: Tokens,
    pub(super) ca: Ca,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<Repository>,
    #[serde(default)]
    pub(super) nodes: BTreeMap<String, Node>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) server: Text,
    pub(super) agent: Text,
    #[serde(default)]
    pub(super) former_server: Vec<Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ca {
    service_key: Text,
    root: Pair,
    intermediate: Pair,
    server: Pair,
    client: Pair,
    request_header: Pair,
    etcd_peer: Pair,
    etcd_server: Pair,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    certificate: String,
    key: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    password: Text,
    ssh_host_ed25519_key: Text,
    ssh_host_rsa_key: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(super) enum Repository {
    Login { user: String, password: Text },
    Ssh { key: Text, known_hosts: String },
}

/// A secret in this document: nowhere else can one be serialised.
pub(super) struct Text(pub(super) Secret);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Text(Secret::new(text)))
    }
}

impl Node {
    /// `None` when a host key is damaged.
    pub(super) fn read(self) -> Option<NodeSecrets> {
        let Self {
            password,
            ssh_host_ed25519_key,
            ssh_host_rsa_key,
        } = self;
        let [ed25519, rsa] = [&ssh_host_ed25519_key, &ssh_host_rsa_key];
        let keys = HostKeys::parse(ed25519.0.expose().as_bytes(), rsa.0.expose().as_bytes());
        Some(NodeSecrets {
            host_keys: keys.ok()?,
            password: password.0,
        })
    }

    pub(super) fn write(node: &NodeSecrets) -> Self {
        let NodeSecrets {
            host_keys,
            password,
        } = node;
        Self {
            password: Text(password.clone()),
            ssh_host_ed25519_key: Text(host_keys.ed25519.private_text()),
            ssh_host_rsa_key: Text(host_keys.rsa.private_text()),
        }
    }
}

impl Repository {
    pub(super) fn read(self) -> Result<super::Repository, NoCredential> {
        match self {
            Repository::Login { user, password } => super::Repository::login(&user, &password.0),
            Repository::Ssh { key, known_hosts } => super::Repository::key(&key.0, &known_hosts),
        }
    }

    pub(super) fn write(repository: &super::Repository) -> Self {
        match repository.clone() {
            super::Repository::Login { user, password } => Repository::Login {
                user,
                password: Text(password),
            },
            super::Repository::Key { key, known_hosts } => Repository::Ssh {
                key: Text(key),
                known_hosts,
            },
        }
    }
}

impl From<Ca> for Authorities {
    fn from(ca: Ca) -> Self {
        let Ca {
            service_key,
            root,
            intermediate,
            server,
            client,
            request_header,
            etcd_peer,
            etcd_server,
        } = ca;
        let authority = |Pair { certificate, key }| Authority {
            certificate,
            key: key.0,
        };
        Self {
            root: authority(root),
            intermediate: authority(intermediate),
            server: authority(server),
            client: authority(client),
            request_header: authority(request_header),
            etcd_peer: authority(etcd_peer),
            etcd_server: authority(etcd_server),
            service: ServiceKey(service_key.0),
        }
    }
}

impl From<&Authorities> for Ca {
    fn from(authorities: &Authorities) -> Self {
        let Authorities {
            root,
            intermediate,
            server,
            client,
            request_header,
            etcd_peer,
            etcd_server,
            service,
        } = authorities;
        let pair = |Authority { certificate, key }: &Authority| Pair {
            certificate: certificate.clone(),
            key: Text(key.clone()),
        };
        Self {
            service_key: Text(service.0.clone()),
            root: pair(root),
            intermediate: pair(intermediate),
            server: pair(server),
            client: pair(client),
            request_header: pair(request_header),
            etcd_peer: pair(etcd_peer),
            etcd_server: pair(etcd_server),
        }
    }
}
