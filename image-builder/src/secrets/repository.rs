//! What lets the cluster read its repository, where that is not open to all.

use node_config::handover::Credential;
use ssh_key::{HashAlg, KnownHosts, PrivateKey};

use crate::secret::Secret;

/// A credential, seen to be one. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Repository {
    /// Over HTTPS.
    Login {
        /// The user; with a token, for many servers any.
        user: String,
        /// A password or token.
        password: Secret,
    },
    /// Over SSH.
    Key {
        /// A private key without a passphrase, as OpenSSH writes it.
        key: Secret,
        /// Who the server is, as `known_hosts` has it. No secret.
        known_hosts: String,
    },
}

/// Why a text is no credential. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoCredential(&'static str);

impl Repository {
    /// From a user and what a file holds.
    ///
    /// # Errors
    /// When an HTTP login could not have them (RFC 7617, 2).
    pub fn login(user: &str, password: &Secret) -> Result<Self, NoCredential> {
        let password = password.expose().trim_end_matches(['\r', '\n']);
        let is_graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if user.is_empty() || user.contains(':') || !is_graphic(user) {
            return Err(NoCredential("the user is none: a word without a colon"));
        }
        if password.is_empty() || !is_graphic(password) {
            return Err(NoCredential(
                "this is no password or token: one word, on one line",
            ));
        }
        Ok(Repository::Login {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        })
    }

    /// From what two files hold.
    ///
    /// # Errors
    /// When the first is no private key that ssh can use by itself, or the second knows
    /// no host.
    pub fn key(key: &Secret, known_hosts: &str) -> Result<Self, NoCredential> {
        let parsed = PrivateKey::from_openssh(key.expose().trim()).map_err(|_| {
            NoCredential("this is no private key as `ssh-keygen -t ed25519` makes it")
        })?;
        if parsed.is_encrypted() {
            return Err(NoCredential(
                "this key has a passphrase, which nobody is there to type: make one without",
            ));
        }
        let hosts = KnownHosts::new(known_hosts).collect::<Result<Vec<_>, _>>();
        if hosts.map_or(true, |hosts| hosts.is_empty()) {
            return Err(NoCredential(
                "the known hosts are none: `ssh-keyscan` prints them, and its server's owner \
                 says whether they are right",
            ));
        }
        let [key, known_hosts] =
            [key.expose(), known_hosts].map(|text| format!("{}\n", text.trim_end()));
        Ok(Repository::Key {
            key: Secret::new(key),
            known_hosts,
        })
    }

    /// Whether it is for SSH; else for HTTPS.
    pub fn is_ssh(&self) -> bool {
        matches!(self, Repository::Key { .. })
    }

    /// The part that is secret.
    pub fn secret(&self) -> &Secret {
        match self {
            Repository::Login { password, .. } => password,
            Repository::Key { key, .. } => key,
        }
    }

    /// Tells it from another.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Repository::Login { password, .. } => password.fingerprint(),
            Repository::Key { key, .. } => PrivateKey::from_openssh(key.expose())
                .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
                .unwrap_or_default(),
        }
    }

    /// As a node has it.
    pub fn credential(&self) -> Credential {
        match self {
            Repository::Login { user, password } => Credential::Login {
                user: user.clone(),
                password: password.expose().to_owned(),
            },
            Repository::Key { key, .. } => Credential::Key(key.expose().to_owned()),
        }
    }

    /// Who the server is, where that has to be known beforehand.
    pub fn known_hosts(&self) -> Option<&str> {
        match self {
            Repository::Login { .. } => None,
            Repository::Key { known_hosts, .. } => Some(known_hosts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::host_keys;

    const HOSTS: &str = "git.home.arpa ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLd2rvGZ0Yp4kSgqXW8uCkO1pJ6WmJ2mJv8uR3kZ0pQ\n";

    #[test]
    fn a_login_is_a_user_and_one_word() {
        let token = Secret::from("canary-token\n");
        let login = Repository::login("git", &token).expect("a login");
        assert_eq!(login.secret().expose(), "canary-token");
        assert!(!format!("{login:?}").contains("canary"));
        for (user, password) in [
            ("", "x"),
            ("a:b", "x"),
            ("a", ""),
            ("a", "x y"),
            ("a", "x\ny"),
        ] {
            let error = Repository::login(user, &password.into()).expect_err(password);
            assert!(!error.to_string().contains("x y"), "{error}");
        }
    }

    #[test]
    fn a_key_is_one_that_ssh_can_use_by_itself() {
        let own = host_keys().ed25519.private_text();
        let key = Repository::key(&own, HOSTS).expect("a key");
        assert_eq!((key.is_ssh(), key.known_hosts()), (true, Some(HOSTS)));
        assert!(key.fingerprint().starts_with("SHA256:"));
        for (key, hosts) in [
            (own.expose(), ""),
            (own.expose(), "git.home.arpa"),
            ("canary", HOSTS),
            ("", HOSTS),
        ] {
            let error = Repository::key(&key.into(), hosts).expect_err(hosts);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
