//! The connections of one call: who is trusted, how long is waited, through
//! which proxy; all of them end with it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector as _, TcpConnector};
use ureq::{Agent, Body, Error, Proxy, ProxyProtocol, Timeout};

use super::error::Failure;
use super::exchange::Part;
use super::forward::Forward;
use super::{Address, Challenge, Client, Clock, FetchError, Settings, Trouble};

/// The authorities that are trusted.
pub(super) type Roots = Arc<Vec<Certificate<'static>>>;

/// Redirects followed; browsers follow 20, honest servers need 2.
const REDIRECTS: usize = 10;

/// Reads the system's authorities and those of a file.
///
/// # Errors
/// When the file has none. A system without any is no error yet: mirrors may
/// be plain files.
pub(super) fn roots(file: Option<&Path>) -> Result<Roots, FetchError> {
    let mut found = load_native_certs().certs;
    if let Some(path) = file {
        let own = load_certs_from_paths(Some(path), None);
        if own.certs.is_empty() {
            let why = match own.errors.first() {
                Some(error) => error.to_string(),
                None => "there is none in it".into(),
            };
            return Err(FetchError::CaFile {
                path: path.into(),
                why,
            });
        }
        found.extend(own.certs);
    }
    let certificate = |der| Certificate::from_der(der).to_owned();
    Ok(Arc::new(found.iter().map(|der| certificate(der)).collect()))
}

/// What one call of the client works with.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a dyn Clock,
    pub(super) line: Line,
}

impl<'a> Session<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            settings: &client.settings,
            clock: &*client.clock,
            line: Line::new(client),
        }
    }

    /// The same for documents in one of several forms.
    pub(super) fn accepting(client: &'a Client, forms: &'static str) -> Self {
        let mut session = Self::new(client);
        session.line.accept = Some(forms);
        session
    }

    /// Where a URL is to be fetched from.
    ///
    /// # Errors
    /// When it is no URL for us.
    pub(super) fn address(&self, url: &str) -> Result<Address, FetchError> {
        Address::parse(url, &self.settings.mirrors)
    }

    /// Checks that the network may be used for it, if it needs it.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn permit(&self, address: &Address) -> Result<(), FetchError> {
        match self.settings.offline && address.file().is_none() {
            true => Err(FetchError::Offline(address.clone())),
            false => Ok(()),
        }
    }
}

/// Whoever still waits for a server that is silent is woken: an attempt that
/// was given up, or all of them after Ctrl-C.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.line.http.clone().shutdown();
        self.line.https.clone().shutdown();
    }
}

/// Asks servers; shared by the threads of a session.
#[derive(Debug, Clone)]
pub(super) struct Line {
    http: Agent,
    https: Agent,
    forward: Option<Forward>,
    /// The value of `Accept:`, where that matters.
    accept: Option<&'static str>,
    /// Whether a registry's wish for a token is granted.
    asks_for_tokens: bool,
    connect_timeout: Duration,
    stall_timeout: Duration,
}

impl Line {
    fn new(client: &Client) -> Self {
        let config = |proxy| config(client, proxy);
        let (http, forward) = match client.proxies.http.clone() {
            Some(proxy) if proxy.protocol() == ProxyProtocol::Http => {
                let forward = Forward(proxy);
                let chain = ().chain(TcpConnector::default()).chain(forward.clone());
                let agent = Agent::with_parts(config(None), chain, forward.clone());
                (agent, Some(forward))
            }
            proxy => (config(proxy).new_agent(), None),
        };
        Self {
            http,
            https: config(client.proxies.https.clone()).new_agent(),
            forward,
            accept: None,
            asks_for_tokens: true,
            connect_timeout: client.settings.connect_timeout,
            stall_timeout: client.settings.stall_timeout,
        }
    }

    /// Asks for a file, or for the rest of one, wherever that leads.
    ///
    /// # Errors
    /// When there is no answer, or a redirect may not be followed.
    pub(super) fn get(
        &self,
        address: &Address,
        part: Option<&Part>,
    ) -> Result<Response<Body>, Failure> {
        let mut at = address.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&at, part)?;
            let location = response.headers().get("location");
            match (response.status().as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    at = at.redirected(&String::from_utf8_lossy(location.as_bytes()))?;
                }
                // Asked once: who has a token, or a login, and is refused stays so.
                (401, _) if self.asks_for_tokens && at.authorization().is_none() => {
                    match Challenge::of(response.headers()) {
                        Some(challenge) => at = challenge.answer(&self.for_tokens(), &at)?,
                        None => return Ok(response),
                    }
                }
                _ => return Ok(response),
            }
        }
        Err(Failure::Fatal(FetchError::Redirect {
            url: address.clone(),
            to: at.to_string(),
            why: "that is one redirect too many",
        }))
    }

    /// To whoever gives tokens. That one wanting a token as well would have no end.
    fn for_tokens(&self) -> Self {
        Self {
            accept: None,
            asks_for_tokens: false,
            ..self.clone()
        }
    }

    fn ask(&self, at: &Address, part: Option<&Part>) -> Result<Response<Body>, Failure> {
        let failed = |error| self.failure(at, error);
        let uri: Uri = at.url().as_str().parse().map_err(|_| FetchError::Url {
            url: at.to_string(),
            why: "it is not one for HTTP".into(),
        })?;
        let (agent, forward) = match at.url().scheme() {
            "https" => (&self.https, None),
            _ => (&self.http, self.forward.as_ref()),
        };
        let mut request = agent.get(&uri);
        if let Some(value) = at.authorization() {
            request = request.header("authorization", value);
        }
        if let Some(forms) = self.accept {
            request = request.header("accept", forms);
        }
        if let Some(value) = forward.and_then(|forward| forward.authorization(&uri)) {
            request = request.header("proxy-authorization", value);
        }
        if let Some(Part { from, of }) = part {
            request = request
                .header("range", format!("bytes={from}-"))
                .header("if-range", of.as_str());
        }
        request.call().map_err(failed)
    }

    /// What an error of the HTTP crate means.
    pub(super) fn failure(&self, at: &Address, error: Error) -> Failure {
        let words = |error: String| Trouble::Network(error).into();
        match error {
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Trouble::Unreachable(self.connect_timeout).into()
            }
            Error::Timeout(_) => Trouble::Silence(self.stall_timeout).into(),
            Error::HostNotFound => words("its host's name is unknown".into()),
            Error::Rustls(error) => tls(at, &error),
            Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(inner) => tls(at, inner),
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    words("the connection ended too early".into())
                }
                None => words(error.to_string()),
            },
            other => words(other.to_string()),
        }
    }
}

/// A certificate stays wrong; other faults of TLS may be the connection's.
fn tls(at: &Address, error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(_) => Failure::Fatal(FetchError::Trust {
            url: at.clone(),
            why: error.to_string(),
        }),
        other => Trouble::Network(other.to_string()).into(),
    }
}

fn config(client: &Client, proxy: Option<Proxy>) -> Config {
    let Settings {
        connect_timeout,
        stall_timeout,
        ..
    } = client.settings;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::clone(&client.roots)))
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()));
    Agent::config_builder()
        .tls_config(tls.build())
        // Said outright, also when there is none: the crate would look itself.
        .proxy(proxy)
        .user_agent(concat!("imgbuild/", env!("CARGO_PKG_VERSION")))
        // What is hashed and continued is the file, not a form of it.
        .accept_encoding("identity")
        // The judging and the following of answers are ours.
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(connect_timeout))
        .timeout_connect(Some(connect_timeout))
        .timeout_per_read(Some(stall_timeout))
        .timeout_per_write(Some(stall_timeout))
        .timeout_recv_response(Some(stall_timeout))
        .build()
}
