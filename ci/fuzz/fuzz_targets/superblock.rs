//! ext4 superblocks, with the checksum made right where there is one.

#![no_main]

use std::sync::LazyLock;

use fuzz::damage::Good;
use imgbuild::rootfs::Superblock;
use libfuzzer_sys::fuzz_target;

/// Where the checksum is, `s_checksum`.
const CHECKSUM: usize = 0x3fc;

static GOOD: LazyLock<Good> = LazyLock::new(|| Good::load("plain.ext4"));

fuzz_target!(|data: &[u8]| {
    let mut raw = data.to_vec();
    raw.resize(1024, 0);
    let sum = crc32c(&raw[..CHECKSUM]);
    raw[CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
    let Ok(superblock) = Superblock::parse(raw) else {
        return;
    };
    let _ = (
        superblock.free(),
        superblock.features(),
        superblock.label(),
        superblock.uuid(),
        superblock.written(),
        superblock.is_empty(),
    );
    let image = GOOD.damaged(&[]);
    if superblock.check(imgbuild::io::ReadAt::len(&*image)).is_ok() && superblock.uuid_is_cheap() {
        let _ = superblock.set_uuid(&image, superblock.uuid());
    }
});

/// Castagnoli's, bit by bit, for 1 KiB is little; Linux leaves out the last
/// inversion.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| {
        if sum & 1 == 1 {
            sum >> 1 ^ 0x82f6_3b78
        } else {
            sum >> 1
        }
    };
    bytes
        .iter()
        .fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
