//! What decides whether a disk may be written to: the kernel's lists, udev's
//! database, and the bytes of a disk. The first byte of the input says which.

#![no_main]

use std::path::Path;

use imgbuild::device::{Contents, look, mounts, udev::Properties};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    match which % 4 {
        0 => {
            // No line is lost: each is a mount, or all of them an error.
            let lines = data.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty()).count();
            if let Ok(mounts) = mounts::mountinfo(data) {
                assert_eq!(mounts.len(), lines);
            }
        }
        1 => {
            let lines = data.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty()).count();
            if let Ok(swaps) = mounts::swaps(data) {
                assert_eq!(swaps.len(), lines.saturating_sub(1));
                assert!(swaps.iter().all(|path| path != Path::new("")));
            }
        }
        2 => {
            let properties = Properties::parse(data);
            for key in ["ID_MODEL", "ID_VENDOR", "ID_SERIAL_SHORT", "ID_FS_LABEL"] {
                if let Some(text) = properties.text(key) {
                    assert!(!text.is_empty() && text.trim() == text, "{text:?}");
                }
            }
        }
        _ => {
            // Larger than the input: most of what is looked for lies behind it.
            let disk = fuzz::region(data, 1 << 20);
            let contents = look(&disk).expect("a file that can be read");
            assert!(!matches!(contents, Contents::Unreadable(_)));
            assert_eq!(contents.to_string().lines().count(), 1);
        }
    }
});
