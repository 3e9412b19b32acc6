//! The texts of a base that an overlay is planned from. The input is a place,
//! `root:/etc/passwd`, and on the lines below it what a hostile base has there.

#![no_main]

use imgbuild::overlay::{Part, is_normal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: fuzz::overlay::expect_good(), |data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Some((place, content)) = text.split_once('\n') else {
        return;
    };
    let (part, path) = match place.split_once(':') {
        Some(("boot", path)) => (Part::Boot, path),
        Some(("root", path)) => (Part::Root, path),
        _ => return,
    };
    if is_normal(path) {
        fuzz::overlay::render_on(part, path, content);
    }
});
