//! What this node shows to be let in: K3s' token, taken apart as `parseToken` in
//! its `pkg/clientaccess/token.go` does.

use base64ct::{Base64, Encoding as _};
use node_config::Role;

/// What full tokens begin with.
const PREFIX: &str = "K10";

/// A token's hash has the length of a sha256 in hex, or is left out.
const HASH: usize = 64;

/// Credentials of the supervisor. No `Debug`: they are a secret.
pub(crate) enum Token {
    /// Whatever name the token has, K3s shows that of the node's role.
    Password(String),
    /// A bootstrap token, `id.secret`: lets agents join, for a while.
    Bootstrap(String),
}

/// Why a text is no token. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAToken {
    #[error("it is empty")]
    Empty,
    #[error("its CA hash has {0} characters, it must have 64 or none")]
    HashLength(usize),
    #[error("it is neither USER:PASSWORD nor a bootstrap token")]
    Format,
}

impl Token {
    /// Takes a token apart; a line's end behind it is none of its own.
    ///
    /// # Errors
    /// What K3s refuses too.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotAToken::Empty);
        }
        let Some(rest) = text.strip_prefix(PREFIX) else {
            let short = text.to_owned();
            return Ok(match is_bootstrap(text) {
                true => Token::Bootstrap(short),
                false => Token::Password(short),
            });
        };
        let (hash, shown) = rest.split_once("::").unwrap_or(("", rest));
        if !hash.is_empty() && hash.len() != HASH {
            return Err(NotAToken::HashLength(hash.len()));
        }
        if is_bootstrap(shown) {
            return Ok(Token::Bootstrap(shown.to_owned()));
        }
        match shown.split_once(':') {
            Some((_, password)) if !password.is_empty() => Ok(Token::Password(password.to_owned())),
            _ => Err(NotAToken::Format),
        }
    }

    /// The header `Authorization` (RFC 7617, RFC 6750).
    pub(crate) fn authorization(&self, role: Role) -> String {
        match self {
            Token::Bootstrap(token) => format!("Bearer {token}"),
            Token::Password(password) => {
                // `clientaccess.WithUser` in K3s' agent and server.
                let user = match role {
                    Role::Server => "server",
                    Role::Agent => "node",
                };
                let pair = format!("{user}:{password}");
                format!("Basic {}", Base64::encode_string(pair.as_bytes()))
            }
        }
    }
}

/// `[a-z0-9]{6}.[a-z0-9]{16}`, as kubeadm has it.
fn is_bootstrap(text: &str) -> bool {
    let is = |part: &str, len| {
        part.len() == len
            && part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    };
    text.split_once('.')
        .is_some_and(|(id, secret)| is(id, 6) && is(secret, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_gives_its_header_and_a_damaged_one_its_reason() {
        let hash = "0a".repeat(32);
        let basic = |pair: &str| Ok(format!("Basic {}", Base64::encode_string(pair.as_bytes())));
        let bearer = Ok("Bearer abcdef.0123456789abcdef".to_owned());
        for (text, expected) in [
            (format!("K10{hash}::server:pw\n"), basic("server:pw")),
            (format!("K10{hash}::node:a:b"), basic("server:a:b")),
            (
                format!("K10{hash}::abcdef.0123456789abcdef"),
                bearer.clone(),
            ),
            ("abcdef.0123456789abcdef".into(), bearer),
            ("hunter2".into(), basic("server:hunter2")),
            ("K10server:pw".into(), basic("server:pw")),
            ("K10ab::server:pw".into(), Err(NotAToken::HashLength(2))),
            (format!("K10{hash}::server:"), Err(NotAToken::Format)),
            (format!("K10{hash}::pw"), Err(NotAToken::Format)),
            ("K10".into(), Err(NotAToken::Format)),
            (" \n".into(), Err(NotAToken::Empty)),
        ] {
            let header = Token::parse(&text).map(|token| token.authorization(Role::Server));
            assert_eq!(header, expected, "{text:?}");
        }
        let agent = Token::parse("K10node:pw").map(|token| token.authorization(Role::Agent));
        assert_eq!(agent, basic("node:pw"));
    }
}
