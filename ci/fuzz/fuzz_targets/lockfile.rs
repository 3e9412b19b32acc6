//! imgbuild.lock: what is read can be written, is read again as the same, and names
//! no file of the cache outside it.

#![no_main]

use std::path::{Component, Path};

use imgbuild::lock::Lock;
use imgbuild::source::Cache;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(lock) = Lock::parse(&text) else {
        return;
    };
    assert_eq!(Lock::parse(&lock.render()).as_ref(), Ok(&lock));
    for (_, path) in lock.wanted(&Cache::new("/cache")) {
        let rest = path.strip_prefix("/cache/download").expect("inside");
        let mut parts = Path::new(rest).components();
        assert!(
            matches!(parts.next(), Some(Component::Normal(_))),
            "{path:?}"
        );
        assert_eq!(parts.next(), None, "{path:?}");
    }
});
