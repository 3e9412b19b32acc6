//! The same question to a server whose certificate is judged by another clock than
//! this machine's.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::answer::{self, Answer};
use super::{Get, LONGEST_ANSWER, NoAnswer, PATIENCE, of_io, of_tls};

/// Asks in HTTP/1.0 (RFC 1945): the answer ends where the connection does, and no
/// server may cut its body into chunks.
pub(super) fn get(
    request: &Get<'_>,
    wire: TcpStream,
    certificates: &[Vec<u8>],
    time: u64,
) -> Result<Answer, NoAnswer> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = CertificateDer::from_slice(certificate).into_owned();
        roots.add(certificate).map_err(|error| of_tls(&error))?;
    }
    let then = Then(UnixTime::since_unix_epoch(Duration::from_secs(time)));
    let config = ClientConfig::builder_with_details(default_provider().into(), Arc::new(then))
        .with_safe_default_protocol_versions()
        .map_err(|error| of_tls(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::V4(*request.server.ip()));
    let connection = ClientConnection::new(Arc::new(config), name);
    let wire = Hurried {
        wire,
        deadline: Instant::now() + PATIENCE,
    };
    let mut stream = StreamOwned::new(connection.map_err(|error| of_tls(&error))?, wire);
    let answer = ask(request, &mut stream).map_err(|error| of_io(&error))?;
    answer::read(&answer).ok_or_else(|| NoAnswer::Broken("no answer of HTTP".into()))
}

fn ask(request: &Get<'_>, stream: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
    let mut question = format!("GET {} HTTP/1.0\r\n", request.path);
    // Writing to a string does not fail.
    let _ = write!(question, "Host: {}\r\n", request.server);
    if let Some(value) = request.authorization {
        let _ = write!(question, "Authorization: {value}\r\n");
    }
    question += "\r\n";
    stream.write_all(question.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

/// A clock that stands.
#[derive(Debug)]
struct Then(UnixTime);

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// A connection that is over by then, however little at a time the other side says.
struct Hurried {
    wire: TcpStream,
    deadline: Instant,
}

impl Hurried {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // 0 would mean for ever.
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

impl Read for Hurried {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wire.set_read_timeout(Some(self.left()?))?;
        self.wire.read(into)
    }
}

impl Write for Hurried {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.wire.set_write_timeout(Some(self.left()?))?;
        self.wire.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
