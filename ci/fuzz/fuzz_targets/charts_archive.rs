//! A chart's archive: the input is the tar; it is packed here, for the fuzzer would
//! not find its way through checksums. What comes out stays in its folder and
//! within the limits.

#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use imgbuild::charts::{Limits, walk};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    total: 40 << 10,
    file: 8 << 10,
    entries: 30,
};

fuzz_target!(|data: &[u8]| {
    // Some inputs are archives as they are.
    let _ = walk(data, "a", &LIMITS, |_, _| Ok(()));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(data).expect("memory");
    let packed = encoder.finish().expect("memory");
    let mut seen = Vec::new();
    let result = walk(&packed[..], "a", &LIMITS, |path, bytes| {
        assert!(bytes.len() as u64 <= LIMITS.file);
        assert!(
            path.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "{path:?}"
        );
        assert!(
            !path.contains('\\') && !path.chars().any(char::is_control),
            "{path:?}"
        );
        seen.push(path.to_owned());
        Ok(())
    });
    assert!(seen.len() <= LIMITS.entries);
    if let Ok(tree) = result {
        seen.sort();
        assert_eq!(
            tree.0.keys().collect::<Vec<_>>(),
            seen.iter().collect::<Vec<_>>()
        );
    }
});
