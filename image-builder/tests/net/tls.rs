//! Encrypted servers: whom to trust, and what may not follow them.

use std::time::Duration;

use imgbuild::fetch::{FetchError, Settings, Trouble};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::lab::{Lab, bytes, pinned, quick, unpinned};
use crate::server::{ETAG, Server};

/// A server's certificate and key, and the authority that vouches for it; PEM.
pub(crate) struct Identity {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One for `localhost`.
pub(crate) fn identity() -> Identity {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("authority");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("key");
    let server = CertificateParams::new(vec!["localhost".into()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("certificate");
    Identity {
        authority: authority.pem(),
        certificate: server.pem(),
        key: key.serialize_pem(),
    }
}

/// An authority's certificate as PEM, and a server it vouches for.
pub(crate) fn authority() -> (String, ServerConfig) {
    let Identity {
        authority,
        certificate,
        key,
    } = identity();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("key");
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("configuration");
    (authority, config)
}

/// A lab that trusts this authority.
fn trusting(pem: &str) -> Lab {
    let (settings, _file) = trusting_settings(pem);
    Lab::new(settings)
}

/// Settings that trust this authority, and the file they name.
pub(crate) fn trusting_settings(pem: &str) -> (Settings, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), pem).expect("write");
    let settings = Settings {
        ca_file: Some(file.path().into()),
        ..quick()
    };
    (settings, file)
}

#[test]
fn only_a_known_authority_is_trusted() {
    let file = bytes(300_000);
    let (pem, config) = authority();
    let body = file.clone();
    let server = Server::start_tls(config, move |number, request, wire| match number {
        0 => wire.part(request, ETAG, &body, 100_000),
        _ => wire.file(request, &body),
    });
    let wanted = pinned(server.url("/f"), &file);
    let stranger = Lab::new(quick());
    let error = stranger.fetch(&wanted).expect_err("unknown");
    assert!(matches!(error, FetchError::Trust { .. }), "{error}");
    assert!(error.to_string().contains("CA file"), "{error}");
    assert_eq!(stranger.clock.slept(), Duration::ZERO);
    assert!(stranger.names().is_empty(), "{:?}", stranger.names());
    trusting(&pem).fetch_right(&wanted, &file);
    assert_eq!(server.requests()[1].from(), Some(100_000));
    let by_number = unpinned(server.url("/f").replace("localhost", "127.0.0.1"));
    let error = trusting(&pem).fetch(&by_number).expect_err("another name");
    assert!(matches!(error, FetchError::Trust { .. }), "{error}");
}

#[test]
fn a_redirect_out_of_encryption_is_refused() {
    let plain = Server::start(|_, request, wire| wire.file(request, b"x"));
    let (pem, config) = authority();
    let there = plain.url("/there");
    let server = Server::start_tls(config, move |_, _, wire| {
        wire.status("302 Found", &[("Location", &there)])
    });
    let error = trusting(&pem)
        .fetch(&unpinned(server.url("/f")))
        .expect_err("refused");
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert!(error.to_string().contains("not encrypted"), "{error}");
    assert!(plain.requests().is_empty());
}

#[test]
fn a_server_that_does_not_speak_is_left() {
    // It accepts, and waits for a request that is never sent.
    let server = Server::start(|_, _, _| Ok(()));
    let lab = Lab::new(Settings {
        connect_timeout: Duration::from_millis(300),
        attempts: 1,
        ..quick()
    });
    let url = server.url("/f").replace("http:", "https:");
    let error = lab.fetch(&unpinned(url)).expect_err("no greeting");
    let FetchError::GaveUp { trouble, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(trouble, Trouble::Unreachable(_)), "{trouble}");
}
