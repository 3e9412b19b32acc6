//! Version 6, which Debian's GnuPG does not make: the samples of RFC 9580,
//! appendix A.3 and A.6.

use imgbuild::signature::openpgp::{Keyring, SignatureError, cleartext};

use super::gpg::at;

const CERTIFICATE: &[u8] = include_bytes!("rfc9580-a3.asc");
const DOCUMENT: &str = include_str!("rfc9580-a6.asc");
const FINGERPRINT: &str = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9";

/// When the document was signed, as its signature says.
const SIGNED: i64 = 0x6398_a363;

#[test]
fn the_samples_of_the_standard() {
    let ring = Keyring::parse(CERTIFICATE).expect("keyring");
    let ring = ring.pinned(&FINGERPRINT.parse().expect("fingerprint"));
    let ring = ring.expect("pinned");
    let found = cleartext(&ring, DOCUMENT.as_bytes(), at(SIGNED)).expect("good");
    assert_eq!(found.signer.primary.to_string(), FINGERPRINT);
    assert_eq!(found.signer.made, at(SIGNED));
    let text = "What we need from the grocery store:\n\n- tofu\n- vegetables\n- noodles\n";
    assert_eq!(found.text, text);
    let changed = DOCUMENT.replace("tofu", "meat");
    let error = cleartext(&ring, changed.as_bytes(), at(SIGNED)).expect_err("changed");
    assert!(matches!(error, SignatureError::Tampered { .. }), "{error}");
}
