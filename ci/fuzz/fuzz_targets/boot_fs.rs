//! Reading a damaged FAT32 and writing into it.

#![no_main]

use std::sync::{Arc, LazyLock};

use fuzz::damage::Good;
use imgbuild::bootfs::{self, BootFs, set_identity};
use imgbuild::overlay::{Overlay, Part};
use libfuzzer_sys::fuzz_target;

static GOOD: LazyLock<Good> = LazyLock::new(|| Good::load("boot.fat"));
static CHANGES: LazyLock<Overlay> = LazyLock::new(fuzz::walk::changes);

fuzz_target!(|data: &[u8]| {
    let image = GOOD.damaged(data);
    // An image that is written to a disk need not be good.
    let _ = bootfs::used(&*image);
    // As a base is: looked at from all sides first.
    if bootfs::check(&*image).is_err() {
        return;
    }
    let Ok(fs) = BootFs::open(Arc::clone(&image), 1_760_000_000) else {
        return;
    };
    fuzz::walk::boot(&fs);
    for (path, change) in CHANGES.changes(Part::Boot) {
        let _ = fs.apply(path, change);
    }
    if fs.finish().is_ok() {
        let _ = set_identity(&image, 1, 8 << 20);
    }
});
