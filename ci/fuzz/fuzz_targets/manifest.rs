//! imgbuild.json: what is read can be written, and is read again as the same.

#![no_main]

use imgbuild::overlay::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(document) = Manifest::parse(&text) {
        assert_eq!(
            Manifest::parse(&document.render()).expect("its own text"),
            document
        );
    }
});
