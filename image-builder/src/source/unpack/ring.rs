//! Buffers that go round between threads: full ones forwards, empty ones back to
//! the first. A slow thread holds up the others, and memory stays what it was.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers in a ring. Unpacked blocks come in bursts; this is enough for all
/// threads to have something to do between two of them.
const BUFFERS: usize = 8;

/// Bytes in a buffer. A multiple of the writer's block size.
pub(super) const STEP: usize = 1 << 20;

/// A buffer, and how much of it is filled.
pub(super) struct Chunk {
    pub(super) bytes: Box<[u8]>,
    pub(super) len: usize,
}

impl Chunk {
    pub(super) fn empty() -> Self {
        Self {
            bytes: vec![0; STEP].into(),
            len: 0,
        }
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A thread's place in a ring.
pub(super) struct Seat {
    /// Closed when the thread before this one ended.
    pub(super) from: Receiver<Chunk>,
    /// Fails when the thread behind this one ended.
    pub(super) to: SyncSender<Chunk>,
}

/// A ring; the empty buffers lie before the first seat.
pub(super) fn ring<const SEATS: usize>() -> [Seat; SEATS] {
    let (to_first, mut from) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // Never full, and its receiver is here.
        let _ = to_first.try_send(Chunk::empty());
    }
    let mut last = Some(to_first);
    std::array::from_fn(|seat| {
        let (next, behind) = sync_channel(BUFFERS);
        let to = match seat + 1 == SEATS {
            true => last.take().unwrap_or(next),
            false => next,
        };
        Seat {
            from: std::mem::replace(&mut from, behind),
            to,
        }
    })
}

/// Reads what comes along a ring; used-up buffers go on.
pub(super) struct Input {
    seat: Seat,
    chunk: Option<Chunk>,
    at: usize,
}

impl Input {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            seat,
            chunk: None,
            at: 0,
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.as_ref().is_none_or(|chunk| self.at == chunk.len) {
            if let Some(used) = self.chunk.take() {
                // Whoever filled it may be done.
                let _ = self.seat.to.send(used);
            }
            self.chunk = self.seat.from.recv().ok();
            self.at = 0;
        }
        Ok(match &self.chunk {
            Some(chunk) => &chunk.filled()[self.at..],
            None => &[],
        })
    }

    fn consume(&mut self, len: usize) {
        self.at += len;
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}
