//! The secrets as text: what is encrypted.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{NodeSecrets, Recipient, Secrets, VERSION};
use crate::config::names::is_label;
use crate::identity::HostKeys;
use crate::pki::{Authorities, Authority, ServiceKey};
use crate::secret::Secret;

/// Why a text is no document of ours. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Of a version not known here.
    #[error("it has version {0}")]
    Version(u32),
    /// Not of this form.
    #[error("{0}")]
    Form(String),
}

impl Secrets {
    /// Reads the text.
    ///
    /// # Errors
    /// When it is none of ours, or holds what K3s or sshd would refuse.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        // The version first: a newer document may have another shape.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = read(text)?;
        if version != VERSION {
            return Err(ParseError::Version(version));
        }
        let Document {
            version: _,
            cluster,
            recipients,
            tokens,
            ca,
            nodes,
        } = read(text)?;
        let Tokens {
            server,
            former_server,
            agent,
        } = tokens;
        let secrets = Self {
            cluster,
            recipients: recipients
                .iter()
                .map(|text| Recipient::parse(text))
                .collect::<Result<_, _>>()
                .map_err(|_| form("a recipient is none"))?,
            server_token: server.0,
            former_server_tokens: former_server.into_iter().map(|text| text.0).collect(),
            agent_token: agent.0,
            authorities: ca.into(),
            nodes: nodes
                .into_iter()
                .map(|(name, node)| Ok((name, node.read()?)))
                .collect::<Result<_, _>>()?,
        };
        secrets.check()?;
        Ok(secrets)
    }

    /// The text; [`Secrets::parse`] gives the same value back.
    pub fn render(&self) -> Zeroizing<String> {
        let Self {
            cluster,
            recipients,
            server_token,
            former_server_tokens,
            agent_token,
            authorities,
            nodes,
        } = self;
        let document = Document {
            version: VERSION,
            cluster: *cluster,
            recipients: recipients.iter().map(ToString::to_string).collect(),
            tokens: Tokens {
                server: Text(server_token.clone()),
                former_server: former_server_tokens.iter().cloned().map(Text).collect(),
                agent: Text(agent_token.clone()),
            },
            ca: authorities.into(),
            nodes: nodes
                .iter()
                .map(|(name, node)| (name.clone(), Node::write(node)))
                .collect(),
        };
        Zeroizing::new(toml::to_string_pretty(&document).expect("plain data serialises to TOML"))
    }

    fn check(&self) -> Result<(), ParseError> {
        let tokens = [&self.server_token, &self.agent_token];
        let passwords = self.nodes.values().map(|node| &node.password);
        let former = &self.former_server_tokens;
        if !tokens
            .into_iter()
            .chain(former)
            .chain(passwords)
            .all(is_plain)
        {
            return Err(form("a token or password is not of letters and digits"));
        }
        if let Some(name) = self.nodes.keys().find(|name| !is_label(name)) {
            return Err(form(&format!("{name:?} is not the name of a node")));
        }
        let sound = self.authorities.check();
        sound.map_err(|error| form(&error.to_string()))
    }
}

/// What can stand in a token, in a password file with commas, and in YAML.
fn is_plain(secret: &Secret) -> bool {
    let text = secret.expose();
    (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The parser's own message is dropped: it quotes what it could not read.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.as_bytes().get(..start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        form(&format!(
            "line {line} of what was encrypted is not as imgbuild writes it"
        ))
    })
}

fn form(why: &str) -> ParseError {
    ParseError::Form(why.to_owned())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    cluster: Uuid,
    #[serde(default)]
    recipients: Vec<String>,
    tokens: Tokens,
    ca: Ca,
    #[serde(default)]
    nodes: BTreeMap<String, Node>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    server: Text,
    agent: Text,
    #[serde(default)]
    former_server: Vec<Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ca {
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
struct Node {
    password: Text,
    ssh_host_ed25519_key: Text,
    ssh_host_rsa_key: Text,
}

/// A secret in this document: nowhere else can one be serialised.
struct Text(Secret);

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
    fn read(self) -> Result<NodeSecrets, ParseError> {
        let Self {
            password,
            ssh_host_ed25519_key,
            ssh_host_rsa_key,
        } = self;
        let [ed25519, rsa] = [&ssh_host_ed25519_key, &ssh_host_rsa_key];
        let keys = HostKeys::parse(ed25519.0.expose().as_bytes(), rsa.0.expose().as_bytes());
        Ok(NodeSecrets {
            host_keys: keys.map_err(|_| form("an SSH host key is damaged"))?,
            password: password.0,
        })
    }

    fn write(node: &NodeSecrets) -> Self {
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
