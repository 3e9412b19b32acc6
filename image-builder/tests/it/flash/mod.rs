//! The writing of a disk, on disks that fail in every way at every call: what
//! is left is the old disk, one that does not boot, or the new one.

mod device;
mod faults;
mod property;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use imgbuild::flash::{Content, Failed, HEAD, Options, Outcome, RECORD_OFFSET, Target, flash};
use imgbuild::io::Blob;
use imgbuild::io::cow::Piece;
use imgbuild::progress::Silent;

use crate::fixture::noise;
use device::Device;

const MIB: u64 = 1 << 20;

fn piece(offset: u64, bytes: Vec<u8>) -> Piece {
    let bytes = Blob::from(Arc::<[u8]>::from(bytes));
    Piece { offset, bytes }
}

/// A table, a file system with data, zeros and free space, a backup table, and
/// something that is kept: on 20 MiB.
fn content() -> Content {
    let pieces = vec![
        piece(0, noise(1, 40 << 10)),
        piece(8 * MIB, noise(2, 5 << 20)),
        piece(20 * MIB - 16_896, noise(3, 16_896)),
    ];
    let used = [
        0..HEAD,
        8 * MIB..8 * MIB + 300_000,
        9 * MIB..12 * MIB,
        // In use, and zero: too much to be sent.
        13 * MIB..15 * MIB,
        20 * MIB - 16_896..20 * MIB,
    ];
    let kept = 17 * MIB..18 * MIB;
    Content::new(
        20 * MIB,
        pieces,
        used.into_iter().collect(),
        std::iter::once(kept).collect(),
        Some(RECORD_OFFSET..8 * MIB),
    )
}

/// What was on the disk before: bytes of which none is a good guess.
fn old() -> Vec<u8> {
    static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| noise(9, 20 << 20));
    OLD.clone()
}

fn run(content: &Arc<Content>, device: &Arc<Device>, options: Options) -> Result<Outcome, Failed> {
    let target: Arc<dyn Target> = Arc::clone(device) as Arc<dyn Target>;
    flash(content, &target, options, &mut Silent)
}

/// Whether everything that is used reads as it should, and what is kept as it was.
fn is_right(content: &Content, disk: &[u8], old: &[u8]) -> bool {
    let part = |range: &Range<u64>| range.start as usize..range.end as usize;
    let right = content.used().iter().all(|range| {
        let mut expected = vec![0; (range.end - range.start) as usize];
        content.fill(range.start, &mut expected).expect("content");
        disk[part(range)] == expected[..]
    });
    right
        && content
            .kept()
            .iter()
            .all(|range| disk[part(range)] == old[part(range)])
}

/// No partition table of any kind: neither an MBR's signature nor a GPT header
/// (`EFI PART` in sector 1).
fn does_not_boot(disk: &[u8]) -> bool {
    disk[..4096].iter().all(|byte| *byte == 0)
}
