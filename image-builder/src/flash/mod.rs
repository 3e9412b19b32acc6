//! A disk's content onto a disk, so that the disk is at any moment the old one,
//! or one that does not boot, or the new one, read back.
//!
//! The first MiB is cleared before anything else is written and written after
//! everything else was read back. In between only what the partition table and
//! the file systems use is written: what they do not use they do not read before
//! they have written it, whatever an earlier owner left there. Zeros that are in
//! use are zeros on the disk, never "left out because they are zeros".

mod buffer;
mod check;
mod compare;
mod content;
mod disk;
mod error;
mod pipe;
mod prepare;
mod record;
mod target;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

pub use check::{Checked, check};
pub use content::{Content, HEAD};
pub use disk::{Disk, OpenError};
pub use error::{Aftermath, Failed, FlashError, Pattern, Stage};
pub use record::{Hash, OFFSET as RECORD_OFFSET, Range, Record, RecordError};
pub use target::Target;
pub use watch::Patience;

use crate::progress::Progress;
use buffer::Buffer;
use compare::difference;
use content::UNIT;
use pipe::{Pipe, Written};
use prepare::Ends;
use watch::{Event, Watch, Work, supervise};

/// What of the disk is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Nothing but the first MiB.
    None,
    /// Every range, right after it was written.
    #[default]
    Ranges,
    /// That, and all of it once more at the end.
    Full,
}

/// How to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What is read back.
    pub verify: Verify,
    /// Leave what is there already.
    pub delta: bool,
    /// How long to wait for the disk.
    pub patience: Patience,
}

/// What was done. Sizes are in bytes.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Sent to the disk.
    pub written: u64,
    /// Zeroed by the disk or the kernel.
    pub zeroed: u64,
    /// Found on the disk already and left (with `delta`).
    pub same: u64,
    /// Discarded.
    pub discarded: u64,
    /// Read back and found right.
    pub verified: u64,
    /// How long it took, from the first write to the last read.
    pub took: Duration,
    /// What was written, to be compared later.
    pub record: Record,
    /// Whether the record is on the disk.
    pub recorded: bool,
}

/// A discard that takes longer than this is really a write, and is left at
/// that: what is discarded does not matter.
const SLOW_DISCARD: Duration = Duration::from_secs(2);

/// Bytes discarded in one call.
const DISCARD_STEP: u64 = 1 << 30;

/// Writes a disk.
///
/// # Errors
/// When the disk or what it is to hold fails, or the user stops the work; the
/// error says what is left of the disk.
pub fn flash(
    content: &Arc<Content>,
    target: &Arc<dyn Target>,
    options: Options,
    progress: &mut dyn Progress,
) -> Result<Outcome, Failed> {
    let job = Job {
        content: Arc::clone(content),
        target: Arc::clone(target),
        watch: Arc::default(),
        options,
    };
    job.run(progress).map_err(|(error, stage)| Failed {
        aftermath: job.aftermath(&error, stage),
        error,
    })
}

#[derive(Clone)]
struct Job {
    content: Arc<Content>,
    target: Arc<dyn Target>,
    watch: Arc<Watch>,
    options: Options,
}

impl Job {
    fn run(&self, progress: &mut dyn Progress) -> Result<Outcome, (FlashError, Stage)> {
        let begun = Instant::now();
        let during = |stage| move |error| (error, stage);
        progress.step("clearing the disk's beginning", None);
        let cleared = self.ends(progress, |ends| ends.clear_head());
        cleared.map_err(during(Stage::Clearing))?;
        let discarded = match self.options.delta {
            true => 0,
            false => self.discard(progress).map_err(during(Stage::Discarding))?,
        };
        let marked = self.ends(progress, |ends| ends.mark());
        marked.map_err(during(Stage::Clearing))?;
        let written = self.write(progress);
        let (mut outcome, chunks) = written.map_err(during(Stage::Writing))?;
        if self.options.verify == Verify::Full {
            let again = self.read_again(&chunks, progress);
            outcome.verified += again.map_err(during(Stage::Verifying))?;
        }
        progress.step("writing the disk's beginning", None);
        let checked = self.ends(progress, |ends| ends.check());
        checked.map_err(during(Stage::Verifying))?;
        let record = self.finish(outcome.record, progress);
        (outcome.record, outcome.recorded) = record.map_err(during(Stage::Finishing))?;
        outcome.discarded = discarded;
        outcome.written += HEAD.min(self.content.len());
        outcome.took = begun.elapsed();
        Ok(outcome)
    }

    /// What is left of the disk. Where the head may be there already it is
    /// cleared again: half of it must not boot.
    fn aftermath(&self, error: &FlashError, stage: Stage) -> Aftermath {
        let stalled = matches!(error, FlashError::Stalled { .. });
        match stage {
            Stage::Clearing | Stage::Finishing if stalled => Aftermath::Unknown,
            Stage::Clearing | Stage::Finishing => {
                let zeros = Buffer::new(HEAD.min(self.content.len()) as usize);
                let cleared = self
                    .target
                    .write_at(0, &zeros)
                    .and_then(|()| self.target.sync());
                cleared.map_or(Aftermath::Unknown, |()| Aftermath::Unbootable)
            }
            _ => Aftermath::Unbootable,
        }
    }

    /// Runs one piece of work in a thread of its own, where it may be waited
    /// for in vain.
    fn alone<T: Send + 'static>(
        &self,
        progress: &mut dyn Progress,
        work: impl FnOnce(&Self) -> Result<T, FlashError> + Send + 'static,
    ) -> Result<T, FlashError> {
        let job = self.clone();
        let work: Work<T> = Box::new(move |events| {
            let result = work(&job)?;
            // Nobody listens when the work was given up.
            let _ = events.send(Event::Done(result));
            Ok(())
        });
        let mut result = None;
        supervise(
            &self.watch,
            self.options.patience,
            progress,
            vec![work],
            |done| {
                result = Some(done);
            },
        )?;
        // A thread that ends without an error has sent its result.
        result.ok_or_else(|| crate::progress::Interrupted.into())
    }

    fn ends(
        &self,
        progress: &mut dyn Progress,
        work: fn(&Ends<'_>) -> Result<(), FlashError>,
    ) -> Result<(), FlashError> {
        self.alone(progress, move |job| {
            work(&Ends {
                target: &*job.target,
                content: &job.content,
                watch: &job.watch,
            })
        })
    }

    fn discard(&self, progress: &mut dyn Progress) -> Result<u64, FlashError> {
        progress.step("discarding what is not needed", None);
        self.alone(progress, |job| {
            let mut discarded = 0;
            for range in job.content.free().iter() {
                let mut start = range.start;
                while start < range.end {
                    let end = (start / DISCARD_STEP * DISCARD_STEP + DISCARD_STEP).min(range.end);
                    let begun = Instant::now();
                    // No disk has to be able to do this.
                    let done = || Ok(job.target.discard(start..end).unwrap_or(false));
                    let done = job.watch.wait(Stage::Discarding, start, done)?;
                    if !done || begun.elapsed() > SLOW_DISCARD || job.watch.stopped() {
                        return Ok(discarded);
                    }
                    discarded += end - start;
                    start = end;
                }
            }
            Ok(discarded)
        })
    }

    fn write(&self, progress: &mut dyn Progress) -> Result<(Outcome, Vec<Range>), FlashError> {
        let mut chunks = self.content.chunks();
        // The disk's end goes first: on a disk that is smaller than it claims it
        // is overwritten by the rest, and that shows.
        let last = self.content.len().saturating_sub(HEAD);
        chunks.sort_by_key(|chunk| (chunk.offset < last, chunk.offset));
        let total = chunks.iter().map(|chunk| chunk.len).sum();
        progress.step("writing", Some(total));
        let mut ranges = Vec::with_capacity(chunks.len());
        let verify = self.options.verify != Verify::None;
        let (mut written, mut zeroed, mut same) = (0, 0, 0);
        let works = self.pipe(verify).works(chunks);
        supervise(
            &self.watch,
            self.options.patience,
            progress,
            works,
            |done: Written| {
                *match (done.same, done.range.hash) {
                    (true, _) => &mut same,
                    (false, Hash::Zeros) => &mut zeroed,
                    (false, Hash::Sha256(_)) => &mut written,
                } += done.range.len;
                ranges.push(done.range);
            },
        )?;
        progress.step("waiting for the disk", None);
        self.alone(progress, |job| {
            job.watch.wait(Stage::Syncing, 0, || job.target.sync())
        })?;
        let mut record = Record {
            version: 1,
            disk_len: self.content.len(),
            ranges: ranges.clone(),
        };
        record.ranges.sort_by_key(|range| range.at);
        let outcome = Outcome {
            written,
            zeroed,
            same,
            discarded: 0,
            verified: if verify { total } else { same },
            took: Duration::ZERO,
            record,
            recorded: false,
        };
        Ok((outcome, ranges))
    }

    fn pipe(&self, verify: bool) -> Pipe {
        Pipe {
            content: Arc::clone(&self.content),
            target: Arc::clone(&self.target),
            watch: Arc::clone(&self.watch),
            verify,
            delta: self.options.delta,
        }
    }

    fn read_again(&self, ranges: &[Range], progress: &mut dyn Progress) -> Result<u64, FlashError> {
        let total = ranges.iter().map(|range| range.len).sum();
        progress.step("reading all of it back", Some(total));
        let work = self.pipe(true).read_again(ranges.to_vec());
        supervise(
            &self.watch,
            self.options.patience,
            progress,
            vec![work],
            |_| {},
        )?;
        Ok(total)
    }

    /// Writes the record, and then, with everything else on the medium, the
    /// head. The very first block goes last: without it there is no table.
    fn finish(
        &self,
        mut record: Record,
        progress: &mut dyn Progress,
    ) -> Result<(Record, bool), FlashError> {
        self.alone(progress, move |job| {
            let len = HEAD.min(job.content.len());
            let mut head = Buffer::new(len as usize);
            let fill = job.content.fill(0, &mut head);
            fill.map_err(|error| FlashError::Content { offset: 0, error })?;
            let hash = Hash::Sha256(Sha256::digest(&*head).into());
            record.ranges.insert(0, Range { at: 0, len, hash });

            let text = record.encode();
            let room = job.content.record().map_or(0, |room| room.end - room.start);
            let recorded = text.len() as u64 <= room;
            if recorded {
                job.put(record::OFFSET, &text)?;
                job.check(record::OFFSET, &text)?;
            }
            job.put(UNIT, &head[UNIT as usize..])?;
            job.watch.wait(Stage::Syncing, 0, || job.target.sync())?;
            if job.watch.stopped() {
                return Err(crate::progress::Interrupted.into());
            }
            job.put(0, &head[..UNIT as usize])?;
            job.watch.wait(Stage::Syncing, 0, || job.target.sync())?;
            job.check(0, &head)?;
            Ok((record, recorded))
        })
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), FlashError> {
        let write = || self.target.write_at(offset, bytes);
        self.watch.wait(Stage::Finishing, offset, write)
    }

    fn check(&self, offset: u64, bytes: &[u8]) -> Result<(), FlashError> {
        let mut found = Buffer::new(bytes.len());
        let read = || self.target.read_at(offset, &mut found);
        self.watch.wait(Stage::Verifying, offset, read)?;
        match difference(bytes, &found) {
            None => Ok(()),
            Some(wrong) => Err(FlashError::Mismatch {
                offset: offset + wrong.at as u64,
                len: wrong.len as u64,
                pattern: wrong.pattern,
            }),
        }
    }
}
