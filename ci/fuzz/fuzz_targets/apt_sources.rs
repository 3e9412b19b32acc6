//! Where an image's apt takes packages from. The first byte of the input says
//! in which of the two forms the rest is.

#![no_main]

use fuzz::debian::{Texts, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let texts = match text.strip_prefix('1') {
        Some(list) => Texts {
            list,
            ..Texts::default()
        },
        None => Texts {
            sources: text.strip_prefix('2').unwrap_or(&text),
            ..Texts::default()
        },
    };
    if let Err(error) = run(&texts) {
        assert!(!format!("{error:#}").is_empty());
    }
});
