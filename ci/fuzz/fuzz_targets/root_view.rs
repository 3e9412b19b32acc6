//! Reading a damaged ext4. The first byte chooses whether it has checksums,
//! behind which little damage is seen; the rest is the damage.

#![no_main]

use std::sync::LazyLock;

use fuzz::damage::Good;
use imgbuild::io::ReadAt as _;
use imgbuild::rootfs::{self, RootView, Superblock};
use libfuzzer_sys::fuzz_target;

static GOOD: LazyLock<[Good; 2]> =
    LazyLock::new(|| ["plain.ext4", "checksums.ext4"].map(Good::load));

fuzz_target!(|data: &[u8]| {
    let Some((choice, damage)) = data.split_first() else {
        return;
    };
    let image = GOOD[usize::from(*choice == u8::MAX)].damaged(damage);
    // As `source` does it: what its superblock gives away is not looked into.
    let usable =
        Superblock::read(&*image).is_ok_and(|superblock| superblock.check(image.len()).is_ok());
    if usable {
        let _ = rootfs::used(&image);
    }
    if usable && let Ok(view) = RootView::open(image) {
        fuzz::walk::root(&view);
    }
});
