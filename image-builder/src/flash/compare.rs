//! What is wrong with bytes that do not read back.

use super::error::Pattern;
use crate::layout::SECTOR;

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
    let sector = at / SECTOR as usize * SECTOR as usize;
    let of = |bytes: &'_ [u8]| -> Vec<u8> {
        bytes[sector..]
            .iter()
            .take(SECTOR as usize)
            .copied()
            .collect()
    };
    let found = of(read);
    Some(Difference {
        at,
        len: last - at + 1,
        pattern: pattern(written, sector, &found),
    })
}

fn pattern(written: &[u8], sector: usize, found: &[u8]) -> Pattern {
    if found.iter().all(|byte| *byte == 0) {
        return Pattern::Zeros;
    }
    // A sector of one byte over and over is found everywhere and says nothing.
    let plain = found.iter().all(|byte| *byte == found[0]);
    let elsewhere = written
        .chunks(SECTOR as usize)
        .position(|other| !plain && other == found);
    match elsewhere {
        Some(index) => Pattern::Shifted((index * SECTOR as usize) as i64 - sector as i64),
        None => Pattern::Other,
    }
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
