//! What long work tells its caller, and how the caller stops it.

use std::io;

/// Told by every long step. `advance` is called at least every few MiB and is
/// where an interruption takes effect: the work returns its error and leaves
/// nothing half done.
pub trait Progress {
    /// A step begins; `total` bytes are to come where that is known.
    fn step(&mut self, name: &str, total: Option<u64>);

    /// That many bytes more are done.
    ///
    /// # Errors
    /// [`Interrupted`], inside an `io::Error`, when the work is to stop.
    fn advance(&mut self, bytes: u64) -> io::Result<()>;

    /// Something the user should know, though nothing is wrong.
    fn note(&mut self, text: &str);
}

/// The user asked the work to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        // Not `ErrorKind::Interrupted`: the standard library retries that one.
        io::Error::other(interrupted)
    }
}

/// Says nothing and never stops.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}
