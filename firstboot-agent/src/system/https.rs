//! HTTPS, once: one question, one answer, nothing kept.

mod answer;
mod then;

use std::fmt;
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::{CertificateError, Error as Tls};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

pub(crate) use self::answer::Answer;

/// K3s' own patience with its servers (`defaultClientTimeout`).
const PATIENCE: Duration = Duration::from_secs(10);

/// A machine in the same network answers within milliseconds.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// As much of an answer as is read; bundles of CAs are a few KiB.
const LONGEST_ANSWER: u64 = 64 << 10;

/// A question to a server, by its address.
pub(crate) struct Get<'a> {
    /// Who is asked.
    pub(crate) server: SocketAddrV4,
    /// `/ping`.
    pub(crate) path: &'a str,
    /// Who may answer.
    pub(crate) trust: Trust<'a>,
    /// The header of that name: a secret.
    pub(crate) authorization: Option<&'a str>,
}

/// Who may answer.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Whoever is there: for what is public, and checked by other means.
    Anybody,
    /// Who can prove to be certified by one of these, as DER, for this address.
    Only(&'a [Vec<u8>]),
    /// The same, by the certificate's dates at that time, in seconds since 1970, in
    /// place of now: for a machine that asks what time it is.
    OnlyThen(&'a [Vec<u8>], u64),
}

impl fmt::Display for Get<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.server, self.path)
    }
}

/// Why nothing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nobody listens there, or nobody can be reached.
    Silent,
    /// Not certified by whom we trust.
    Stranger,
    /// Certified, but not at the time of this machine's clock.
    Clock,
    /// Somebody listens; what went wrong then.
    Broken(String),
}

/// Asks.
///
/// # Errors
/// When there is no answer; any status is one.
pub(super) fn get(request: &Get<'_>) -> Result<Answer, NoAnswer> {
    // By itself: to the crate a server that accepts and then is busy is the same as
    // none at all, and to a founder it is not.
    let Ok(wire) = TcpStream::connect_timeout(&request.server.into(), CONNECT_PATIENCE) else {
        return Err(NoAnswer::Silent);
    };
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(default_provider()));
    let tls = match request.trust {
        Trust::Anybody => tls.disable_verification(true),
        Trust::Only(certificates) => {
            let certificates = certificates
                .iter()
                .map(|der| Certificate::from_der(der).to_owned());
            tls.root_certs(RootCerts::Specific(Arc::new(certificates.collect())))
        }
        // The crate knows no time but this machine's.
        Trust::OnlyThen(certificates, time) => {
            return then::get(request, wire, certificates, time);
        }
    };
    // It showed that somebody listens. A server that serves one at a time would wait
    // for what it says.
    drop(wire);
    let agent: Agent = Agent::config_builder()
        .tls_config(tls.build())
        // It is a neighbour: no proxy stands between.
        .proxy(None)
        .user_agent(concat!("firstboot-agent/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    let mut question = agent.get(request.to_string());
    if let Some(value) = request.authorization {
        question = question.header("authorization", value);
    }
    let mut answer = question.call().map_err(no_answer)?;
    let status = answer.status().as_u16();
    let date = answer.headers().get("date");
    let date = date.and_then(|date| answer::seconds(date.as_bytes()));
    let body = answer.body_mut().with_config().limit(LONGEST_ANSWER);
    let body = body.read_to_vec().map_err(no_answer)?;
    Ok(Answer { status, date, body })
}

fn no_answer(error: Error) -> NoAnswer {
    match error {
        Error::Rustls(error) => of_tls(&error),
        Error::Io(error) => of_io(&error),
        other => NoAnswer::Broken(other.to_string()),
    }
}

fn of_io(error: &io::Error) -> NoAnswer {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => of_tls(inner),
        None => NoAnswer::Broken(error.to_string()),
    }
}

fn of_tls(error: &Tls) -> NoAnswer {
    use CertificateError as Why;
    match error {
        Tls::InvalidCertificate(why) => match why {
            Why::NotValidYet
            | Why::NotValidYetContext { .. }
            | Why::Expired
            | Why::ExpiredContext { .. } => NoAnswer::Clock,
            Why::UnknownIssuer | Why::BadSignature => NoAnswer::Stranger,
            _ => NoAnswer::Broken(error.to_string()),
        },
        _ => NoAnswer::Broken(error.to_string()),
    }
}
