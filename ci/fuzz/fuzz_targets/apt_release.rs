//! The signed table of contents of a repository.

#![no_main]

use fuzz::debian::{SOURCE, Texts, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let _ = run(&Texts {
        list: SOURCE,
        release: Some(&text),
        ..Texts::default()
    });
});
