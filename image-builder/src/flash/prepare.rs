//! Before the writing the first and the last MiB are cleared; marks show, before
//! and after, whether the disk has all the bytes it claims.

use std::ops::Range;

use super::buffer::Buffer;
use super::compare::not_zero;
use super::content::{Content, HEAD, UNIT};
use super::error::{FlashError, Stage};
use super::target::Target;
use super::watch::Watch;

/// Marks lie above this: what is below is written soon enough.
const LOWEST_MARK: u64 = 16 << 20;

/// A disk about to be written, or just written.
pub(super) struct Ends<'a> {
    pub(super) target: &'a dyn Target,
    pub(super) content: &'a Content,
    pub(super) watch: &'a Watch,
}

impl Ends<'_> {
    /// Clears the beginning. From here on the disk does not boot, and that is on
    /// the medium before anything else is: an old disk with new bytes in it must
    /// not boot after a power cut.
    pub(super) fn clear_head(&self) -> Result<(), FlashError> {
        self.write(0, &Buffer::new(HEAD.min(self.content.len()) as usize))?;
        self.sync()
    }

    /// Clears the end, writes the marks and reads all of it back. A disk that
    /// pretends to be larger drops what lies beyond its real end, or puts it
    /// over its beginning.
    pub(super) fn mark(&self) -> Result<(), FlashError> {
        let mut zeros = Buffer::new(HEAD as usize);
        for range in tail(self.content) {
            self.write(range.start, &zeros[..(range.end - range.start) as usize])?;
        }
        let marks = marks(self.content);
        for offset in &marks {
            self.write(*offset, &mark(*offset))?;
        }
        self.sync()?;
        let head = HEAD.min(self.content.len()) as usize;
        self.read(0, &mut zeros[..head])?;
        if let Some(first) = not_zero(&zeros[..head]) {
            return Err(self.lost(first as u64));
        }
        marks.iter().try_for_each(|offset| self.check_mark(*offset))
    }

    /// After the writing: what lies at the disk's end and the marks must not
    /// have been overwritten by what was written lower. Then the marks go.
    pub(super) fn check(&self) -> Result<(), FlashError> {
        for range in ends(self.content) {
            let len = (range.end - range.start) as usize;
            let (mut expected, mut found) = (vec![0; len], Buffer::new(len));
            let offset = range.start;
            self.content
                .fill(offset, &mut expected)
                .map_err(|error| FlashError::Content { offset, error })?;
            self.read(offset, &mut found)?;
            if *found != expected[..] {
                return Err(self.lost(offset));
            }
        }
        let used = self.content.used();
        let unused = |offset: &u64| !used.overlaps(&(*offset..offset + UNIT));
        let marks: Vec<u64> = marks(self.content).into_iter().filter(unused).collect();
        marks
            .iter()
            .try_for_each(|offset| self.check_mark(*offset))?;
        let zeros = Buffer::new(UNIT as usize);
        marks
            .iter()
            .try_for_each(|offset| self.write(*offset, &zeros))
    }

    fn check_mark(&self, offset: u64) -> Result<(), FlashError> {
        let mut found = Buffer::new(UNIT as usize);
        self.read(offset, &mut found)?;
        match *found == *mark(offset) {
            true => Ok(()),
            false => Err(self.lost(offset)),
        }
    }

    fn lost(&self, offset: u64) -> FlashError {
        let len = self.content.len();
        FlashError::Capacity { offset, len }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), FlashError> {
        let write = || self.target.write_at(offset, bytes);
        self.watch.wait(Stage::Clearing, offset, write)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), FlashError> {
        let read = || self.target.read_at(offset, bytes);
        self.watch.wait(Stage::Verifying, offset, read)
    }

    fn sync(&self) -> Result<(), FlashError> {
        self.watch.wait(Stage::Syncing, 0, || self.target.sync())
    }
}

/// What is written of the last MiB: it goes to the disk before the rest.
pub(super) fn ends(content: &Content) -> Vec<Range<u64>> {
    let last = content.len().saturating_sub(HEAD).max(HEAD)..content.len().max(HEAD);
    if last.is_empty() {
        return Vec::new();
    }
    let inside = |range: &Range<u64>| range.start.max(last.start)..range.end;
    content.used().overlapping(&last).map(inside).collect()
}

/// The last MiB, but for what is kept.
fn tail(content: &Content) -> Vec<Range<u64>> {
    let start = (content.len().saturating_sub(HEAD) / UNIT * UNIT).max(HEAD);
    content
        .kept()
        .gaps(&(start..content.len().max(start)))
        .collect()
}

/// Where marks go: a half of the disk, a quarter, and so on, and its last block.
fn marks(content: &Content) -> Vec<u64> {
    let halves = (1..).map(|shift| content.len() >> shift);
    let halves = halves.take_while(|offset| *offset >= LOWEST_MARK);
    let last = (content.len() / UNIT).saturating_sub(1) * UNIT;
    halves
        .map(|offset| offset / UNIT * UNIT)
        .chain(Some(last).filter(|last| *last >= HEAD))
        .filter(|offset| !content.kept().overlaps(&(*offset..offset + UNIT)))
        .collect()
}

/// A mark tells where it belongs.
fn mark(offset: u64) -> Buffer {
    let mut mark = Buffer::new(UNIT as usize);
    for (word, index) in mark.chunks_exact_mut(8).zip(0..) {
        // An odd number spreads the offset over all bits.
        let value = (offset + index).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        word.copy_from_slice(&value.to_le_bytes());
    }
    mark
}
