//! Proxies, as the environment names them.

use percent_encoding::percent_decode_str;
use ureq::{Proxy, ProxyProtocol};
use url::Url;

use super::FetchError;

/// The proxies for both schemes.
#[derive(Debug)]
pub(super) struct Proxies {
    /// For `http:` URLs.
    pub(super) http: Option<Proxy>,
    /// For `https:` URLs.
    pub(super) https: Option<Proxy>,
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, each in
    /// small letters or else in capitals. A host in `no_proxy` stands for its
    /// subdomains too, as with curl.
    ///
    /// # Errors
    /// When one names no proxy: going around it in silence may be what it was
    /// set against.
    pub(super) fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Self, FetchError> {
        let get = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()]
                .iter()
                .find_map(|name| env(name).filter(|value| !value.is_empty()))
        };
        let direct = get("no_proxy").unwrap_or_default();
        let read = |name: &'static str| match get(name) {
            Some(value) => parse(&value, &direct)
                .map(Some)
                .ok_or(FetchError::Proxy(name)),
            None => Ok(None),
        };
        let all = read("all_proxy")?;
        Ok(Self {
            http: read("http_proxy")?.or_else(|| all.clone()),
            https: read("https_proxy")?.or(all),
        })
    }
}

/// One variable. `HOST:PORT` alone means `http:`.
fn parse(value: &str, direct: &str) -> Option<Proxy> {
    let url = match value.contains("://") {
        true => Url::parse(value),
        false => Url::parse(&format!("http://{value}")),
    }
    .ok()?;
    let plain = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let protocol = ProxyProtocol::try_from(url.scheme()).ok()?;
    let mut proxy = Proxy::builder(protocol).host(url.host_str()?);
    if let Some(port) = url.port() {
        proxy = proxy.port(port);
    }
    if !url.username().is_empty() {
        proxy = proxy
            .username(&plain(url.username())?)
            .password(&plain(url.password().unwrap_or_default())?);
    }
    for host in direct
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        proxy = proxy.no_proxy(host);
        if !host.starts_with(['.', '*']) {
            proxy = proxy.no_proxy(&format!(".{host}"));
        }
    }
    proxy.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, FetchError> {
        Proxies::from_env(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let host = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| proxy.host().to_owned());
        for (variables, http, https) in [
            (&[("http_proxy", "http://a:1")][..], Some("a"), None),
            (&[("HTTPS_PROXY", "a:1")], None, Some("a")),
            (&[("all_proxy", "socks5://a")], Some("a"), Some("a")),
            (
                &[
                    ("ALL_PROXY", "a"),
                    ("https_proxy", "b"),
                    ("HTTPS_PROXY", "c"),
                ],
                Some("a"),
                Some("b"),
            ),
            (&[("http_proxy", "")], None, None),
        ] {
            let found = proxies(variables).expect("proxies");
            assert_eq!(host(&found.http).as_deref(), http, "{variables:?}");
            assert_eq!(host(&found.https).as_deref(), https, "{variables:?}");
        }
    }

    #[test]
    fn hosts_of_no_proxy_are_reached_directly() {
        let variables = [("all_proxy", "a"), ("no_proxy", "b.org, .c.org,10.0.0.1")];
        let proxy = proxies(&variables).expect("proxies").http.expect("proxy");
        for (host, direct) in [
            ("b.org", true),
            ("x.b.org", true),
            ("xb.org", false),
            ("c.org", false),
            ("x.c.org", true),
            ("10.0.0.1", true),
        ] {
            let uri = format!("http://{host}/").parse().expect("URI");
            assert_eq!(proxy.is_no_proxy(&uri), direct, "{host}");
        }
    }

    #[test]
    fn a_wrong_one_is_refused_without_its_password() {
        for value in ["ftp://u:hunter2@a", "http://u:hunter2@", "u:hunter2@a:b"] {
            let error = proxies(&[("http_proxy", value)]).expect_err(value);
            let text = format!("{error} {error:?}");
            assert!(text.contains("http_proxy"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
