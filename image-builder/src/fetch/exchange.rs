//! One request and its answer, on a thread of its own: whoever waits for it can
//! be interrupted while the server says nothing, and hashes and writes while
//! the next bytes arrive.

use std::io::Read as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;

use ureq::http::HeaderMap;

use super::error::Failure;
use super::session::Line;
use super::{Address, FetchError, POLL, Trouble, Validator};
use crate::progress::Progress;

/// Bytes read at a time: what the HTTP crate has in its buffer at most.
const CHUNK: usize = 128 << 10;

/// Chunks in flight. Enough to keep both sides busy, few enough for no memory
/// to speak of.
const AHEAD: usize = 8;

/// The rest of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Offset of the first byte wanted.
    pub(super) from: u64,
    /// The version of the file that it must be of.
    pub(super) of: Validator,
}

/// What a server says before the file.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Bytes that follow, where the server says so.
    pub(super) length: Option<u64>,
}

enum Event {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Failed(Failure),
}

/// An answer that is arriving. Dropping it is leave to stop.
pub(super) struct Exchange(Receiver<Event>);

impl Exchange {
    /// Asks, and waits for the head of the answer.
    ///
    /// # Errors
    /// When there is none, or the user stops the waiting.
    pub(super) fn begin(
        line: &Line,
        address: &Address,
        part: Option<Part>,
        progress: &mut dyn Progress,
    ) -> Result<(Head, Self), Failure> {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let (line, address) = (line.clone(), address.clone());
        thread::Builder::new()
            .name("download".into())
            .spawn(move || {
                let end = match receive(&line, &address, part.as_ref(), &sender) {
                    Ok(()) => Event::End,
                    Err(failure) => Event::Failed(failure),
                };
                // Nobody listens any more: then nobody needs to know.
                let _ = sender.send(end);
            })
            .map_err(|error| Trouble::Network(error.to_string()))?;
        let exchange = Self(receiver);
        match exchange.next(progress)? {
            Event::Head(head) => Ok((head, exchange)),
            Event::Failed(failure) => Err(failure),
            Event::Bytes(_) | Event::End => Err(broken()),
        }
    }

    /// The next bytes, or `None` when the answer is complete.
    ///
    /// # Errors
    /// When it breaks off, or the user stops the waiting.
    pub(super) fn bytes(
        &mut self,
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<u8>>, Failure> {
        match self.next(progress)? {
            Event::Bytes(bytes) => Ok(Some(bytes)),
            Event::End => Ok(None),
            Event::Failed(failure) => Err(failure),
            Event::Head(_) => Err(broken()),
        }
    }

    fn next(&self, progress: &mut dyn Progress) -> Result<Event, Failure> {
        loop {
            match self.0.recv_timeout(POLL) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => {
                    progress.advance(0).map_err(FetchError::Stopped)?;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(broken()),
            }
        }
    }
}

/// The thread's work. The time-outs are the line's.
fn receive(
    line: &Line,
    address: &Address,
    part: Option<&Part>,
    events: &SyncSender<Event>,
) -> Result<(), Failure> {
    let (head, body) = line.get(address, part)?.into_parts();
    let head = Head {
        status: head.status.as_u16(),
        headers: head.headers,
        length: body.content_length(),
    };
    let mut reader = body.into_reader();
    let mut buffer = vec![0; CHUNK];
    let mut wanted = events.send(Event::Head(head)).is_ok();
    while wanted {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => wanted = events.send(Event::Bytes(buffer[..len].to_vec())).is_ok(),
            Err(error) => return Err(line.failure(address, error.into())),
        }
    }
    Ok(())
}

/// The thread ended without a word.
fn broken() -> Failure {
    Trouble::Network("the receiving broke off".into()).into()
}
