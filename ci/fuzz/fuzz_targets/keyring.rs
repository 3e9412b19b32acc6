//! Keyrings: what is read holds certificates, each of which can be pinned, and
//! joining it with itself adds nothing.

#![no_main]

use imgbuild::signature::openpgp::Keyring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let ring = match Keyring::parse(data) {
        Ok(ring) => ring,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let found: Vec<_> = ring.fingerprints().collect();
    assert!(!found.is_empty());
    for fingerprint in &found {
        assert_eq!(fingerprint.to_string().parse().as_ref(), Ok(fingerprint));
        ring.clone().pinned(fingerprint).expect("one of its own");
    }
    let twice = ring.clone().merge(ring);
    assert!(twice.fingerprints().eq(found));
});
