//! What an image has and what a repository offers, parted by a line of `===`:
//! the same answer each time, each package once, no file outside the repository.

#![no_main]

use std::collections::BTreeSet;

use fuzz::debian::{SOURCE, Texts, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (status, packages) = text.split_once("\n===\n").unwrap_or(("", &text));
    let texts = Texts {
        list: SOURCE,
        status,
        packages,
        ..Texts::default()
    };
    let words = |answer: anyhow::Result<_>| answer.map_err(|error| format!("{error:#}"));
    let answer = words(run(&texts));
    assert_eq!(words(run(&texts)), answer);
    let Ok(found) = answer else {
        return;
    };
    let names: BTreeSet<&str> = found.packages.iter().map(|deb| &deb.name[..]).collect();
    assert_eq!(names.len(), found.packages.len());
    for deb in &found.packages {
        assert!(
            deb.url.starts_with("http://m.test/") && !deb.url.contains("/../"),
            "{deb:?}"
        );
        assert_eq!(deb.sha256.len(), 64);
    }
});
