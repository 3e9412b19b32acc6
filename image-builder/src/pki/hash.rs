//! What a token says of the cluster's CA.

use std::fmt;

use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

/// A CA's hash as tokens carry it: 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaHash(String);

/// Why a bundle has no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// There is none in it.
    #[error("there is no certificate in the CA bundle")]
    Empty,
    /// One of them cannot be read.
    #[error("a certificate of the CA bundle cannot be read")]
    Damaged,
}

/// Longest way up to a root that is followed.
const DEPTH: usize = 8;

impl CaHash {
    /// The hash of what K3s serves at `/cacerts`, by the rule of `hashCA` in
    /// `pkg/clientaccess/token.go`: of a single certificate the bytes of the file;
    /// of several the DER of the root that the first one leads to. Where none
    /// leads there, K3s takes the bytes of the file again.
    ///
    /// Dates are not looked at: K3s does, so a node whose clock is before the
    /// certificates gets another hash, and refuses to join.
    ///
    /// # Errors
    /// When there is no certificate, or a damaged one.
    pub fn of_bundle(bundle: &[u8]) -> Result<Self, HashError> {
        let pems = Pem::iter_from_buffer(bundle)
            .filter(|pem| pem.as_ref().map_or(true, |pem| pem.label == "CERTIFICATE"))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| HashError::Damaged)?;
        let certificates = pems
            .iter()
            .map(|pem| pem.parse_x509())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| HashError::Damaged)?;
        let root = match &certificates[..] {
            [] => return Err(HashError::Empty),
            [_] => None,
            [first, others @ ..] => root_of(first, others),
        };
        let digest = match root {
            Some(root) => Sha256::digest(root.as_raw()),
            None => Sha256::digest(bundle),
        };
        Ok(Self(base16ct::lower::encode_string(&digest)))
    }

    /// A hash as it stands in a token, `None` if that is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for CaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn root_of<'a>(
    first: &'a X509Certificate<'a>,
    others: &'a [X509Certificate<'a>],
) -> Option<&'a X509Certificate<'a>> {
    let mut below = first;
    for _ in 0..DEPTH {
        below = others.iter().find(|each| signed(below, each))?;
        if is_root(below) {
            return Some(below);
        }
    }
    None
}

fn signed(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    below.issuer() == above.subject()
        && above.is_ca()
        && below.verify_signature(Some(above.public_key())).is_ok()
}

/// What K3s takes for a root: no identifier of what signed it, or its own.
fn is_root(certificate: &X509Certificate<'_>) -> bool {
    use x509_parser::extensions::ParsedExtension as E;
    let mut own = None;
    let mut signer = None;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            E::SubjectKeyIdentifier(id) => own = Some(id.0),
            E::AuthorityKeyIdentifier(id) => signer = id.key_identifier.as_ref().map(|id| id.0),
            _ => {}
        }
    }
    signer.is_none_or(|signer| signer.is_empty() || own == Some(signer))
}
