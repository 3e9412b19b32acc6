//! Copy-on-write over a region: reads come from the base until a block was
//! written, writes go to a scratch file. The base is never copied.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{ReadAt, Region, check_range};

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
    base: Region,
    len: u64,
    scratch: Arc<File>,
    changed: Mutex<Vec<u64>>,
}

/// Where a range of the composed bytes lies.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Offset within the composed region.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The file that holds the bytes.
    pub file: Arc<File>,
    /// Offset within that file.
    pub file_offset: u64,
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
            base,
            len,
            scratch: Arc::new(scratch),
            changed: Mutex::new(vec![0; blocks.div_ceil(64)]),
        })
    }

    /// Replaces the bytes at `offset`.
    ///
    /// # Errors
    /// Beyond the end, or when the base cannot be read or the scratch file
    /// written.
    pub fn write_all_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let mut changed = self.changed();
        let end = offset + buf.len() as u64;
        if buf.is_empty() {
            return Ok(());
        }
        // Only the first and the last block can be covered in part.
        for block in [offset / BLOCK, (end - 1) / BLOCK] {
            let whole = self.block_range(block);
            let covered = offset <= whole.start && whole.end <= end;
            if !covered && !is_set(&changed, block) {
                let mut old = vec![0; (whole.end - whole.start) as usize];
                self.read_base(whole.start, &mut old)?;
                self.scratch.write_all_at(&old, whole.start)?;
                set(&mut changed, block);
            }
        }
        self.scratch.write_all_at(buf, offset)?;
        for block in offset / BLOCK..=(end - 1) / BLOCK {
            set(&mut changed, block);
        }
        Ok(())
    }

    /// Forgets the changes to the block at `offset`, which is within the base.
    pub fn revert(&self, offset: u64) {
        let block = offset / BLOCK;
        self.changed()[(block / 64) as usize] &= !(1 << (block % 64));
    }

    /// Where the bytes that are not zero by construction lie, in order and
    /// without overlap: the base's data that was not changed, and the changes.
    ///
    /// # Errors
    /// When the base cannot be searched for holes.
    pub fn pieces(&self) -> io::Result<Vec<Piece>> {
        let changed = self.changed();
        let mut pieces = Vec::new();
        let (base_file, base_offset) = self.base.place();
        for range in self.base.data()? {
            for run in runs(&changed, &range, false) {
                pieces.push(Piece {
                    offset: run.start,
                    len: run.end - run.start,
                    file: Arc::clone(base_file),
                    file_offset: base_offset + run.start,
                });
            }
        }
        for run in runs(&changed, &(0..self.len), true) {
            pieces.push(Piece {
                offset: run.start,
                len: run.end - run.start,
                file: Arc::clone(&self.scratch),
                file_offset: run.start,
            });
        }
        pieces.sort_by_key(|piece| piece.offset);
        Ok(pieces)
    }

    fn changed(&self) -> MutexGuard<'_, Vec<u64>> {
        // The bits are whole after every statement: a panic elsewhere while
        // they were locked leaves nothing half done.
        self.changed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn block_range(&self, block: u64) -> Range<u64> {
        block * BLOCK..((block + 1) * BLOCK).min(self.len)
    }

    /// The base's bytes, zeros beyond it.
    fn read_base(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let inside = self.base.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        let (head, tail) = buf.split_at_mut(inside);
        tail.fill(0);
        if head.is_empty() {
            Ok(())
        } else {
            self.base.read_exact_at(offset, head)
        }
    }
}

impl ReadAt for CowRegion {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(offset, buf.len(), self.len)?;
        let changed = self.changed();
        let end = offset + buf.len() as u64;
        let mut at = offset;
        while at < end {
            let from_scratch = is_set(&changed, at / BLOCK);
            let mut stop = self.block_range(at / BLOCK).end;
            while stop < end && is_set(&changed, stop / BLOCK) == from_scratch {
                stop = self.block_range(stop / BLOCK).end;
            }
            let stop = stop.min(end);
            let part = &mut buf[(at - offset) as usize..(stop - offset) as usize];
            if from_scratch {
                self.scratch.read_exact_at(part, at)?;
            } else {
                self.read_base(at, part)?;
            }
            at = stop;
        }
        Ok(())
    }
}

fn is_set(bits: &[u64], block: u64) -> bool {
    bits[(block / 64) as usize] >> (block % 64) & 1 == 1
}

fn set(bits: &mut [u64], block: u64) {
    bits[(block / 64) as usize] |= 1 << (block % 64);
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
            end = piece.offset + piece.len;
            piece
                .file
                .read_exact_at(
                    &mut bytes[piece.offset as usize..end as usize],
                    piece.file_offset,
                )
                .expect("read piece");
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
    fn beyond_the_end_is_refused() {
        let cow = CowRegion::new(region(&[1; 100]), 100, Path::new("/tmp")).expect("cow");
        assert!(cow.write_all_at(100, &[0]).is_err());
        assert!(cow.write_all_at(u64::MAX, &[0, 0]).is_err());
        assert!(cow.read_exact_at(99, &mut [0, 0]).is_err());
    }
}
