//! Questions to a server.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Token;
use crate::tls::{self, Trust};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server whose CA has the hash of the token.
pub(crate) struct Client {
    server: SocketAddrV4,
    trust: Trust,
    /// The header that lets this node in.
    authorization: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        ensure!(self.status == 200, "{}: {}", self.status, self.text());
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Client {
    /// Finds out whether it is one. `user` is `server` or `node`.
    pub(crate) fn of(server: SocketAddrV4, token: &Token, user: &str) -> Result<Self> {
        let authorization = token.shown_by(user);
        let bundle = ask(server, &Trust::Anybody, "GET", "/cacerts", "", b"")?;
        let trusted: Vec<CertificateDer<'static>> = tls::pinned(&bundle.body, &token.ca_hash);
        if trusted.is_empty() {
            bail!("token CA hash does not match the Cluster CA certificate hash");
        }
        let client = Self {
            server,
            trust: Trust::Only(trusted),
            authorization,
        };
        let answer = client.get("/v1-k3s/readyz")?;
        match answer.status {
            200 => Ok(client),
            401 => bail!("https://{server}/v1-k3s/readyz: 401 Unauthorized"),
            status => bail!("https://{server}/v1-k3s/readyz: {status}"),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        let Self { server, trust, .. } = self;
        ask(*server, trust, "GET", path, &self.authorization, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        let body = serde_json::to_vec(body)?;
        let Self { server, trust, .. } = self;
        ask(*server, trust, "POST", path, &self.authorization, &body)
    }
}

/// In HTTP/1.0 (RFC 1945): the answer ends where the connection does.
fn ask(
    server: SocketAddrV4,
    trust: &Trust,
    method: &str,
    path: &str,
    authorization: &str,
    body: &[u8],
) -> Result<Answer> {
    let what = || format!("https://{server}{path}");
    let wire = TcpStream::connect_timeout(&server.into(), PATIENCE).with_context(what)?;
    wire.set_read_timeout(Some(PATIENCE))?;
    wire.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::from(IpAddr::V4(*server.ip()));
    let connection = ClientConnection::new(tls::of_client(trust)?, name)?;
    let mut stream = StreamOwned::new(connection, wire);
    let authorization = match authorization {
        "" => String::new(),
        header => format!("Authorization: {header}\r\n"),
    };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\n{authorization}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).with_context(what)?;
    stream.write_all(body).with_context(what)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(what)?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(&answer).with_context(what)? {
        httparse::Status::Complete(len) => Ok(Answer {
            status: head.code.unwrap_or(0),
            body: answer[len..].to_vec(),
        }),
        httparse::Status::Partial => bail!("{}: half an answer", what()),
    }
}
