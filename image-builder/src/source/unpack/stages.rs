//! What each of the threads does. One that ends drops its seats, and so the
//! others end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SendError, Sender};

use sha2::{Digest as _, Sha256};

use super::format::Format;
use super::ring::{Chunk, Input, Seat};
use super::sparse::write_sparse;
use crate::io::Writeback;
use crate::io::stream::fill;
use crate::source::digest::hex;

/// Why the decoder ended early.
pub(super) enum Fault {
    Damaged(io::Error),
    Zip(String),
    TooLarge,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error)
    }
}

/// Reads the packed file and gives its sha256. Goes on to the end when the
/// decoder gave up: a wrong sha256 is the better explanation.
pub(super) fn read(
    packed: &File,
    known: Option<&str>,
    seat: Seat,
    stop: &AtomicBool,
    tell: &Sender<u64>,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    let mut returned = None;
    while !stop.load(Ordering::Relaxed) {
        let mut chunk = match (seat.from.recv(), known) {
            (Ok(chunk), _) => chunk,
            (Err(_), Some(_)) => break,
            (Err(_), None) => returned.take().unwrap_or_else(Chunk::empty),
        };
        chunk.len = read_some(packed, &mut chunk.bytes, offset)?;
        if chunk.len == 0 {
            break;
        }
        if known.is_none() {
            hash.update(chunk.filled());
        }
        offset += chunk.len as u64;
        // The caller listens until this thread ends, or stops it.
        let _ = tell.send(chunk.len as u64);
        if let Err(SendError(chunk)) = seat.to.send(chunk) {
            returned = Some(chunk);
        }
    }
    Ok(known.map_or_else(|| hex(&hash.finalize()), str::to_owned))
}

/// Unpacks. Ends without a word when the threads behind it did: they know why.
pub(super) fn decode(
    format: Format,
    packed: &File,
    input: Seat,
    output: Seat,
    raw_max: u64,
    stop: &AtomicBool,
) -> Result<(), Fault> {
    let mut reader = format.reader(packed, Input::new(input))?;
    let mut len = 0;
    for mut chunk in &output.from {
        chunk.len = fill(&mut reader, &mut chunk.bytes)?;
        len += chunk.len as u64;
        if len > raw_max {
            return Err(Fault::TooLarge);
        }
        if chunk.len == 0 || stop.load(Ordering::Relaxed) || output.to.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

/// Hashes the raw bytes, and gives their sha256.
pub(super) fn hash(seat: Seat) -> String {
    let mut hash = Sha256::new();
    for chunk in &seat.from {
        hash.update(chunk.filled());
        if seat.to.send(chunk).is_err() {
            break;
        }
    }
    hex(&hash.finalize())
}

/// Writes the raw bytes, and gives their number.
pub(super) fn write(raw: &File, seat: Seat) -> io::Result<u64> {
    let mut writeback = Writeback::new(raw);
    let mut offset = 0;
    for chunk in &seat.from {
        write_sparse(raw, chunk.filled(), offset)?;
        offset += chunk.len as u64;
        writeback.written_to(offset);
        // The decoder may have come to its end.
        let _ = seat.to.send(chunk);
    }
    raw.set_len(offset)?;
    Ok(offset)
}

/// Counts the raw bytes, for whoever wants no more than their digest.
pub(super) fn count(seat: Seat) -> u64 {
    let mut len = 0;
    for chunk in &seat.from {
        len += chunk.len as u64;
        // The decoder may have come to its end.
        let _ = seat.to.send(chunk);
    }
    len
}

/// Reads what there is at once; nothing only at the end.
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
