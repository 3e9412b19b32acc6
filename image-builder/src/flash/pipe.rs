//! The writing: one thread fills buffers, one writes them, one reads back what
//! was written; a buffer goes from one to the next and is compared before it is
//! filled again. Memory is bounded by the number of buffers.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use sha2::{Digest as _, Sha256};

use super::buffer::Buffer;
use super::compare::{difference, not_zero};
use super::content::{CHUNK, Chunk, Content};
use super::error::{FlashError, Pattern, Stage};
use super::record::{Hash, Range};
use super::target::Target;
use super::watch::{Event, Watch, Work};

/// Buffers of a disk: one being filled, one being written, one being compared,
/// and as many again, so that no thread waits for a single slow call of another.
const BUFFERS: usize = 6;

/// Zeros are read back in pieces of this many bytes.
const ZERO_STEP: u64 = 1 << 20;

/// A chunk that is on the disk.
#[derive(Debug)]
pub(super) struct Written {
    /// Where it lies, and what its bytes are.
    pub(super) range: Range,
    /// It was there before.
    pub(super) same: bool,
}

/// What the threads share.
#[derive(Clone)]
pub(super) struct Pipe {
    pub(super) content: Arc<Content>,
    pub(super) target: Arc<dyn Target>,
    pub(super) watch: Arc<Watch>,
    /// Read back.
    pub(super) verify: bool,
    /// Do not write what is there already.
    pub(super) delta: bool,
}

/// A chunk on its way.
struct Filled {
    chunk: Chunk,
    /// None for zeros.
    bytes: Option<Buffer>,
    hash: Hash,
    same: bool,
}

impl Pipe {
    /// The work of the three threads.
    pub(super) fn works(self, chunks: Vec<Chunk>) -> Vec<Work<Written>> {
        let (free, pool) = mpsc::channel();
        for _ in 0..BUFFERS {
            // The receiver is below.
            let _ = free.send(Buffer::new(CHUNK as usize));
        }
        let (to_write, filled) = mpsc::channel();
        let (to_verify, written) = mpsc::channel();
        let [a, b, c] = [self.clone(), self.clone(), self];
        vec![
            Box::new(move |_| a.fill(chunks, &pool, &to_write)),
            Box::new(move |_| b.write(&filled, &to_verify)),
            Box::new(move |events| c.verify(&written, &free, events)),
        ]
    }

    fn fill(
        &self,
        chunks: Vec<Chunk>,
        pool: &Receiver<Buffer>,
        next: &Sender<Filled>,
    ) -> Result<(), FlashError> {
        for chunk in chunks {
            let mut filled = Filled {
                chunk,
                bytes: None,
                hash: Hash::Zeros,
                same: false,
            };
            if !chunk.zero {
                let Ok(mut buffer) = pool.recv() else { break };
                let bytes = &mut buffer[..chunk.len as usize];
                let offset = chunk.offset;
                self.content
                    .fill(offset, bytes)
                    .map_err(|error| FlashError::Content { offset, error })?;
                filled.hash = Hash::Sha256(Sha256::digest(bytes).into());
                filled.bytes = Some(buffer);
            }
            // The next thread has failed and says why.
            if self.watch.stopped() || next.send(filled).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, filled: &Receiver<Filled>, next: &Sender<Filled>) -> Result<(), FlashError> {
        let mut there = Buffer::new(CHUNK as usize);
        for mut filled in filled {
            if self.watch.stopped() {
                break;
            }
            let Chunk { offset, len, .. } = filled.chunk;
            filled.same = self.delta && self.is_there(&filled, &mut there)?;
            match &filled.bytes {
                _ if filled.same => {}
                Some(bytes) => {
                    let bytes = &bytes[..len as usize];
                    let write = || self.target.write_at(offset, bytes);
                    self.watch.wait(Stage::Writing, offset, write)?;
                }
                None => {
                    let zero = || self.target.zero(offset..offset + len);
                    self.watch.wait(Stage::Zeroing, offset, zero)?;
                }
            }
            if next.send(filled).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn verify(
        &self,
        written: &Receiver<Filled>,
        free: &Sender<Buffer>,
        events: &Sender<Event<Written>>,
    ) -> Result<(), FlashError> {
        let mut found = Buffer::new(CHUNK as usize);
        for filled in written {
            if self.watch.stopped() {
                break;
            }
            let Filled {
                chunk,
                bytes,
                hash,
                same,
            } = filled;
            // What was the same was read a moment ago.
            if self.verify && !same {
                match &bytes {
                    Some(bytes) => self.compare(chunk, &bytes[..chunk.len as usize], &mut found)?,
                    None => self.check_zeros(chunk, &mut found)?,
                }
            }
            // Gone are the others when one of them has failed.
            let Chunk {
                offset: at, len, ..
            } = chunk;
            let range = Range { at, len, hash };
            let _ = events.send(Event::Done(Written { range, same }));
            let _ = events.send(Event::Advance(chunk.len));
            if let Some(buffer) = bytes {
                let _ = free.send(buffer);
            }
        }
        Ok(())
    }

    /// Whether the disk has these bytes already.
    fn is_there(&self, filled: &Filled, there: &mut Buffer) -> Result<bool, FlashError> {
        let Some(bytes) = &filled.bytes else {
            return Ok(self.first_not_zero(filled.chunk, there)?.is_none());
        };
        let Chunk { offset, len, .. } = filled.chunk;
        let there = &mut there[..len as usize];
        let read = || self.target.read_at(offset, there);
        self.watch.wait(Stage::Reading, offset, read)?;
        Ok(*there == bytes[..len as usize])
    }

    /// Compares what was written to what the disk has now.
    fn compare(&self, chunk: Chunk, bytes: &[u8], found: &mut Buffer) -> Result<(), FlashError> {
        let found = &mut found[..bytes.len()];
        let mut read = || -> Result<_, FlashError> {
            let read = || self.target.read_at(chunk.offset, found);
            self.watch.wait(Stage::Verifying, chunk.offset, read)?;
            Ok(difference(bytes, found))
        };
        let Some(first) = read()? else { return Ok(()) };
        let again = read()?;
        Err(FlashError::Mismatch {
            offset: chunk.offset + first.at as u64,
            len: first.len as u64,
            pattern: again.map_or(Pattern::Unsteady, |_| first.pattern),
        })
    }

    fn check_zeros(&self, chunk: Chunk, found: &mut Buffer) -> Result<(), FlashError> {
        match self.first_not_zero(chunk, found)? {
            None => Ok(()),
            Some(offset) => Err(FlashError::Mismatch {
                offset,
                len: chunk.offset + chunk.len - offset,
                pattern: Pattern::Other,
            }),
        }
    }

    /// Where in a chunk the disk has the first byte that is not zero.
    fn first_not_zero(&self, chunk: Chunk, found: &mut Buffer) -> Result<Option<u64>, FlashError> {
        let end = chunk.offset + chunk.len;
        let mut offset = chunk.offset;
        while offset < end && !self.watch.stopped() {
            let len = (end - offset).min(ZERO_STEP);
            let found = &mut found[..len as usize];
            let read = || self.target.read_at(offset, found);
            self.watch.wait(Stage::Verifying, offset, read)?;
            if let Some(at) = not_zero(found) {
                return Ok(Some(offset + at as u64));
            }
            offset += len;
        }
        Ok(None)
    }

    /// Reads everything once more and compares it by its hash: what a trailing
    /// reader cannot see is a later write that fell on an earlier one.
    pub(super) fn read_again(self, ranges: Vec<Range>) -> Work<Written> {
        Box::new(move |events| {
            let mut found = Buffer::new(CHUNK as usize);
            let mut expected = Vec::new();
            for Range { at, len, hash } in ranges {
                let zero = hash == Hash::Zeros;
                let chunk = Chunk {
                    offset: at,
                    len,
                    zero,
                };
                if self.watch.stopped() {
                    break;
                }
                match hash {
                    Hash::Zeros => self.check_zeros(chunk, &mut found)?,
                    Hash::Sha256(hash) => {
                        let bytes = &mut found[..chunk.len as usize];
                        let read = || self.target.read_at(chunk.offset, bytes);
                        self.watch.wait(Stage::Verifying, chunk.offset, read)?;
                        if Sha256::digest(&*bytes)[..] != hash[..] {
                            let offset = chunk.offset;
                            expected.resize(bytes.len(), 0);
                            self.content
                                .fill(offset, &mut expected)
                                .map_err(|error| FlashError::Content { offset, error })?;
                            self.compare(chunk, &expected, &mut found)?;
                            // Now it is right, a moment ago it was not.
                            let (len, pattern) = (chunk.len, Pattern::Unsteady);
                            return Err(FlashError::Mismatch {
                                offset,
                                len,
                                pattern,
                            });
                        }
                    }
                }
                let _ = events.send(Event::Advance(chunk.len));
            }
            Ok(())
        })
    }
}
