//! Documents with their signature in them: nobody can make the ring's keys sign
//! another text than the one they did.

#![no_main]

use fuzz::signed::{AT, RING, TEXT};
use imgbuild::signature::openpgp::cleartext;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match cleartext(&RING, data, *AT) {
        Ok(document) => {
            assert!(
                RING.fingerprints()
                    .any(|one| one == document.signer.primary)
            );
            assert_eq!(document.text.as_bytes(), TEXT.trim_ascii_end());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
