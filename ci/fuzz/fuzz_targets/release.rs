//! What comes with a release: a signature that is taken is a good one of ours, and
//! documents that are read are written the same.

#![no_main]

use std::sync::OnceLock;

use imgbuild::overlay::Carried;
use imgbuild::release::manifest::Manifest;
use imgbuild::release::sign::{Comment, PublicKey, verify};
use libfuzzer_sys::fuzz_target;

/// The key of the seeds, whose secret half nobody has.
const KEY: &str = include_str!("../found/release.pub");

/// What the seeds' signature is of.
const CONTENT: &[u8] = b"0000  a\n";

fuzz_target!(|data: &[u8]| {
    static TRUSTED: OnceLock<[PublicKey; 1]> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let trusted = TRUSTED.get_or_init(|| [KEY.parse().expect("a public key")]);
    if let Ok((signer, comment)) = verify(CONTENT, text, trusted) {
        assert_eq!(signer, trusted[0].id());
        assert_eq!(comment.version, "1.2");
    }
    if let Ok(comment) = text.parse::<Comment>() {
        assert_eq!(comment.to_string(), text);
    }
    let _ = text.parse::<PublicKey>();
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(
            Manifest::parse(&manifest.render()).expect("its own text"),
            manifest
        );
    }
    if let Ok(carried) = Carried::parse(text) {
        assert_eq!(
            Carried::parse(&carried.render()).expect("its own text"),
            carried
        );
    }
});
