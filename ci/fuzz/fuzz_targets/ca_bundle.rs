//! CA bundles: whatever is in them, a hash is one.

#![no_main]

use imgbuild::pki::CaHash;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(hash) = CaHash::of_bundle(data) {
        assert_eq!(CaHash::parse(&hash.to_string()), Some(hash));
    }
});
