//! The .xz format, version 1.2.1 (tukaani.org/xz/xz-file-format.txt): streams one
//! behind the other, with padding between them. Blocks that say their sizes, as
//! `xz -T` writes them, are unpacked on several threads.

use std::io::{self, BufRead, ErrorKind, Read};
use std::thread::available_parallelism;

use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};

/// Memory that unpacking may take. `xz -9` needs 65 MiB (xz(1)). A thread holds
/// a block packed and unpacked, and the dictionary: about 45 MiB with the 24 MiB
/// blocks of pi-gen (`xz -6`). So four of them work at once, and the program
/// stays below the 256 MiB that a build may take.
const MEMORY: u64 = 192 << 20;

/// Padding comes in units of four bytes (section 2.2).
const PADDING: u64 = 4;

/// The first byte of a stream (section 2.1.1.1).
const MAGIC: u8 = 0xfd;

const SOMETHING_ELSE: &str = "there is something else behind its end";

/// Unpacks all streams of a file.
pub(super) struct XzReader<R> {
    packed: R,
    stream: Stream,
    /// Between two streams.
    between: bool,
}

impl<R: BufRead> XzReader<R> {
    /// For a file that begins with a stream.
    pub(super) fn new(packed: R) -> io::Result<Self> {
        Ok(Self {
            packed,
            stream: decoder()?,
            between: false,
        })
    }

    /// Skips padding. Whether another stream follows.
    fn next_stream(&mut self) -> io::Result<bool> {
        let mut padding = 0;
        loop {
            let bytes = self.packed.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let (at_end, next) = (bytes.is_empty(), bytes.get(zeros).copied());
            self.packed.consume(zeros);
            padding += zeros as u64;
            if at_end || next.is_some() {
                if padding % PADDING != 0 {
                    return Err(broken("there are stray zeros behind its end"));
                }
                match next {
                    None => return Ok(false),
                    Some(MAGIC) => break,
                    Some(_) => return Err(broken(SOMETHING_ELSE)),
                }
            }
        }
        self.stream = decoder()?;
        self.between = false;
        Ok(true)
    }
}

impl<R: BufRead> Read for XzReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() {
            if self.between && !self.next_stream()? {
                break;
            }
            let bytes = self.packed.fill_buf()?;
            let action = match bytes.is_empty() {
                true => Action::Finish,
                false => Action::Run,
            };
            let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.process(bytes, buf, action).map_err(in_words)?;
            let used = self.stream.total_in() - total_in;
            let made = self.stream.total_out() - total_out;
            self.packed.consume(used as usize);
            match status {
                Status::StreamEnd => self.between = true,
                Status::MemNeeded => return Err(ErrorKind::UnexpectedEof.into()),
                Status::Ok | Status::GetCheck => {}
            }
            if made > 0 {
                return Ok(made as usize);
            }
        }
        Ok(0)
    }
}

/// A decoder for one stream: the threaded one does not go on to the next.
fn decoder() -> io::Result<Stream> {
    let threads = available_parallelism().map_or(1, usize::from);
    let stream = MtStreamBuilder::new()
        .threads(threads.try_into().unwrap_or(u32::MAX))
        .memlimit_threading(MEMORY)
        .memlimit_stop(MEMORY)
        .decoder();
    stream.map_err(in_words)
}

fn in_words(error: Error) -> io::Error {
    match error {
        Error::Data => broken("its data is damaged"),
        Error::Format => broken(SOMETHING_ELSE),
        Error::Options => broken("it uses a part of the format that is not known here"),
        Error::MemLimit => broken("it needs more than 192 MiB of memory; `xz -9` needs 65 MiB"),
        other => other.into(),
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
