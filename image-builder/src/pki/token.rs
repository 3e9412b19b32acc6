//! K3s' tokens: what a node shows to be let in.

use std::fmt;

use super::CaHash;
use crate::secret::Secret;

/// What full tokens begin with.
const PREFIX: &str = "K10";

/// A token's hash has the length of a sha256 in hex.
const HASH: usize = 64;

/// The user name in a server's token: it may join as a server.
pub(crate) const SERVER: &str = "server";

/// The user name in an agent's token.
pub(crate) const AGENT: &str = "node";

/// A token, taken apart as `parseToken` in K3s' `pkg/clientaccess/token.go` does.
/// `Debug` shows neither password nor bootstrap secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Hash of the CA it trusts; empty: it trusts whatever it meets. K3s looks at
    /// the length only.
    pub hash: String,
    /// What it shows.
    pub credentials: Credentials,
}

/// What a token shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and its password.
    User {
        /// The user, `server` or `node`; empty in a short token.
        name: String,
        /// Never empty.
        password: Secret,
    },
    /// A bootstrap token: lets agents join, for a while.
    Bootstrap {
        /// Its public half, 6 characters.
        id: String,
        /// The other half, 16 characters.
        secret: Secret,
    },
}

/// Why a text is no token. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing there.
    #[error("the token is empty")]
    Empty,
    /// Something between `K10` and `::` that is no hash.
    #[error("the CA hash in the token has {0} characters, it must have 64 or none")]
    HashLength(usize),
    /// No password.
    #[error(
        "the token is neither USER:PASSWORD nor a bootstrap token (6 characters, a dot, 16 characters)"
    )]
    Format,
}

impl Token {
    /// Takes a token apart.
    ///
    /// # Errors
    /// What K3s refuses too.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        let Some(rest) = text.strip_prefix(PREFIX) else {
            // A short one: a bootstrap token, or a password of no user.
            let credentials = bootstrap(text).unwrap_or_else(|| Credentials::User {
                name: String::new(),
                password: text.into(),
            });
            return Ok(Self {
                hash: String::new(),
                credentials,
            });
        };
        let (hash, shown) = rest.split_once("::").unwrap_or(("", rest));
        if !hash.is_empty() && hash.len() != HASH {
            return Err(TokenError::HashLength(hash.len()));
        }
        let credentials = match (bootstrap(shown), shown.split_once(':')) {
            (Some(bootstrap), _) => bootstrap,
            (None, Some((name, password))) if !password.is_empty() => Credentials::User {
                name: name.to_owned(),
                password: password.into(),
            },
            _ => return Err(TokenError::Format),
        };
        Ok(Self {
            hash: hash.to_owned(),
            credentials,
        })
    }

    /// The full form of a user's token, `K10<hash>::<user>:<password>`.
    pub fn full(hash: &CaHash, user: &str, password: &Secret) -> Secret {
        Secret::new(format!("{PREFIX}{hash}::{user}:{}", password.expose()))
    }
}

/// A bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}` (kubeadm's, and K3s').
fn bootstrap(text: &str) -> Option<Credentials> {
    let (id, secret) = text.split_once('.')?;
    let is = |text: &str, len| {
        text.len() == len
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    };
    (is(id, 6) && is(secret, 16)).then(|| Credentials::Bootstrap {
        id: id.to_owned(),
        secret: secret.into(),
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A short token's user is empty; the name of another is no secret, but
        // what is taken for one may be part of a password.
        match self {
            Credentials::User { name, .. } if matches!(name.as_str(), SERVER | AGENT) => {
                write!(f, "User({name})")
            }
            Credentials::User { .. } => f.write_str("User"),
            Credentials::Bootstrap { .. } => f.write_str("Bootstrap"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(hash: &str, name: &str, password: &str) -> Result<Token, TokenError> {
        let credentials = Credentials::User {
            name: name.into(),
            password: password.into(),
        };
        Ok(Token {
            hash: hash.into(),
            credentials,
        })
    }

    fn bootstrap(hash: &str) -> Result<Token, TokenError> {
        let credentials = Credentials::Bootstrap {
            id: "abcdef".into(),
            secret: "0123456789abcdef".into(),
        };
        Ok(Token {
            hash: hash.into(),
            credentials,
        })
    }

    #[test]
    fn tokens_are_taken_apart_as_k3s_does() {
        let hash = "0a".repeat(32);
        for (text, token) in [
            ("", Err(TokenError::Empty)),
            ("hunter2", user("", "", "hunter2")),
            ("a:b", user("", "", "a:b")),
            ("a::b", user("", "", "a::b")),
            ("abcdef.0123456789abcdef", bootstrap("")),
            (
                "abcdef.0123456789ABCDEF",
                user("", "", "abcdef.0123456789ABCDEF"),
            ),
            ("K10", Err(TokenError::Format)),
            ("K10server", Err(TokenError::Format)),
            ("K10server:", Err(TokenError::Format)),
            ("K10server:pw", user("", "server", "pw")),
            ("K10::server:pw", user("", "server", "pw")),
            ("K10::abcdef.0123456789abcdef", bootstrap("")),
            ("K10ab::server:pw", Err(TokenError::HashLength(2))),
            (
                &format!("K10{hash}::server:pw"),
                user(&hash, "server", "pw"),
            ),
            (
                &format!("K10{hash}::node:a:b::c"),
                user(&hash, "node", "a:b::c"),
            ),
            (&format!("K10{hash}:::pw"), user(&hash, "", "pw")),
            (
                &format!("K10{hash}::abcdef.0123456789abcdef"),
                bootstrap(&hash),
            ),
            (&format!("K10{hash}::pw"), Err(TokenError::Format)),
            (
                &format!("K10{hash}0::server:pw"),
                Err(TokenError::HashLength(65)),
            ),
        ] {
            assert_eq!(Token::parse(text), token, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_not_shown() {
        let hash = CaHash::parse(&"0a".repeat(32)).expect("a hash");
        let full = Token::full(&hash, SERVER, &"canary".into());
        let token = Token::parse(full.expose()).expect("a token");
        assert_eq!(
            Ok(&token),
            user(&"0a".repeat(32), SERVER, "canary").as_ref()
        );
        for text in ["canary", "K10canary:canary", "canary.0123456789canary"] {
            let shown = format!("{:?}", Token::parse(text));
            assert!(!shown.contains("canary"), "{shown}");
        }
        assert!(!format!("{token:?}").contains("canary"));
    }
}
