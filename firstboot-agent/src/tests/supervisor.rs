//! A double of K3s' supervisor: TLS as K3s serves it, the four calls a node makes
//! before it joins, and whatever state a server can be in.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::supervisor::authority::sha256;

/// What the double is like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Certificates from the one that signs the server's up to the root: 1 is K3s'
    /// own self-signed CA, 3 is what the builder mints.
    pub(crate) depth: usize,
    /// Years in which the server's certificate is valid.
    pub(crate) valid: (i32, i32),
    /// The address it is for.
    pub(crate) host: &'static str,
    /// What `/cacerts` gives beside its own bundle.
    pub(crate) beside: String,
    /// In place of its own bundle.
    pub(crate) instead: Option<String>,
    /// `/ping`.
    pub(crate) ping: (u16, &'static str),
    /// The first answers of `/v1-k3s/readyz`, before it is ready.
    pub(crate) phases: Vec<u16>,
    /// Headers that let somebody in.
    pub(crate) lets_in: Vec<String>,
    /// What time it says it is, as HTTP has it.
    pub(crate) date: Option<&'static str>,
    /// How long it takes over each answer.
    pub(crate) slowness: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            depth: 3,
            valid: (2020, 2100),
            host: "127.0.0.1",
            beside: String::new(),
            instead: None,
            ping: (200, "pong"),
            phases: Vec::new(),
            lets_in: Vec::new(),
            date: None,
            slowness: Duration::ZERO,
        }
    }
}

/// A running double, which ends with the value.
pub(crate) struct Double {
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    /// What tokens of its cluster say of the CA.
    pub(crate) ca_hash: String,
    /// The authorities, as it serves them.
    pub(crate) bundle: String,
    seen: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Double {
    pub(crate) fn start(shape: Shape) -> Self {
        let authorities = authorities(shape.depth);
        let config = Arc::new(config(&shape, &authorities));
        let own: String = authorities.iter().map(|(cert, _)| cert.pem()).collect();
        // One certificate is hashed as it is served, of several the root.
        let ca_hash = match &authorities[..] {
            [_] => sha256(own.as_bytes()),
            [.., (root, _)] => sha256(root.der()),
            [] => unreachable!("a depth of 0"),
        };
        let bundle = shape.instead.clone().unwrap_or(own) + &shape.beside;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let SocketAddr::V4(address) = listener.local_addr().expect("address") else {
            unreachable!("bound to IPv4")
        };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let site = Site {
            bundle: bundle.clone(),
            phases: Mutex::new(shape.phases.clone()),
            seen: Arc::clone(&seen),
            shape,
        };
        let ended = Arc::clone(&over);
        let accepting = thread::spawn(move || {
            for wire in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever hangs up or does not trust us is no trouble of ours.
                let _ = wire.and_then(|wire| site.serve(wire, &config));
            }
        });
        Self {
            address,
            ca_hash,
            bundle,
            seen,
            over,
            accepting: Some(accepting),
        }
    }

    /// Every request, with the header that came with it.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

struct Site {
    bundle: String,
    phases: Mutex<Vec<u16>>,
    seen: Arc<Mutex<Vec<String>>>,
    shape: Shape,
}

impl Site {
    fn serve(&self, wire: TcpStream, config: &Arc<ServerConfig>) -> io::Result<()> {
        wire.set_read_timeout(Some(Duration::from_secs(5)))?;
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = BufReader::new(StreamOwned::new(connection, wire));
        let (mut head, mut line) = (Vec::new(), String::new());
        while stream.read_line(&mut line)? > 2 {
            head.push(line.trim_end().to_owned());
            line.clear();
        }
        let path = head.first().and_then(|line| line.split(' ').nth(1));
        let path = path.unwrap_or_default().to_owned();
        let header = |line: &String| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        };
        let shown = head.iter().find_map(header).unwrap_or_default();
        let seen = format!("{path} {shown}");
        self.seen
            .lock()
            .expect("no panic")
            .push(seen.trim_end().into());
        thread::sleep(self.shape.slowness);
        let (status, body) = self.answer(&path, &shown);
        let date = self.shape.date.map(|date| format!("Date: {date}\r\n"));
        let date = date.unwrap_or_default();
        let stream = stream.get_mut();
        write!(
            stream,
            "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n{date}Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        stream.flush()?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn answer(&self, path: &str, shown: &str) -> (u16, String) {
        let (ping, pong) = self.shape.ping;
        match path {
            "/ping" => (ping, pong.to_owned()),
            "/cacerts" => (200, self.bundle.clone()),
            "/v1-k3s/readyz" => {
                let mut phases = self.phases.lock().expect("no panic");
                let status = match phases.is_empty() {
                    true if self.shape.lets_in.iter().any(|header| header == shown) => 200,
                    true => 401,
                    false => phases.remove(0),
                };
                (status, String::new())
            }
            _ => (404, "404 page not found".to_owned()),
        }
    }
}

/// From the one that signs the server's certificate up to the root.
pub(crate) fn authorities(depth: usize) -> Vec<(Certificate, Issuer<'static, KeyPair>)> {
    let mut chain: Vec<(Certificate, Issuer<'static, KeyPair>)> = Vec::new();
    for level in 0..depth {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.use_authority_key_identifier_extension = level > 0;
        let name = format!("authority {level}");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = match chain.first() {
            None => params.self_signed(&key),
            Some((_, above)) => params.signed_by(&key, above),
        };
        let certificate = certificate.expect("authority");
        chain.insert(0, (certificate, Issuer::new(params, key)));
    }
    chain
}

/// K3s serves the chain with its certificate (`factory.LoadCertsChain`).
pub(crate) fn config(
    shape: &Shape,
    authorities: &[(Certificate, Issuer<'static, KeyPair>)],
) -> ServerConfig {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(vec![shape.host.to_owned()]).expect("parameters");
    params.not_before = rcgen::date_time_ymd(shape.valid.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(shape.valid.1, 1, 1);
    let (_, signer) = &authorities[0];
    let server = params.signed_by(&key, signer).expect("certificate");
    let chain = [server.der().clone()]
        .into_iter()
        .chain(authorities.iter().map(|(cert, _)| cert.der().clone()));
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key.into())
        .expect("configuration")
}
