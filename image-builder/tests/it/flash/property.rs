//! Random contents over random bytes, with every option.

use std::sync::Arc;

use imgbuild::flash::{Content, Options, Patience, RECORD_OFFSET, Record, Verify};

use super::device::Device;
use super::{MIB, is_right, piece, run};
use crate::fixture::noise;

const LEN: u64 = 40 * MIB;

/// Anything a disk can be: pieces beside and across what is used, of which some
/// is zero; free space, and something kept.
fn random(rng: &mut fastrand::Rng) -> Content {
    let mut pieces = Vec::new();
    let mut at = rng.u64(0..100_000);
    while at < LEN - 512 {
        let most = if rng.u8(..4) == 0 { 6 * MIB } else { 100_000 };
        let len = rng.u64(1..most).min(LEN - at);
        pieces.push(piece(at, noise(rng.u64(..), len as usize)));
        let gap = if rng.bool() { 20_000 } else { 5 * MIB };
        at += len + rng.u64(0..gap);
    }
    let kept = 30 * MIB..30 * MIB + rng.u64(1..500) * 4096;
    let mut used: rangemap::RangeSet<u64> = std::iter::once(0..MIB).collect();
    for _ in 0..rng.usize(..40) {
        let start = rng.u64(8 * MIB..LEN - 1);
        let most = if rng.bool() { 10_000 } else { 5 * MIB };
        let len = rng.u64(1..most);
        used.insert(start..(start + len).min(LEN));
    }
    // Whole units: what is beside what is kept is not written along.
    used.remove(kept.start - 128 * 1024..kept.end + 128 * 1024);
    Content::new(
        LEN,
        pieces,
        used,
        std::iter::once(kept).collect(),
        Some(RECORD_OFFSET..8 * MIB),
    )
}

#[test]
fn whatever_was_there_before_what_is_used_is_right() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let content = Arc::new(random(&mut rng));
        let old = noise(seed + 1000, LEN as usize);
        let options = Options {
            verify: [Verify::None, Verify::Ranges, Verify::Full][seed as usize % 3],
            delta: rng.bool(),
            patience: Patience::default(),
        };
        let device = Arc::new(Device::new(old.clone()));
        let outcome = run(&content, &device, options).expect("written");
        let disk = device.bytes();
        assert!(is_right(&content, &disk, &old), "seed {seed}");
        let record = Record::parse(&disk[RECORD_OFFSET as usize..]).expect("a record");
        assert_eq!(record, outcome.record, "seed {seed}");
    }
}

#[test]
fn what_is_there_already_is_not_written_again() {
    for seed in 0..10 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let content = Arc::new(random(&mut rng));
        let old = noise(seed, LEN as usize);
        let device = Arc::new(Device::new(old.clone()));
        let first = run(&content, &device, Options::default()).expect("written");
        let mut changed = device.bytes();
        // One byte of what is used, not the head.
        let range = content.used().last().expect("something used").clone();
        let place = (range.start.max(8 * MIB)) as usize;
        let is_far = range.end > 8 * MIB;
        if is_far {
            changed[place] ^= 1;
        }
        let device = Arc::new(Device::new(changed));
        let delta = Options {
            delta: true,
            ..Options::default()
        };
        let second = run(&content, &device, delta).expect("written");
        assert!(is_right(&content, &device.bytes(), &old), "seed {seed}");
        assert_eq!(second.record.digest(), first.record.digest());
        let all = first.written + first.zeroed - MIB;
        assert_eq!(second.written + second.zeroed - MIB + second.same, all);
        // The block that was changed, and those with a mark.
        let again = second.written - MIB + second.zeroed;
        assert!(!is_far || again > 0, "seed {seed}");
        assert!(
            again <= 4 * (4 * MIB).max(64 * MIB / 16),
            "seed {seed}: {again} written again"
        );
    }
}
