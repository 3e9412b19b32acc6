//! Compressed files of all formats, by their first bytes.

#![no_main]

use std::os::unix::fs::FileExt as _;

use imgbuild::progress::Silent;
use imgbuild::source::unpack::{Options, unpack};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

/// A bomb in small.
const RAW_MAX: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let file = || tempfile::tempfile_in(fuzz::scratch_dir()).expect("a scratch file");
    let (packed, raw) = (file(), file());
    packed.write_all_at(data, 0).expect("room for the input");
    let options = Options {
        known: None,
        pinned: None,
        raw_max: RAW_MAX,
    };
    let Ok(unpacked) = unpack(&packed, &raw, options, &mut Silent) else {
        return;
    };
    assert_eq!(unpacked.packed_sha256, hex(data));
    assert!(unpacked.raw_len <= RAW_MAX, "{unpacked:?}");
    // Holes and all, the file is what was hashed.
    let mut bytes = vec![0; raw.metadata().expect("metadata").len() as usize];
    raw.read_exact_at(&mut bytes, 0).expect("what was written");
    assert_eq!(
        (bytes.len() as u64, hex(&bytes)),
        (unpacked.raw_len, unpacked.raw_sha256)
    );
});

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
