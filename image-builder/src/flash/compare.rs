//! What is wrong with bytes that do not read back.

use super::error::Pattern;
use crate::layout;

const SECTOR: usize = layout::SECTOR as usize;

/// Sectors that differ which are looked at.
const SECTORS: usize = 8;

/// Where two equally long byte strings differ, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    /// The first byte that differs.
    pub(super) at: usize,
    /// From there to the last one that does.
    pub(super) len: usize,
    /// What is there instead.
    pub(super) pattern: Pattern,
}

/// The difference between what was written and what was read, if there is one.
pub(super) fn difference(written: &[u8], read: &[u8]) -> Option<Difference> {
    // Most often there is none, and this is the fastest way to know.
    if written == read {
        return None;
    }
    let differs = |(a, b): (&u8, &u8)| a != b;
    let at = written.iter().zip(read).position(differs)?;
    let last = written.iter().zip(read).rposition(differs)?;
    Some(Difference {
        at,
        len: last - at + 1,
        pattern: pattern(written, read),
    })
}

/// What the first sectors that differ have in common. More than one: of bytes
/// that were put too far on, the first is what was there before.
fn pattern(written: &[u8], read: &[u8]) -> Pattern {
    let sectors = || written.chunks(SECTOR).zip(read.chunks(SECTOR)).enumerate();
    let wrong = || sectors().filter(|(_, (a, b))| a != b).take(SECTORS);
    let shifted = wrong().find_map(|(index, (_, found))| {
        // A sector of one byte over and over is found everywhere and says nothing.
        let plain = found.iter().all(|byte| *byte == found[0]);
        let elsewhere = written
            .chunks(SECTOR)
            .position(|other| !plain && other == found)?;
        Some(Pattern::Shifted(
            elsewhere as i64 * SECTOR as i64 - index as i64 * SECTOR as i64,
        ))
    });
    let zeros = || wrong().all(|(_, (_, found))| found.iter().all(|byte| *byte == 0));
    shifted.unwrap_or_else(|| {
        if zeros() {
            Pattern::Zeros
        } else {
            Pattern::Other
        }
    })
}

/// The first byte that is not zero.
pub(super) fn not_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_difference_is_told() {
        let written: Vec<u8> = (0..8 * SECTOR).map(|i| (i / 7 % 251) as u8 | 1).collect();
        assert_eq!(difference(&written, &written), None);
        let with = |change: &dyn Fn(&mut [u8])| {
            let mut read = written.clone();
            change(&mut read);
            difference(&written, &read)
        };
        let expect = |at, len, pattern| Some(Difference { at, len, pattern });
        assert_eq!(
            with(&|read| read[1024..2048].fill(0)),
            expect(1024, 1024, Pattern::Zeros)
        );
        assert_eq!(with(&|read| read[5] ^= 0x80), expect(5, 1, Pattern::Other));
        // The disk put the bytes two sectors late: those before are found late.
        let late = with(&|read| read.copy_within(0..6 * 512, 1024)).expect("a difference");
        assert_eq!(late.pattern, Pattern::Shifted(-1024));
        let stale = with(&|read| read[512..1024].fill(7)).expect("a difference");
        assert_eq!(stale.pattern, Pattern::Other);
    }
}
