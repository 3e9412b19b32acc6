//! What a disk is to hold, and in which steps it gets there.

use std::io;
use std::ops::Range;

use rangemap::RangeSet;

use crate::io::ReadAt as _;
use crate::io::cow::Piece;
use crate::layout::SECTOR;

/// The first MiB holds the partition table and whatever a firmware reads first.
/// It is cleared before anything is written, and written after everything else.
pub const HEAD: u64 = 1 << 20;

/// Writes begin and end at multiples of this, but at the disk's end: a multiple
/// of every sector size, and the block size of every supported root.
pub(super) const UNIT: u64 = 4096;

/// Bytes of one write, at most.
pub(super) const CHUNK: u64 = 4 << 20;

/// Bytes that are zeroed in one call, at most: the watchdog and Ctrl-C come in
/// between.
const ZERO_CHUNK: u64 = 64 << 20;

/// Zeros in use are written along when they are fewer, and free bytes between
/// two ranges in use: a seek costs more.
const SMALL_ZEROS: u64 = 1 << 20;
const SMALL_GAP: u64 = 64 << 10;

/// What a disk is to hold. All offsets and lengths are in bytes.
#[derive(Debug, Clone)]
pub struct Content {
    /// Length of the disk.
    len: u64,
    /// The bytes, in order and without overlap; what is in none is zero.
    pieces: Vec<Piece>,
    /// What somebody will read: the table, and what the file systems use.
    used: RangeSet<u64>,
    /// What is on the disk already and stays.
    kept: RangeSet<u64>,
    /// Free space for the record of what was written.
    record: Option<Range<u64>>,
}

/// One step of the writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Zeros throughout, and too many to send.
    pub(super) zero: bool,
}

impl Content {
    /// A disk of `len` bytes that is to hold `pieces`, in order and without
    /// overlap. What is neither in `used` nor in `kept` may become anything;
    /// what is in `used` and in no piece becomes zeros. `record` is space that
    /// nothing uses, for the record of what was written.
    ///
    /// # Panics
    /// When `len` is no whole number of sectors, or something to be written lies
    /// beyond it or in what is kept.
    pub fn new(
        len: u64,
        pieces: Vec<Piece>,
        used: RangeSet<u64>,
        kept: RangeSet<u64>,
        record: Option<Range<u64>>,
    ) -> Self {
        assert!(
            len.is_multiple_of(SECTOR),
            "{len} bytes are no whole sectors"
        );
        let used = join(&used, len);
        let end = used.last().map_or(0, |range| range.end);
        assert!(end <= len, "{end} is beyond the disk's end at {len}");
        for range in kept.iter() {
            assert!(!used.overlaps(range), "{range:?} is kept and written");
        }
        Self {
            len,
            pieces,
            used,
            kept,
            record,
        }
    }

    /// Length of the disk.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the disk has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What will be written or zeroed, the head included.
    pub fn used(&self) -> &RangeSet<u64> {
        &self.used
    }

    /// What is on the disk already and stays.
    pub fn kept(&self) -> &RangeSet<u64> {
        &self.kept
    }

    /// Space for the record of what was written.
    pub fn record(&self) -> Option<&Range<u64>> {
        self.record.as_ref()
    }

    /// What is neither used nor kept.
    pub(super) fn free(&self) -> RangeSet<u64> {
        let mut taken = self.used.clone();
        taken.extend(self.kept.iter().cloned());
        taken.insert(0..HEAD.min(self.len));
        taken.gaps(&(0..self.len)).collect()
    }

    /// The bytes at `offset`.
    ///
    /// # Errors
    /// When what they are made of cannot be read.
    pub fn fill(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        let first = self
            .pieces
            .partition_point(|piece| piece.offset + piece.bytes.len() <= offset);
        let mut at = offset;
        for piece in &self.pieces[first..] {
            if piece.offset >= end {
                break;
            }
            let start = piece.offset.max(at);
            let stop = (piece.offset + piece.bytes.len()).min(end);
            buf[(at - offset) as usize..(start - offset) as usize].fill(0);
            let part = &mut buf[(start - offset) as usize..(stop - offset) as usize];
            piece.bytes.read_exact_at(start - piece.offset, part)?;
            at = stop;
        }
        buf[(at - offset) as usize..].fill(0);
        Ok(())
    }

    /// The steps, in the order of the disk; the head is none of them.
    pub(super) fn chunks(&self) -> Vec<Chunk> {
        let data: RangeSet<u64> = self
            .pieces
            .iter()
            .filter(|piece| !piece.bytes.is_empty())
            .map(|piece| widen(&(piece.offset..piece.offset + piece.bytes.len()), self.len))
            .collect();
        let mut chunks = Vec::new();
        for range in self.used.iter() {
            let range = range.start.max(HEAD)..range.end.max(HEAD);
            if range.is_empty() {
                continue;
            }
            let mut at = range.start;
            let zeros = data.gaps(&range);
            for run in zeros.filter(|run| run.end - run.start >= SMALL_ZEROS) {
                cut(&mut chunks, at..run.start, false);
                cut(&mut chunks, run.clone(), true);
                at = run.end;
            }
            cut(&mut chunks, at..range.end, false);
        }
        chunks
    }
}

/// A range made of whole units.
fn widen(range: &Range<u64>, len: u64) -> Range<u64> {
    range.start / UNIT * UNIT..range.end.next_multiple_of(UNIT).min(len.max(range.end))
}

/// Whole units, and without the small gaps.
fn join(used: &RangeSet<u64>, len: u64) -> RangeSet<u64> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in used.iter().map(|range| widen(range, len)) {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + SMALL_GAP => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined.into_iter().collect()
}

/// Cuts a range at multiples of a chunk's length, so that the same bytes make
/// the same chunks whatever lies before them.
fn cut(chunks: &mut Vec<Chunk>, range: Range<u64>, zero: bool) {
    let step = if zero { ZERO_CHUNK } else { CHUNK };
    let mut offset = range.start;
    while offset < range.end {
        let end = (offset / step * step + step).min(range.end);
        let len = end - offset;
        chunks.push(Chunk { offset, len, zero });
        offset = end;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn piece(offset: u64, bytes: Vec<u8>) -> Piece {
        let bytes = Arc::<[u8]>::from(bytes).into();
        Piece { offset, bytes }
    }

    fn set(ranges: &[(u64, u64)]) -> RangeSet<u64> {
        ranges.iter().map(|(start, end)| *start..*end).collect()
    }

    #[test]
    fn what_is_in_no_piece_reads_as_zeros() {
        let pieces = vec![
            piece(3, vec![1; 5]),
            piece(8, vec![2; 2]),
            piece(20, vec![3; 9]),
        ];
        let content = Content::new(4096, pieces, set(&[(0, 4096)]), set(&[]), None);
        let mut all = vec![9; 4096];
        content.fill(0, &mut all).expect("fill");
        let mut expected = vec![0; 4096];
        expected[3..8].fill(1);
        expected[8..10].fill(2);
        expected[20..29].fill(3);
        assert_eq!(all, expected);
        for (start, end) in [(0, 3), (2, 9), (9, 21), (28, 4096), (4096, 4096)] {
            let mut part = vec![9; end - start];
            content.fill(start as u64, &mut part).expect("fill");
            assert_eq!(part, expected[start..end], "{start}..{end}");
        }
    }

    #[test]
    fn chunks_cover_what_is_used_and_nothing_else() {
        let used = set(&[
            (0, 600),
            (2 * MIB + 100, 2 * MIB + 5000),
            // Across a chunk's border, with zeros at the end.
            (7 * MIB, 12 * MIB),
        ]);
        let pieces = vec![
            piece(0, vec![1; 512]),
            piece(2 * MIB + 100, vec![1; 100]),
            piece(7 * MIB, vec![1; 2 << 20]),
            // Nobody uses this one.
            piece(13 * MIB, vec![1; 512]),
        ];
        let content = Content::new(16 * MIB, pieces, used, set(&[(14 * MIB, 15 * MIB)]), None);
        let chunk = |offset, len, zero| Chunk { offset, len, zero };
        let expected = [
            chunk(2 * MIB, 8192, false),
            chunk(7 * MIB, MIB, false),
            chunk(8 * MIB, MIB, false),
            chunk(9 * MIB, 3 * MIB, true),
        ];
        assert_eq!(content.chunks(), expected);
        let free = [
            (MIB, 2 * MIB),
            (2 * MIB + 8192, 7 * MIB),
            (12 * MIB, 14 * MIB),
            (15 * MIB, 16 * MIB),
        ];
        assert_eq!(content.free(), set(&free));
    }

    #[test]
    fn small_gaps_are_written_along_and_small_zeros() {
        let used = set(&[(2 * MIB, 2 * MIB + 1), (2 * MIB + 40_000, 3 * MIB + 4096)]);
        let content = Content::new(4 * MIB, vec![piece(2 * MIB, vec![1])], used, set(&[]), None);
        let expected = [
            Chunk {
                offset: 2 * MIB,
                len: 4096,
                zero: false,
            },
            Chunk {
                offset: 2 * MIB + 4096,
                len: MIB,
                zero: true,
            },
        ];
        assert_eq!(content.chunks(), expected);
    }

    #[test]
    #[should_panic(expected = "is kept and written")]
    fn what_is_kept_is_never_written() {
        let used = set(&[(0, HEAD), (3 * MIB - 1, 3 * MIB + 1)]);
        Content::new(4 * MIB, vec![], used, set(&[(3 * MIB, 4 * MIB)]), None);
    }
}
