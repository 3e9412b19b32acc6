//! report.json: what is read can be written, and is read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_config::Report;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(document) = Report::parse(&text) {
        assert_eq!(
            Report::parse(&document.render()).expect("its own text"),
            document
        );
    }
});
