//! Files of checksums: digests are digests, and what is alone is found alone.

#![no_main]

use imgbuild::signature::sums::{Sums, single};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let is_hex = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(is_hex);
    let name = "image.img.xz";
    let alone = single(data, name);
    assert!(alone.as_deref().is_ok_and(is_digest) || alone.is_err());
    if let Ok(sums) = Sums::parse(data)
        && let Ok(digest) = sums.find(name)
    {
        assert_eq!(alone.as_deref(), Ok(digest));
    }
});
