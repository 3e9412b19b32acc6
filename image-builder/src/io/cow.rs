//! Copy-on-write over a region: reads come from the base until a block was
//! written or placed. Writes go to a scratch file; placed bytes stay where they
//! are. The base is never copied.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Blob, ReadAt, Region, check_range};

/// The unit of change. The ext4 block size of every supported base, so a
/// metadata write never has to read the rest of its block.
pub const BLOCK: u64 = 4096;

/// A base region, possibly enlarged, with changed blocks on top.
///
/// The scratch file has the region's shape: a changed block lies at its own
/// offset, everything else is a hole. One bit a block says which is which
/// (256 KiB for 8 GiB).
#[derive(Debug)]
pub struct CowRegion {
    len: u64,
    scratch: Region,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By offset, without overlap: the base, and what was placed over it.
    /// Where there is none, zeros.
    extents: BTreeMap<u64, Blob>,
    /// A bit a block: whether the scratch file has it.
    changed: Vec<u64>,
}

/// Where a range of the composed bytes lies.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Offset within the composed region.
    pub offset: u64,
    /// The bytes.
    pub bytes: Blob,
}

impl Piece {
    /// The range it takes, in bytes.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes.len()
    }
}

impl CowRegion {
    /// A region of `len` bytes, at least the base's; what is beyond the base
    /// reads as zeros. The scratch file is nameless and goes with the value;
    /// `dir` should be where the result will lie, for a cheap copy.
    ///
    /// # Errors
    /// When the scratch file cannot be made in `dir`.
    ///
    /// # Panics
    /// When `len` is less than the base's length.
    pub fn new(base: Region, len: u64, dir: &Path) -> io::Result<Self> {
        assert!(
            len >= base.len(),
            "a region cannot shrink from {} to {len} bytes",
            base.len()
        );
        let scratch = tempfile::tempfile_in(dir)?;
        scratch.set_len(len)?;
        let blocks = usize::try_from(len.div_ceil(BLOCK)).map_err(io::Error::other)?;
        Ok(Self {
            len,
            scratch: Region::whole(Arc::new(scratch))?,
            state: Mutex::new(State {
                extents: BTreeMap::from([(0, Blob::File(base))]),
                changed: vec![0; blocks.div_ceil(64)],
            }),
        })
    }

    /// Replaces the bytes at `offset`.
    ///
    /// # Errors
    /// Beyond the end, or when what lies there cannot be read or the scratch
    /// file written.
    pub fn write_all_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let mut state = self.state();
        let end = offset + buf.len() as u64;
        if buf.is_empty() {
            return Ok(());
        }
        // Only the first and the last block can be covered in part.
        for block in [offset / BLOCK, (end - 1) / BLOCK] {
            let whole = self.block_range(block);
            let covered = offset <= whole.start && whole.end <= end;
            if !covered && !is_set(&state.changed, block) {
                let mut old = vec![0; (whole.end - whole.start) as usize];
                state.read_extents(whole.start, &mut old)?;
                self.scratch_file().write_all_at(&old, whole.start)?;
                set(&mut state.changed, block, true);
            }
        }
        self.scratch_file().write_all_at(buf, offset)?;
        for block in offset / BLOCK..=(end - 1) / BLOCK {
            set(&mut state.changed, block, true);
        }
        Ok(())
    }

    /// Replaces whole blocks at `offset` by bytes that stay where they are.
    ///
    /// # Errors
    /// Beyond the end.
    ///
    /// # Panics
    /// When offset or length is not a multiple of [`BLOCK`].
    pub fn place(&self, offset: u64, bytes: Blob) -> io::Result<()> {
        let len = bytes.len();
        assert!(
            offset.is_multiple_of(BLOCK) && len.is_multiple_of(BLOCK),
            "{len} bytes at {offset} are no whole blocks"
        );
        check_range(offset, len as usize, self.len)?;
        let mut state = self.state();
        for block in offset / BLOCK..(offset + len) / BLOCK {
            set(&mut state.changed, block, false);
        }
        state.put(offset, bytes)
    }

    /// Forgets what was written to the block at `offset`.
    pub fn revert(&self, offset: u64) {
        set(&mut self.state().changed, offset / BLOCK, false);
    }

    /// Where the bytes that are not zero by construction lie, in order and
    /// without overlap: the extents' data that was not changed, and the changes.
    ///
    /// # Errors
    /// When a file cannot be searched for holes.
    pub fn pieces(&self) -> io::Result<Vec<Piece>> {
        let State { extents, changed } = &*self.state();
        let mut pieces = Vec::new();
        for (start, bytes) in extents {
            for data in bytes.data()? {
                for run in runs(changed, &(start + data.start..start + data.end), false) {
                    pieces.push(Piece {
                        offset: run.start,
                        bytes: bytes.slice(run.start - start, run.end - run.start)?,
                    });
                }
            }
        }
        for run in runs(changed, &(0..self.len), true) {
            let bytes = self.scratch.slice(run.start, run.end - run.start)?;
            pieces.push(Piece {
                offset: run.start,
                bytes: Blob::File(bytes),
            });
        }
        pieces.sort_by_key(|piece| piece.offset);
        Ok(pieces)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement: a panic elsewhere while
        // it was locked leaves nothing half done.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn scratch_file(&self) -> &File {
        self.scratch.place().0
    }

    fn block_range(&self, block: u64) -> Range<u64> {
        block * BLOCK..((block + 1) * BLOCK).min(self.len)
    }
}

impl State {
    /// Puts an extent over what lies there: the old ones keep what it leaves.
    fn put(&mut self, offset: u64, bytes: Blob) -> io::Result<()> {
        let end = offset + bytes.len();
        let first = self.extents.range(..=offset).next_back();
        let first = first.map_or(offset, |(start, _)| *start);
        let below: Vec<_> = self
            .extents
            .range(first..end)
            .map(|(start, old)| (*start, old.clone()))
            .collect();
        for (start, old) in below {
            let old_end = start + old.len();
            if old_end <= offset {
                continue;
            }
            self.extents.remove(&start);
            if start < offset {
                self.extents.insert(start, old.slice(0, offset - start)?);
            }
            if old_end > end {
                self.extents
                    .insert(end, old.slice(end - start, old_end - end)?);
            }
        }
        self.extents.insert(offset, bytes);
        Ok(())
    }

    /// What lies below the changes, zeros where nothing does.
    fn read_extents(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        let first = self.extents.range(..=offset).next_back();
        let first = first.map_or(offset, |(start, _)| *start);
        for (start, bytes) in self.extents.range(first..end) {
            let (from, to) = (offset.max(*start), end.min(start + bytes.len()));
            if from < to {
                let part = &mut buf[(from - offset) as usize..(to - offset) as usize];
                bytes.read_exact_at(from - start, part)?;
            }
        }
        Ok(())
    }
}

impl ReadAt for CowRegion {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let state = self.state();
        let end = offset + buf.len() as u64;
        let mut at = offset;
        while at < end {
            let from_scratch = is_set(&state.changed, at / BLOCK);
            let mut stop = self.block_range(at / BLOCK).end;
            while stop < end && is_set(&state.changed, stop / BLOCK) == from_scratch {
                stop = self.block_range(stop / BLOCK).end;
            }
            let stop = stop.min(end);
            let part = &mut buf[(at - offset) as usize..(stop - offset) as usize];
            if from_scratch {
                self.scratch.read_exact_at(at, part)?;
            } else {
                state.read_extents(at, part)?;
            }
            at = stop;
        }
        Ok(())
    }
}

fn is_set(bits: &[u64], block: u64) -> bool {
    bits[(block / 64) as usize] >> (block % 64) & 1 == 1
}

fn set(bits: &mut [u64], block: u64, to: bool) {
    let word = &mut bits[(block / 64) as usize];
    let bit = 1 << (block % 64);
    *word = if to { *word | bit } else { *word & !bit };
}

/// The parts of a byte range whose blocks' bits are `wanted`, joined.
fn runs(bits: &[u64], range: &Range<u64>, wanted: bool) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let block = at / BLOCK;
        let stop = ((block + 1) * BLOCK).min(range.end);
        if is_set(bits, block) == wanted {
            match runs.last_mut() {
                Some(last) if last.end == at => last.end = stop,
                _ => runs.push(at..stop),
            }
        }
        at = stop;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(bytes: &[u8]) -> Region {
        let file = tempfile::tempfile().expect("temporary file");
        file.write_all_at(bytes, 0).expect("write");
        Region::whole(Arc::new(file)).expect("region")
    }

    fn read_all(cow: &CowRegion) -> Vec<u8> {
        let mut bytes = vec![0xee; cow.len() as usize];
        cow.read_exact_at(0, &mut bytes).expect("read");
        bytes
    }

    /// What a sink would make of the pieces.
    fn assemble(cow: &CowRegion) -> Vec<u8> {
        let mut bytes = vec![0; cow.len() as usize];
        let mut end = 0;
        for piece in cow.pieces().expect("pieces") {
            assert!(piece.offset >= end, "pieces overlap or are out of order");
            end = piece.offset + piece.bytes.len();
            let part = &mut bytes[piece.offset as usize..end as usize];
            piece.bytes.read_exact_at(0, part).expect("read piece");
        }
        bytes
    }

    #[test]
    fn writes_behave_like_writes_to_a_copy() {
        let base: Vec<u8> = (0..40_000_u32).map(|i| (i % 251) as u8).collect();
        let base_region = region(&base);
        let cow = CowRegion::new(base_region.clone(), 50_001, Path::new("/tmp")).expect("cow");
        let mut model = base.clone();
        model.resize(50_001, 0);
        // Within a block, across blocks, whole blocks, over the base's end, at the very end.
        for (offset, len) in [
            (5, 3),
            (4000, 200),
            (8192, 8192),
            (39_990, 4000),
            (50_000, 1),
            (0, 4096),
            (12, 0),
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| 0x80 | (i % 127) as u8).collect();
            cow.write_all_at(offset, &bytes).expect("write");
            model[offset as usize..offset as usize + len].copy_from_slice(&bytes);
            assert_eq!(read_all(&cow), model, "after {len} bytes at {offset}");
            assert_eq!(
                assemble(&cow),
                model,
                "pieces after {len} bytes at {offset}"
            );
        }
        cow.revert(4096);
        cow.revert(8192);
        model[4096..12_288].copy_from_slice(&base[4096..12_288]);
        assert_eq!(read_all(&cow), model, "after reverting two blocks");
        let mut untouched = vec![0; base.len()];
        base_region.read_exact_at(0, &mut untouched).expect("read");
        assert_eq!(untouched, base, "the base was written");
    }

    #[test]
    fn placed_bytes_lie_over_the_base_and_below_later_writes() {
        let base = vec![7; 10 * BLOCK as usize];
        let len = 12 * BLOCK;
        let cow = CowRegion::new(region(&base), len, Path::new("/tmp")).expect("cow");
        let mut model = base;
        model.resize(len as usize, 0);
        // (place, at block, blocks): beside, over, within and around one
        // another, over the base's end, and writes in between.
        for (step, (place, block, blocks)) in [
            (true, 2, 3),
            (true, 5, 1),
            (false, 4, 2),
            (true, 3, 1),
            (true, 1, 6),
            (true, 2, 2),
            (false, 0, 1),
            (true, 9, 3),
            (true, 0, 12),
            (true, 4, 4),
        ]
        .into_iter()
        .enumerate()
        {
            let bytes = vec![step as u8 + 100; blocks * BLOCK as usize];
            let at = block * BLOCK as usize;
            // A write that is not whole blocks takes the rest from below.
            let (at, bytes) = if place {
                cow.place(at as u64, Blob::from(Arc::from(bytes.as_slice())))
                    .expect("place");
                (at, &bytes[..])
            } else {
                let part = &bytes[..bytes.len() - 100];
                cow.write_all_at(at as u64 + 50, part).expect("write");
                (at + 50, part)
            };
            model[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(read_all(&cow), model, "step {step}");
            assert_eq!(assemble(&cow), model, "pieces, step {step}");
        }
        let beyond = Blob::from(Arc::from(vec![0; 2 * BLOCK as usize]));
        assert!(cow.place(11 * BLOCK, beyond).is_err());
    }

    #[test]
    fn beyond_the_end_is_refused() {
        let cow = CowRegion::new(region(&[1; 100]), 100, Path::new("/tmp")).expect("cow");
        assert!(cow.write_all_at(100, &[0]).is_err());
        assert!(cow.write_all_at(u64::MAX, &[0, 0]).is_err());
        assert!(cow.read_exact_at(99, &mut [0, 0]).is_err());
    }
}
