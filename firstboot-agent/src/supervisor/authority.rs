//! Which certificates of a server's bundle are the cluster's, by the hash that
//! every token carries.
//!
//! K3s (`hashCA` in `pkg/clientaccess/token.go`) hashes a single certificate as the
//! bytes it is served as, and of several the DER of the root that the first one
//! leads to; where none leads there, the bytes again. Here the question is turned
//! round: whatever has the hash is trusted, and nothing beside it. A bundle that
//! holds the true root, which is public, and a stranger's as well gains nothing,
//! and no chain has to be followed before anybody is trusted.

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The certificates to trust, as DER; none where the bundle is of another CA, or
/// is no bundle.
pub(crate) fn pinned(bundle: &[u8], hash: &str) -> Option<Vec<Vec<u8>>> {
    let certificates = CertificateDer::pem_slice_iter(bundle);
    let certificates = certificates.collect::<Result<Vec<_>, _>>().ok()?;
    let whole = sha256(bundle) == hash;
    let trusted: Vec<_> = certificates
        .iter()
        .filter(|certificate| whole || sha256(certificate) == hash)
        .map(|certificate| certificate.to_vec())
        .collect();
    (!trusted.is_empty()).then_some(trusted)
}

/// In lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};

    use super::*;

    fn pem(der: &[u8]) -> String {
        let body = Base64::encode_string(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn a_single_certificate_is_known_by_the_bytes_it_is_served_as() {
        let bundle = pem(b"the only one");
        let trusted = pinned(bundle.as_bytes(), &sha256(bundle.as_bytes()));
        assert_eq!(trusted, Some(vec![b"the only one".to_vec()]));
    }

    #[test]
    fn of_several_the_root_alone_is_trusted_whoever_stands_beside_it() {
        let bundle = format!("{}{}{}", pem(b"stranger"), pem(b"between"), pem(b"root"));
        let trusted = pinned(bundle.as_bytes(), &sha256(b"root"));
        assert_eq!(trusted, Some(vec![b"root".to_vec()]));
    }

    #[test]
    fn what_is_of_another_ca_or_no_bundle_is_not_trusted() {
        let hash = sha256(b"root");
        for bundle in [
            pem(b"another"),
            String::new(),
            "404 page not found".into(),
            pem(b"root").replace("END", "ENDE"),
            // Nothing in it, and its hash is right.
            "no certificate".into(),
        ] {
            assert_eq!(pinned(bundle.as_bytes(), &hash), None, "{bundle}");
        }
        assert_eq!(pinned(b"", &sha256(b"")), None);
    }

    #[test]
    fn the_hash_is_sha256_in_hex() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
