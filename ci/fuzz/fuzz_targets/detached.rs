//! Detached signatures on a text that the ring's keys signed: whoever is said
//! to have signed is of the ring, and has signed that text only.

#![no_main]

use fuzz::signed::{AT, RING, TEXT};
use imgbuild::signature::openpgp::detached;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match detached(&RING, data, TEXT, *AT) {
        Ok(signer) => {
            assert!(RING.fingerprints().any(|one| one == signer.primary));
            assert!(signer.made <= *AT);
            detached(&RING, data, &TEXT[1..], *AT).expect_err("another text");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
