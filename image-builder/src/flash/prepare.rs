//! Before the writing: the first and the last MiB are cleared, and marks show
//! whether the disk has all the bytes it claims.

use std::ops::Range;

use super::buffer::Buffer;
use super::compare::not_zero;
use super::content::{Content, HEAD, UNIT};
use super::error::{FlashError, Stage};
use super::target::Target;
use super::watch::Watch;

/// Marks lie above this: what is below is written soon enough.
const LOWEST_MARK: u64 = 16 << 20;

/// Clears the beginning and the end. From the first write on the disk does not
/// boot.
///
/// # Errors
/// When the disk refuses, or loses what was written.
pub(super) fn clear(
    target: &dyn Target,
    content: &Content,
    watch: &Watch,
) -> Result<(), FlashError> {
    let at = |offset| {
        move |io: &mut dyn FnMut() -> std::io::Result<()>| watch.wait(Stage::Clearing, offset, io)
    };
    let head = HEAD.min(content.len());
    let mut buffer = Buffer::new(head as usize);
    at(0)(&mut || target.write_at(0, &buffer))?;

    // A disk that pretends to be larger drops what lies beyond its end or puts
    // it over its beginning. Both show once all marks are written.
    let marks = marks(content);
    let mut mark = Buffer::new(UNIT as usize);
    for offset in &marks {
        fill_mark(&mut mark, *offset);
        at(*offset)(&mut || target.write_at(*offset, &mark))?;
    }
    watch.wait(Stage::Syncing, 0, || target.sync())?;
    let lost = |offset| FlashError::Capacity {
        offset,
        len: content.len(),
    };
    at(0)(&mut || target.read_at(0, &mut buffer))?;
    if let Some(first) = not_zero(&buffer) {
        return Err(lost(first as u64));
    }
    let mut found = Buffer::new(UNIT as usize);
    for offset in &marks {
        at(*offset)(&mut || target.read_at(*offset, &mut found))?;
        fill_mark(&mut mark, *offset);
        if *found != *mark {
            return Err(lost(*offset));
        }
    }
    mark.fill(0);
    for offset in &marks {
        at(*offset)(&mut || target.write_at(*offset, &mark))?;
    }
    for range in tail(content) {
        let len = (range.end - range.start) as usize;
        at(range.start)(&mut || target.write_at(range.start, &buffer[..len]))?;
    }
    watch.wait(Stage::Syncing, 0, || target.sync())
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
fn fill_mark(mark: &mut [u8], offset: u64) {
    for (word, index) in mark.chunks_exact_mut(8).zip(0..) {
        // An odd number spreads the offset over all bits.
        let value = (offset + index).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        word.copy_from_slice(&value.to_le_bytes());
    }
}
