//! The secrets as text: what is encrypted.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::written::{self, Document, Node, Text, Tokens};
use super::{Recipient, Secrets, VERSION};
use crate::config::names::is_label;
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
            repository,
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
            repository: repository
                .map(written::Repository::read)
                .transpose()
                .map_err(|_| form("the repository's credential is damaged"))?,
            nodes: nodes
                .into_iter()
                .map(|(name, node)| {
                    Ok((
                        name,
                        node.read()
                            .ok_or_else(|| form("an SSH host key is damaged"))?,
                    ))
                })
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
            repository,
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
            repository: repository.as_ref().map(written::Repository::write),
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
