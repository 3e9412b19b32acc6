//! A file of the GitOps tree: whatever it holds, reading it ends and says the same twice;
//! what is read is the same when it is written as JSON and read again.

#![no_main]

use imgbuild::gitops::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some(documents) = fuzzing::documents(&text) {
        for document in documents {
            let json = document.to_string();
            assert_eq!(fuzzing::documents(&json), Some(vec![document]), "{json}");
        }
    }
    assert_eq!(fuzzing::manifest(&text), fuzzing::manifest(&text));
    let _ = fuzzing::template(&text);
    fuzzing::chart(&text);
});
