//! Certificates: the server's own, made from the cluster's CA, and the trust of those
//! who know the CA by its hash alone.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, ServerName, UnixTime,
};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

/// Where the CAs are, put there before the first start or taken from another server.
pub(crate) const DIR: &str = "/var/lib/rancher/k3s/server/tls";

/// What `/cacerts` gives.
pub(crate) fn bundle() -> Result<String> {
    let path = Path::new(DIR).join("server-ca.crt");
    fs::read_to_string(&path).with_context(|| format!("there is no CA: {}", path.display()))
}

/// A server's, with a certificate of its own that the CA signed and the chain above it
/// (`factory.LoadCertsChain`).
pub(crate) fn of_server(address: Ipv4Addr) -> Result<Arc<ServerConfig>> {
    let bundle = bundle()?;
    let key =
        fs::read(Path::new(DIR).join("server-ca.key")).context("there is no key of the CA")?;
    let key = KeyPair::try_from(pkcs8(&key)?).context("the CA's key")?;
    let end = "-----END CERTIFICATE-----\n";
    let first = bundle.split_inclusive(end).next().unwrap_or_default();
    let issuer = Issuer::from_ca_cert_pem(first, key).context("the CA")?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let addresses = [address, Ipv4Addr::LOCALHOST];
    params.subject_alt_names = addresses
        .map(|at| SanType::IpAddress(IpAddr::V4(at)))
        .into();
    let server = params.signed_by(&key, &issuer)?;
    let mut chain = vec![server.der().clone()];
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        chain.push(certificate.context("the CA's bundle")?);
    }
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key.into())?;
    Ok(Arc::new(config))
}

/// A key on P-256 as rcgen reads it (RFC 5958), from the form that K3s reads (RFC 5915).
fn pkcs8(pem: &[u8]) -> Result<Vec<u8>> {
    // AlgorithmIdentifier: id-ecPublicKey, prime256v1 (RFC 5480, 2.1.1).
    const ALGORITHM: [u8; 21] = [
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let key = PrivateSec1KeyDer::from_pem_slice(pem).context("the CA's key is of another form")?;
    let key = key.secret_sec1_der();
    let len = |bytes: usize| u8::try_from(bytes).context("a key longer than on P-256");
    let mut inner = vec![0x02, 0x01, 0x00];
    inner.extend(ALGORITHM);
    inner.extend([0x04, len(key.len())?]);
    inner.extend(key);
    let mut whole = vec![0x30, 0x81, len(inner.len())?];
    whole.extend(inner);
    Ok(whole)
}

/// Whom a client believes.
pub(crate) enum Trust {
    /// Anybody: for what is public, and checked by its hash.
    Anybody,
    /// Who is certified by one of these.
    Only(Vec<CertificateDer<'static>>),
}

/// The certificates of a bundle that have the hash (`hashCA` in
/// `pkg/clientaccess/token.go`); none where it is another cluster's.
pub(crate) fn pinned(bundle: &[u8], hash: &str) -> Vec<CertificateDer<'static>> {
    let hex = |bytes: &[u8]| -> String {
        let digest = digest(&SHA256, bytes);
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let whole = hex(bundle) == hash;
    CertificateDer::pem_slice_iter(bundle)
        .filter_map(Result::ok)
        .filter(|certificate| whole || hex(certificate) == hash)
        .collect()
}

/// A client's.
pub(crate) fn of_client(trust: &Trust) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = match trust {
        Trust::Anybody => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Whoever(provider))),
        Trust::Only(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate.clone())?;
            }
            config.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Believes anybody, as K3s does where it asks for `/cacerts`.
#[derive(Debug)]
struct Whoever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
