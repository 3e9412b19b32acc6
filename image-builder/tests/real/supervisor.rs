//! The supervisor of a cluster's first server, outside of any machine: with the CA
//! that its image carries it serves what a node asks before it joins.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use imgbuild::cmd::Cmd;
use imgbuild::io::Region;
use imgbuild::pki::TLS_DIR;
use imgbuild::source::find_partitions;
use imgbuild::view::ImageView;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A text file of an image's root.
pub(crate) fn read(image: &Path, path: &str) -> String {
    let file = std::fs::File::open(image).expect("image");
    let region = Region::whole(Arc::new(file)).expect("region");
    let parts = find_partitions(&region).expect("partitions");
    let view = ImageView::open(parts.boot, parts.root).expect("view");
    let bytes = view.root().read(path).expect("reads").expect(path);
    String::from_utf8(bytes).expect("text")
}

/// A supervisor that runs as long as the test.
pub(crate) struct Supervisor {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Supervisor {
    /// That of the server whose image this is. It is not ready for the first who asks.
    pub(crate) fn of(founder: &Path, address: Ipv4Addr) -> Self {
        let [bundle, key] = ["server-ca.crt", "server-ca.key"]
            .map(|name| read(founder, &format!("{TLS_DIR}/{name}")));
        let config = Arc::new(config(&bundle, &key, address));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&seen);
        thread::spawn(move || {
            for wire in listener.incoming() {
                // A connection that is only tried ends here.
                let _ = wire.and_then(|wire| serve(wire, &config, &bundle, &lines));
            }
        });
        Self { port, seen }
    }

    /// Every question, with the header that came with it.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

/// As K3s does it: a certificate for the server's address, with the chain above it.
fn config(bundle: &str, key: &str, address: Ipv4Addr) -> ServerConfig {
    let key = KeyPair::from_pem(&pkcs8(key)).expect("the CA's key");
    let first = bundle.split_inclusive("-----END CERTIFICATE-----\n").next();
    let issuer = Issuer::from_ca_cert_pem(first.expect("a certificate"), key).expect("the CA");
    let key = KeyPair::generate().expect("key");
    let server = CertificateParams::new(vec![address.to_string()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("certificate");
    let above = CertificateDer::pem_slice_iter(bundle.as_bytes());
    let above = above.map(|certificate| certificate.expect("a certificate"));
    let chain = [server.der().clone()].into_iter().chain(above).collect();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .expect("configuration")
}

/// The key in the form that rcgen reads; K3s reads the one with the curve's name.
fn pkcs8(sec1: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(sec1.as_bytes()).expect("key");
    let openssl = Cmd::new("openssl", "run ci/setup");
    let openssl = openssl.arg("pkcs8").arg("-topk8").arg("-nocrypt");
    let output = openssl.arg("-in").arg(file.path()).run(&[0]);
    String::from_utf8(output.expect("openssl").stdout).expect("PEM")
}

fn serve(
    wire: TcpStream,
    config: &Arc<ServerConfig>,
    bundle: &str,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    wire.set_read_timeout(Some(Duration::from_secs(20)))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, wire));
    let (mut path, mut shown, mut line) = (String::new(), String::new(), String::new());
    while stream.read_line(&mut line)? > 2 {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                shown = value.trim_end().into();
            }
            None if path.is_empty() => path = line.split(' ').nth(1).unwrap_or_default().into(),
            _ => {}
        }
        line.clear();
    }
    let first = {
        let mut seen = seen.lock().expect("no panic");
        let first = !seen.iter().any(|line| line.starts_with("/v1-k3s/readyz"));
        seen.push(format!("{path} {shown}").trim_end().into());
        first
    };
    let (status, body) = match path.as_str() {
        "/ping" => (200, "pong"),
        "/cacerts" => (200, bundle),
        "/v1-k3s/readyz" if first => (503, ""),
        "/v1-k3s/readyz" => (200, ""),
        _ => (404, ""),
    };
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
