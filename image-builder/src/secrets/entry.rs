//! One secret by its name: what is listed, and what is handed out.

use serde::Serialize;

use super::{NodeSecrets, Repository, Secrets, SecretsError};
use crate::identity::KeyPair;
use crate::pki::Authority;
use crate::secret::{Secret, short_sha256};

/// Something in the secrets file. Serialised and in `Debug` it shows no secret.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its name, `nodes/pi-1/password`.
    pub name: String,
    /// Tells it from another: of a token or password the beginning of its sha256,
    /// of a key that of its public half, of a certificate that of its DER.
    pub fingerprint: String,
    /// Nobody else may know it.
    pub secret: bool,
    /// When it ends, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
    #[serde(skip)]
    content: Secret,
}

impl Entry {
    /// What it holds, as a file would: with a newline at its end.
    pub fn content(&self) -> &Secret {
        &self.content
    }

    fn line(name: impl Into<String>, secret: &Secret, content: &Secret) -> Self {
        Self {
            name: name.into(),
            fingerprint: secret.fingerprint(),
            secret: true,
            not_after: None,
            content: Secret::new(format!("{}\n", content.expose())),
        }
    }

    fn key(name: String, fingerprint: String, content: Secret) -> Self {
        Self {
            name,
            fingerprint,
            secret: true,
            not_after: None,
            content,
        }
    }
}

fn of_repository(repository: &Repository) -> Vec<Entry> {
    let fingerprint = repository.fingerprint();
    match repository {
        Repository::Login { password, .. } => {
            vec![Entry::line("repository/password", password, password)]
        }
        Repository::Key { key, known_hosts } => vec![
            Entry::key("repository/key".into(), fingerprint, key.clone()),
            Entry {
                name: "repository/known_hosts".into(),
                fingerprint: short_sha256(known_hosts.as_bytes()),
                secret: false,
                not_after: None,
                content: Secret::new(known_hosts.clone()),
            },
        ],
    }
}

impl Secrets {
    /// Everything that is in the file: tokens, CAs, nodes. Tokens are the full
    /// ones; their fingerprints are of the secret part.
    ///
    /// # Errors
    /// When the CA is damaged.
    pub fn entries(&self) -> Result<Vec<Entry>, SecretsError> {
        let mut entries = self.tokens()?;
        entries.extend(self.ca()?);
        entries.extend(self.repository.iter().flat_map(of_repository));
        for (node, secrets) in &self.nodes {
            let NodeSecrets {
                host_keys,
                password,
            } = secrets;
            let name = |what: &str| format!("nodes/{node}/{what}");
            entries.push(Entry::line(name("password"), password, password));
            entries.extend(host_keys.each().map(|key: &KeyPair| {
                Entry::key(name(key.file_name()), key.fingerprint(), key.private_text())
            }));
        }
        Ok(entries)
    }

    fn tokens(&self) -> Result<Vec<Entry>, SecretsError> {
        let (server, agent) = (&self.server_token, &self.agent_token);
        let mut entries = vec![
            Entry::line("server-token", server, &self.full_server_token()?),
            Entry::line("agent-token", agent, &self.full_agent_token()?),
        ];
        for (index, token) in self.former_server_tokens.iter().enumerate() {
            let mut then = self.clone();
            then.server_token = token.clone();
            let name = format!("server-token/former-{}", index + 1);
            entries.push(Entry::line(name, token, &then.full_server_token()?));
        }
        Ok(entries)
    }

    fn ca(&self) -> Result<Vec<Entry>, SecretsError> {
        let all = &self.authorities;
        let mut entries = Vec::new();
        let mut both = |crt: String, key: String, authority: &Authority, chain: String| {
            entries.push(Entry {
                name: crt,
                fingerprint: authority.fingerprint()?,
                secret: false,
                not_after: Some(authority.not_after()?.unix_timestamp()),
                content: Secret::new(chain),
            });
            let fingerprint = authority.key_fingerprint()?;
            entries.push(Entry::key(key, fingerprint, authority.key.clone()));
            Ok::<_, SecretsError>(())
        };
        for (name, authority) in [("root", &all.root), ("intermediate", &all.intermediate)] {
            let [crt, key] = ["pem", "key"].map(|end| format!("ca/{name}-ca.{end}"));
            both(crt, key, authority, authority.certificate.clone())?;
        }
        for (names, authority) in all.in_tls() {
            let [crt, key] = names.map(|name| format!("tls/{name}"));
            both(crt, key, authority, all.chain(authority))?;
        }
        let service = &all.service;
        let fingerprint = service.fingerprint()?;
        entries.push(Entry::key(
            "tls/service.key".into(),
            fingerprint,
            service.0.clone(),
        ));
        Ok(entries)
    }

    /// The one with this name.
    ///
    /// # Errors
    /// When there is none, or the CA is damaged.
    pub fn entry(&self, name: &str) -> Result<Entry, SecretsError> {
        let found = self.entries()?.into_iter().find(|entry| entry.name == name);
        found.ok_or_else(|| SecretsError::NoEntry(name.to_owned()))
    }
}
