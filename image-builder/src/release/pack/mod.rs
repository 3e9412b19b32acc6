//! An image in the two forms it is published in. Both are cut into pieces that
//! can be unpacked by themselves, side by side or from the middle; and both have
//! the same bytes however many threads packed them.

mod xz;
mod zst;

pub use xz::xz;
pub use zst::zst;

use std::num::NonZero;
use std::thread;

/// Threads to pack with: what the machine has.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests;
