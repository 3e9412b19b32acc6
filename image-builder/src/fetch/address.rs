//! Where something is: a URL that keeps its password to itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use super::FetchError;

/// A checked URL, user and password apart. Its text forms show neither those
/// nor the query, which may be a token (`?X-Amz-Signature=`).
/// Cheap to clone: every error has one.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without user, password and fragment.
    url: Arc<Url>,
    /// The value of `Authorization:` for its host.
    authorization: Option<Arc<str>>,
}

/// URLs that begin with `from` are fetched from `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What a URL begins with, up to a `/` or its end.
    pub from: String,
    /// What takes its place.
    pub to: String,
}

impl Address {
    /// A URL as written, behind the mirror that names the longest part of it.
    ///
    /// # Errors
    /// When it is none, or of a scheme nobody can fetch.
    pub fn parse(text: &str, mirrors: &[Mirror]) -> Result<Self, FetchError> {
        let best = mirrors
            .iter()
            .filter_map(|mirror| Some((mirror, mirror.rest(text)?)))
            .max_by_key(|(mirror, _)| mirror.from.len());
        match best {
            Some((mirror, rest)) => Self::new(&format!("{}{rest}", mirror.to)),
            None => Self::new(text),
        }
    }

    fn new(text: &str) -> Result<Self, FetchError> {
        let refuse = |why: String| FetchError::Url {
            url: without_login(text),
            why,
        };
        let url = Url::parse(text).map_err(|error| refuse(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => {}
            "file" if url.to_file_path().is_ok() => {}
            "file" => return Err(refuse("it names a file of another machine".into())),
            other => return Err(refuse(format!("`{other}:` is unknown here"))),
        }
        Ok(Self::split(url))
    }

    /// Takes user and password off, as `Authorization: Basic` wants them (RFC
    /// 7617): percent-encoded in a URL, plain in the header.
    fn split(mut url: Url) -> Self {
        let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let mut login = plain(url.username());
        login.push(b':');
        login.extend(plain(url.password().unwrap_or_default()));
        let authorization =
            (login != b":").then(|| format!("Basic {}", BASE64_STANDARD.encode(login)).into());
        // These fail for URLs without a host only, which have no login either.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Self {
            url: Arc::new(url),
            authorization,
        }
    }

    /// Where a redirect leads. User and password go along to the same origin
    /// only: scheme, host and port.
    ///
    /// # Errors
    /// When it leads out of HTTPS, or to what is no URL of the web.
    pub fn redirected(&self, location: &str) -> Result<Self, FetchError> {
        let refuse = |to, why| FetchError::Redirect {
            url: self.clone(),
            to,
            why,
        };
        let next = match self.url.join(location) {
            Ok(url) => Self::split(url),
            Err(_) => return Err(refuse(without_login(location), "that is no URL")),
        };
        match (self.url.scheme(), next.url.scheme()) {
            ("https", "http") => {
                let why = "that is not encrypted while this is";
                return Err(refuse(next.to_string(), why));
            }
            (_, "http" | "https") => {}
            _ => return Err(refuse(next.to_string(), "that is not on the web")),
        }
        let same = next.url.origin() == self.url.origin();
        let authorization = next
            .authorization
            .or_else(|| self.authorization.clone().filter(|_| same));
        Ok(Self {
            url: next.url,
            authorization,
        })
    }

    /// The same for somebody who is not logged in.
    pub(super) fn stranger(&self) -> Self {
        Self {
            url: Arc::clone(&self.url),
            authorization: None,
        }
    }

    /// The same with a token (RFC 6750, 2.1).
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self {
            url: Arc::clone(&self.url),
            authorization: Some(format!("Bearer {token}").into()),
        }
    }

    /// The file it names, if it names one of this machine.
    pub(super) fn file(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file")
            .then(|| self.url.to_file_path().ok())
            .flatten()
    }

    /// The whole URL, for the server and for comparison; not for messages.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The value of `Authorization:`, if there is to be one.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_query(self.url.as_str()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Mirror {
    /// What of a URL is behind `from`. `https://a.org` does not begin
    /// `https://a.org.evil.com/`.
    fn rest<'a>(&self, url: &'a str) -> Option<&'a str> {
        let rest = url.strip_prefix(&self.from)?;
        (rest.is_empty() || self.from.ends_with('/') || rest.starts_with(['/', '?']))
            .then_some(rest)
    }
}

/// A URL without what may be a token.
fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((url, _)) => format!("{url}?…"),
        None => url.into(),
    }
}

/// A text that is no good URL, without what may be secret in it: its `@` may be
/// anywhere, also behind a `?` that should have been `%3F`.
fn without_login(text: &str) -> String {
    let (before, rest) = match text.rsplit_once('@') {
        Some((before, rest)) => (before.split_once("//"), rest),
        None => (None, text),
    };
    let scheme = before.map_or(String::new(), |(scheme, _)| format!("{scheme}//"));
    match rest.split_once(['?', '#']) {
        Some((rest, _)) => format!("{scheme}{rest}?…"),
        None => scheme + rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, &[]).expect(text)
    }

    #[test]
    fn no_text_form_shows_a_secret() {
        for text in [
            "https://user:hunter2@host/a?token=hunter2#hunter2",
            "https://hunter2@host/a",
            "http://u:hunter2@host:99999/a",
            "https://u:hunter2@ho st/a",
            "ftp://u:hunter2@host/a",
            "u:hunter2@host/a",
            "https://u:p/hunter2@host/a",
            "https://u:hunter2?hunter2@host/a",
        ] {
            let shown = match Address::parse(text, &[]) {
                Ok(address) => format!("{address} {address:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("host/a") || shown.contains("ho"), "{shown}");
        }
        let shown = address("https://u:p@h/a@1?b=c").to_string();
        assert_eq!(shown, "https://h/a@1?…");
    }

    #[test]
    fn a_login_is_decoded_for_its_header() {
        let login = address("https://us%20er:p%40ss@h/").authorization;
        assert_eq!(login.as_deref(), Some("Basic dXMgZXI6cEBzcw=="));
        assert_eq!(address("https://h/").authorization, None);
    }

    #[test]
    fn redirects_lead_where_they_may() {
        let from = address("https://u:p@a.org/x/y");
        for (location, to, login) in [
            ("z", "https://a.org/x/z", true),
            ("/z", "https://a.org/z", true),
            ("https://a.org:443/z", "https://a.org/z", true),
            ("https://a.org:444/z", "https://a.org:444/z", false),
            ("//b.org/z", "https://b.org/z", false),
            ("https://v:w@b.org/z", "https://b.org/z", true),
        ] {
            let next = from.redirected(location).expect(location);
            assert_eq!(next.url.as_str(), to);
            assert_eq!(next.authorization.is_some(), login, "{location}");
        }
        for location in ["http://a.org/z", "file:///etc/passwd", "https://"] {
            from.redirected(location).expect_err(location);
        }
        let plain = address("http://a.org/x");
        plain.redirected("https://a.org/x").expect("to HTTPS");
    }

    #[test]
    fn the_longest_mirror_wins() {
        let mirror = |from: &str, to: &str| Mirror {
            from: from.into(),
            to: to.into(),
        };
        let mirrors = [
            mirror("https://a.org", "https://one"),
            mirror("https://a.org/deb/", "file:///srv/"),
        ];
        for (text, to) in [
            ("https://a.org/x", "https://one/x"),
            ("https://a.org/deb/x", "file:///srv/x"),
            ("https://a.org/debian", "https://one/debian"),
            ("https://a.org.evil/x", "https://a.org.evil/x"),
        ] {
            let found = Address::parse(text, &mirrors).expect(text);
            assert_eq!(found.url.as_str(), to);
        }
    }

    #[test]
    fn files_are_of_this_machine() {
        let file = address("file:///a%20b").file();
        assert_eq!(file.as_deref(), Some("/a b".as_ref()));
        assert!(Address::parse("file://server/a", &[]).is_err());
        assert_eq!(address("https://h/a").file(), None);
    }
}
