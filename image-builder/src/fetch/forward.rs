//! Plain HTTP through an `http:` proxy, in absolute form (RFC 9112, 3.2.2): the
//! connection is made to the proxy, and `GET /path` becomes
//! `GET http://host/path`.
//!
//! The HTTP crate knows tunnels only (`CONNECT`), which most proxies forbid to
//! other ports than 443: Debian's mirrors would be out of reach.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport,
};
use ureq::{Error, Proxy};

/// The way through a proxy.
#[derive(Debug, Clone)]
pub(super) struct Forward(pub(super) Proxy);

impl Forward {
    /// The value of `Proxy-Authorization:` for this target, if there is to be
    /// one: hosts that are reached directly must not see it.
    pub(super) fn authorization(&self, target: &Uri) -> Option<String> {
        let user = self.0.username().filter(|_| !self.0.is_no_proxy(target))?;
        let login = format!("{user}:{}", self.0.password().unwrap_or_default());
        Some(format!("Basic {}", BASE64_STANDARD.encode(login)))
    }
}

/// Gives the proxy's address for every host.
impl Resolver for Forward {
    fn resolve(
        &self,
        target: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let uri = match self.0.is_no_proxy(target) {
            true => target,
            false => self.0.uri(),
        };
        DefaultResolver::default().resolve(uri, config, timeout)
    }
}

/// Comes behind the connector that made the TCP connection.
impl<In: Transport> Connector<In> for Forward {
    type Out = Either<In, Forwarded<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| match details.uri.authority() {
            Some(host) if !self.0.is_no_proxy(details.uri) => Either::B(Forwarded {
                inner,
                origin: format!("http://{host}"),
            }),
            _ => Either::A(inner),
        }))
    }
}

/// A connection to the proxy.
#[derive(Debug)]
pub(super) struct Forwarded<T> {
    inner: T,
    /// What stands before the path.
    origin: String,
}

impl<T: Transport> Transport for Forwarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        const METHOD: &[u8] = b"GET ";
        let buffer = self.inner.buffers().output();
        // The first piece of a request; no header's name has a space in it.
        if !buffer[..amount].starts_with(b"GET /") {
            return self.inner.transmit_output(amount, timeout);
        }
        let (start, len) = (METHOD.len(), self.origin.len());
        if amount + len > buffer.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        buffer.copy_within(start..amount, start + len);
        buffer[start..start + len].copy_from_slice(self.origin.as_bytes());
        self.inner.transmit_output(amount + len, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
