//! `.img.zst`, in the seekable format (facebook/zstd,
//! contrib/seekable_format/zstd_seekable_compression_format.md): one frame a
//! piece, and a table of them at the end, in a frame that other readers skip.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::io::stream::fill;

/// A good deal smaller than level 3 makes it, and still as fast to unpack.
const LEVEL: i32 = 10;

/// Uncompressed bytes of a frame. What a reader at a random place has to unpack
/// at most; a frame knows nothing of those before it, so small ones pack worse.
const FRAME: usize = 8 << 20;

/// A skippable frame with the seek table in it.
const TABLE_MAGIC: u32 = 0x184D_2A5E;

/// The end of the table, by which it is found from the end of the file.
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;

/// Bytes of a table's footer: number of frames, descriptor, magic.
const FOOTER: usize = 9;

type Packed = io::Result<Vec<u8>>;

/// Bytes of one frame, and where it goes when it is packed.
type Job = (Vec<u8>, SyncSender<Packed>);

/// Packs `from` to its end.
///
/// # Errors
/// When either side fails.
///
/// # Panics
/// Never: a thread that packs does not.
pub fn zst(mut from: &mut dyn Read, to: &mut dyn Write, threads: usize) -> io::Result<()> {
    let threads = threads.max(1);
    let (jobs, queue) = sync_channel::<Job>(threads);
    let queue = &Mutex::new(queue);
    // The end of jobs, dropped at every return, is what ends the threads.
    thread::scope(move |scope| {
        for _ in 0..threads {
            scope.spawn(move || work(queue));
        }
        let mut table = Vec::new();
        let mut waiting = VecDeque::new();
        let mut ended = false;
        while !ended || !waiting.is_empty() {
            if !ended {
                let mut frame = vec![0; FRAME];
                let len = fill(&mut from, &mut frame)?;
                frame.truncate(len);
                ended = len < FRAME;
                if len > 0 {
                    let (done, result) = sync_channel(1);
                    waiting.push_back((len, result));
                    jobs.send((frame, done)).map_err(io::Error::other)?;
                }
            }
            // In order, and no more at once than there is work for.
            if waiting.len() > threads || ended {
                let Some((len, result)) = waiting.pop_front() else {
                    continue;
                };
                let packed = receive(&result)?;
                to.write_all(&packed)?;
                table.push((packed.len(), len));
            }
        }
        to.write_all(&seek_table(&table)?)?;
        to.flush()
    })
}

fn receive(result: &Receiver<Packed>) -> Packed {
    result.recv().map_err(io::Error::other)?
}

/// Packs frames until nobody sends any.
fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().map(|queue| queue.recv());
        let Ok(Ok((frame, done))) = next else { return };
        // Nobody waits for it any more: the writing has failed.
        let _ = done.send(pack(&frame));
    }
}

fn pack(frame: &[u8]) -> Packed {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    packer.include_checksum(true)?;
    packer.compress(frame)
}

/// Of each frame the packed and the unpacked length; no checksums, which the
/// frames have themselves. All numbers are little-endian.
fn seek_table(frames: &[(usize, usize)]) -> io::Result<Vec<u8>> {
    let number = |value: usize| u32::try_from(value).map_err(io::Error::other);
    let mut table = Vec::new();
    table.extend(TABLE_MAGIC.to_le_bytes());
    table.extend(number(frames.len() * 8 + FOOTER)?.to_le_bytes());
    for (packed, unpacked) in frames {
        table.extend(number(*packed)?.to_le_bytes());
        table.extend(number(*unpacked)?.to_le_bytes());
    }
    table.extend(number(frames.len())?.to_le_bytes());
    table.push(0);
    table.extend(FOOTER_MAGIC.to_le_bytes());
    Ok(table)
}
