//! Compressed bases: from packed bytes to a sparse raw file in one pass. Both
//! sides are hashed on the way.
//!
//! Four threads stand in a row, each with a few buffers between it and the
//! next: reading and hashing the packed bytes, unpacking, hashing the raw
//! bytes, writing them. The caller's own thread tells the progress and hears
//! the interruption.

mod format;
mod ring;
pub(in crate::source) mod sparse;
mod stages;
mod xz;
mod zip;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

pub use format::Format;

use crate::plan::Size;
use crate::progress::Progress;
use stages::Fault;

/// A raw image longer than this is taken for a bomb. Published images are below
/// 16 GiB; the next larger card or stick, all of it in one file, fits as well.
pub const RAW_MAX: u64 = 64 << 30;

/// How long an interruption may go unheard while nothing moves.
const TICK: Duration = Duration::from_millis(100);

/// What is known, and what is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The packed file's sha256 if somebody computed it already: it is not
    /// computed again then.
    pub known: Option<&'a str>,
    /// The sha256 the packed file must have.
    pub pinned: Option<&'a str>,
    /// The most raw bytes, [`RAW_MAX`] but for tests.
    pub raw_max: u64,
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// sha256 of the packed file, in lower-case hex.
    pub packed_sha256: String,
    /// Its length in bytes.
    pub packed_len: u64,
    /// sha256 of the raw image.
    pub raw_sha256: String,
    /// Its length in bytes, holes included.
    pub raw_len: u64,
}

/// Why a file was not unpacked. What the raw file holds then is of no use.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The packed file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    /// Its first bytes are none of ours.
    #[error("it is not compressed in a way known here: xz, zstd, gzip or zip")]
    Unknown,
    /// Other bytes than were pinned.
    #[error("its sha256 is {found}, and {expected} is pinned")]
    Digest {
        /// The pin.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// It ends early, is damaged, or has something behind its end.
    #[error("it cannot be unpacked as {format}: {source}; fetch it again")]
    Damaged {
        /// What its first bytes announce.
        format: Format,
        /// What the decoder says.
        source: io::Error,
    },
    /// A .zip without an image that could be taken from it.
    #[error("no image can be taken from this zip: {0}")]
    Zip(String),
    /// More raw bytes than an image has.
    #[error("it unpacks to more than {}, which no base image does", Size(*.0))]
    TooLarge(u64),
    /// The raw file cannot be written.
    #[error("the unpacked image cannot be written: {0}")]
    Write(io::Error),
    /// The progress said stop.
    #[error(transparent)]
    Stopped(io::Error),
}

/// Unpacks a compressed file into an empty one, which gets holes where whole
/// 4 KiB blocks are zero. It is not synced. The progress is told packed bytes.
///
/// # Errors
/// [`UnpackError`]. A packed file with another sha256 than the pinned one is
/// always [`UnpackError::Digest`], whatever else is wrong with it.
pub fn unpack(
    packed: &File,
    raw: &File,
    options: Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Unpacked, UnpackError> {
    run(packed, Some(raw), options, progress)
}

/// Unpacks a compressed file for its digests alone.
///
/// # Errors
/// As [`unpack`].
pub fn hash(
    packed: &File,
    options: Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Unpacked, UnpackError> {
    run(packed, None, options, progress)
}

fn run(
    packed: &File,
    raw: Option<&File>,
    options: Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Unpacked, UnpackError> {
    let packed_len = packed.metadata().map_err(UnpackError::Read)?.len();
    let format = Format::of(packed).map_err(UnpackError::Read)?;
    let format = format.ok_or(UnpackError::Unknown)?;
    let stop = &AtomicBool::new(false);
    let [filled, input] = ring::ring();
    let [output, hashed, written] = ring::ring();
    let (tell, told) = channel();

    let (told, read, decoded, raw_sha256, wrote) = thread::scope(|scope| {
        let reader = {
            let tell = tell.clone();
            move || stages::read(packed, options.known, filled, stop, &tell)
        };
        let reader = start(scope, &tell, reader);
        let decoder = start(scope, &tell, move || {
            stages::decode(format, packed, input, output, options.raw_max, stop)
        });
        let hasher = start(scope, &tell, move || stages::hash(hashed));
        let writer = start(scope, &tell, move || {
            let Some(raw) = raw else {
                return Ok(stages::count(written));
            };
            // When it fails, the others would go on for nobody.
            stages::write(raw, written).inspect_err(|_| stop.store(true, Ordering::Relaxed))
        });
        drop(tell);
        let told = pass_on(&told, progress).inspect_err(|_| stop.store(true, Ordering::Relaxed));
        (
            told,
            join(reader),
            join(decoder),
            join(hasher),
            join(writer),
        )
    });

    // Stopping and a full disk end all the others, so they are asked first; a
    // wrong pin explains whatever the decoder says.
    told.map_err(UnpackError::Stopped)?;
    let raw_len = wrote.map_err(UnpackError::Write)?;
    let packed_sha256 = read.map_err(UnpackError::Read)?;
    match options.pinned {
        Some(expected) if expected != packed_sha256 => {
            return Err(UnpackError::Digest {
                expected: expected.to_owned(),
                found: packed_sha256,
            });
        }
        _ => {}
    }
    decoded.map_err(|fault| match fault {
        Fault::Damaged(source) => UnpackError::Damaged { format, source },
        Fault::Zip(why) => UnpackError::Zip(why),
        Fault::TooLarge => UnpackError::TooLarge(options.raw_max),
    })?;
    Ok(Unpacked {
        packed_sha256,
        packed_len,
        raw_sha256,
        raw_len,
    })
}

/// A thread that the caller waits for: `tell` lives until it ends.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    tell: &Sender<u64>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let alive = tell.clone();
    scope.spawn(move || {
        let result = work();
        drop(alive);
        result
    })
}

/// Passes on what is told, until nobody is left to tell anything.
fn pass_on(told: &Receiver<u64>, progress: &mut dyn Progress) -> io::Result<()> {
    loop {
        match told.recv_timeout(TICK) {
            Ok(bytes) => progress.advance(bytes)?,
            // A little input may be a lot of work: listen for Ctrl-C meanwhile.
            Err(RecvTimeoutError::Timeout) => progress.advance(0)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// What the thread returned; its panic goes on here.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
