//! Writing into a damaged ext4, which e2fsck keeps from happening: not to say
//! no is allowed, to panic or to go on for ever is not. Input as for root_view.

#![no_main]

use std::sync::{Arc, LazyLock};

use fuzz::damage::Good;
use imgbuild::io::ReadAt as _;
use imgbuild::overlay::{Overlay, Part};
use imgbuild::rootfs::{RootFs, Superblock};
use libfuzzer_sys::fuzz_target;

static GOOD: LazyLock<[Good; 2]> =
    LazyLock::new(|| ["plain.ext4", "checksums.ext4"].map(Good::load));
static CHANGES: LazyLock<Overlay> = LazyLock::new(fuzz::walk::changes);

fuzz_target!(|data: &[u8]| {
    let Some((choice, damage)) = data.split_first() else {
        return;
    };
    let image = GOOD[usize::from(*choice == u8::MAX)].damaged(damage);
    let usable =
        Superblock::read(&*image).is_ok_and(|superblock| superblock.check(image.len()).is_ok());
    if usable && let Ok(fs) = RootFs::open(Arc::clone(&image), 1_760_000_000) {
        for (path, change) in CHANGES.changes(Part::Root) {
            let _ = fs.apply(path, change);
        }
        let _ = fs.finish();
    }
});
