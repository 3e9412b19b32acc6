//! An index of charts: what is kept of it is short, and is of the charts that were
//! asked for.

#![no_main]

use imgbuild::charts::read_index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(listing) = read_index(data, &["a", "metallb"]) else {
        return;
    };
    for (name, releases) in listing.0 {
        assert!(name == "a" || name == "metallb", "{name}");
        assert!(!releases.is_empty());
        for release in releases {
            let texts = [&release.app_version, &release.digest, &release.url];
            for text in texts.into_iter().flatten() {
                assert!(!text.is_empty() && text.len() <= 2048, "{text}");
            }
            assert_eq!(release.version, release.version.clone());
        }
    }
});
