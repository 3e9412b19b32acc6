//! `.img.xz`, for every tool that flashes images.

use std::io::{self, Read, Write};

use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;

/// xz's own default (xz(1), `-6`): more costs every reader its size in memory.
const PRESET: u32 = 6;

/// Three dictionaries, what `xz -T` takes at this preset: smaller blocks unpack
/// on more cores at once and pack worse.
const BLOCK: u64 = 24 << 20;

/// Packs `from` to its end.
///
/// # Errors
/// When either side fails.
pub fn xz(from: &mut dyn Read, to: &mut dyn Write, threads: usize) -> io::Result<()> {
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .block_size(BLOCK)
        .preset(PRESET)
        .check(Check::Crc64)
        .encoder()
        .map_err(io::Error::other)?;
    let mut encoder = XzEncoder::new_stream(to, stream);
    io::copy(from, &mut encoder)?;
    encoder.finish()?.flush()
}
