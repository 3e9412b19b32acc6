//! Registries let everybody read, but want to be asked for a token first: they
//! answer 401 and name who gives it (distribution specification, "Token
//! authentication"; RFC 6750, section 3).

use std::io::Read as _;

use ureq::http::HeaderMap;
use url::Url;

use super::error::Failure;
use super::session::Line;
use super::{Address, FetchError};

/// More than any token has.
const LIMIT: u64 = 1 << 20;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who gives the token.
    pub realm: String,
    /// For which registry.
    pub service: Option<String>,
    /// To do what.
    pub scope: Option<String>,
}

impl Challenge {
    /// Reads a value of `WWW-Authenticate:`; `None` when it asks for something
    /// else than a token that somebody gives.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (name, value) in parameters(rest)? {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self {
            realm: realm?,
            service,
            scope,
        })
    }

    /// The first one of an answer.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all("www-authenticate").iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        texts.find_map(Self::parse)
    }

    /// The URL to ask for the token.
    fn url(&self) -> Option<Url> {
        let mut url = Url::parse(&self.realm).ok()?;
        {
            let mut query = url.query_pairs_mut();
            let asked = [("service", &self.service), ("scope", &self.scope)];
            for (name, value) in asked {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        Some(url)
    }

    /// Gets the token that lets us read `of`: nobody's in particular, and so
    /// nothing of ours goes to whoever gives it.
    ///
    /// # Errors
    /// When there is none to be had, or the way to it is less safe than the one to
    /// `of`.
    pub(super) fn answer(&self, line: &Line, of: &Address) -> Result<Address, Failure> {
        let refuse = |why: &str| FetchError::Token {
            url: of.clone(),
            why: why.to_owned(),
        };
        let url = self.url().ok_or_else(|| refuse("it names no URL for it"))?;
        // As after a redirect: never out of encryption, never with our login.
        let realm = of.stranger().redirected(url.as_str())?;
        let response = line.get(&realm, None)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Refused { url: realm, status }.into());
        }
        let mut text = Vec::new();
        let mut body = response.into_body().into_reader().take(LIMIT);
        let read = body.read_to_end(&mut text);
        read.map_err(|error| line.failure(&realm, error.into()))?;
        let token = token(&text).ok_or_else(|| refuse("what came is not one"))?;
        Ok(of.with_token(&token))
    }
}

/// The token in the answer of who gives it: `token`, or as OAuth 2 calls it.
pub fn token(text: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Given {
        token: Option<String>,
        access_token: Option<String>,
    }
    let given: Given = serde_json::from_slice(text).ok()?;
    let token = given.token.or(given.access_token)?;
    // It becomes a part of a header.
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(token)
}

/// `name="value", name=value` (RFC 9110, 11.2): a comma may be in quotes.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (value.trim().to_owned(), rest)
            }
        };
        found.push((name.trim().to_owned(), value));
        text = rest;
    }
}

/// The text up to the closing quote, and what is behind that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_as_registries_write_them() {
        let asks = |text: &str| {
            let challenge = Challenge::parse(text)?;
            Some(challenge.url()?.to_string())
        };
        let is = |url: &str| Some(url.to_owned());
        let scope = "repository%3Ag%2Fc%3Apull";
        for (text, url) in [
            (
                r#"Bearer realm="https://r.io/token",service="r.io",scope="repository:g/c:pull""#,
                is(&format!("https://r.io/token?service=r.io&scope={scope}")),
            ),
            (
                r#"bearer Realm=https://r.io/t?a=b , scope="repository:g/c:pull,push" , error=x"#,
                is("https://r.io/t?a=b&scope=repository%3Ag%2Fc%3Apull%2Cpush"),
            ),
            (
                r#"Bearer realm="https://r.io/\"t""#,
                is("https://r.io/%22t?"),
            ),
            (r#"Basic realm="https://r.io/token""#, None),
            (r#"Bearer service="r.io""#, None),
            (r#"Bearer realm="https://r.io"#, None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(asks(text), url, "{text}");
        }
    }

    #[test]
    fn a_token_is_what_may_stand_in_a_header() {
        let of = |text: &str| token(text.as_bytes());
        assert_eq!(of(r#"{"token":"a.b"}"#).as_deref(), Some("a.b"));
        assert_eq!(of(r#"{"access_token":"c"}"#).as_deref(), Some("c"));
        for bad in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\r\nb"}"#, "[]"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
