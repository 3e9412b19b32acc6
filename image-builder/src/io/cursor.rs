//! `Read + Write + Seek` over a region, with the touched blocks in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use super::cow::BLOCK;
use super::{CowRegion, ReadAt};

/// Blocks kept that were only read: 16 MiB, four times the FAT of a 512 MiB
/// partition. A hostile image can make a reader go through all of it.
const MAX_CLEAN: usize = 4096;

/// What `fatfs` works on. It reads and writes a FAT four bytes at a time, so
/// the blocks it touches are kept: the changed ones all, of the others as many
/// as are worth it.
/// Changes reach the region with [`BlockCursor::commit`] and nowhere else.
pub struct BlockCursor<R> {
    region: R,
    position: u64,
    blocks: BTreeMap<u64, Block>,
    /// How many of them were not changed.
    clean: usize,
}

struct Block {
    bytes: Vec<u8>,
    dirty: bool,
}

impl<R: ReadAt> BlockCursor<R> {
    /// A cursor at the region's beginning.
    pub fn new(region: R) -> Self {
        Self {
            region,
            position: 0,
            blocks: BTreeMap::new(),
            clean: 0,
        }
    }

    /// The block at the position, read if it is new, and where in it the
    /// position lies.
    fn block(&mut self) -> io::Result<(&mut Block, usize)> {
        let start = self.position / BLOCK * BLOCK;
        let within = (self.position - start) as usize;
        if self.clean >= MAX_CLEAN && !self.blocks.contains_key(&start) {
            self.blocks.retain(|_, block| block.dirty);
            self.clean = 0;
        }
        let block = match self.blocks.entry(start) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let len = BLOCK.min(self.region.len() - start) as usize;
                let mut bytes = vec![0; len];
                self.region.read_exact_at(start, &mut bytes)?;
                self.clean += 1;
                entry.insert(Block {
                    bytes,
                    dirty: false,
                })
            }
        };
        Ok((block, within))
    }
}

impl<R> BlockCursor<R> {
    /// The changed blocks, `(offset, bytes)` in order.
    pub fn into_changed(self) -> Vec<(u64, Vec<u8>)> {
        self.blocks
            .into_iter()
            .filter(|(_, block)| block.dirty)
            .map(|(offset, block)| (offset, block.bytes))
            .collect()
    }
}

impl BlockCursor<Arc<CowRegion>> {
    /// Writes the changed blocks to the region.
    ///
    /// # Errors
    /// When the region cannot be written.
    pub fn commit(&mut self) -> io::Result<()> {
        for (start, block) in self.blocks.iter_mut().filter(|(_, block)| block.dirty) {
            self.region.write_all_at(*start, &block.bytes)?;
            block.dirty = false;
        }
        self.clean = self.blocks.len();
        Ok(())
    }
}

impl<T: ReadAt> ReadAt for Arc<T> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }
}

impl<R: ReadAt> Read for BlockCursor<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.position >= self.region.len() {
            return Ok(0);
        }
        let (block, within) = self.block()?;
        let len = buf.len().min(block.bytes.len() - within);
        buf[..len].copy_from_slice(&block.bytes[within..within + len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl<R: ReadAt> Write for BlockCursor<R> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() || self.position >= self.region.len() {
            return Ok(0);
        }
        let (block, within) = self.block()?;
        let len = buf.len().min(block.bytes.len() - within);
        block.bytes[within..within + len].copy_from_slice(&buf[..len]);
        let was_clean = !std::mem::replace(&mut block.dirty, true);
        self.clean -= usize::from(was_clean);
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: ReadAt> Seek for BlockCursor<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.region.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

// `gpt` wants a `Debug` device; the blocks would be thousands of lines.
impl<R> fmt::Debug for BlockCursor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCursor")
            .field("position", &self.position)
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::*;
    use crate::io::Region;

    #[test]
    fn blocks_only_read_are_forgotten_changed_ones_are_not() {
        let file = tempfile::tempfile().expect("temporary file");
        let blocks = 2 * MAX_CLEAN as u64;
        file.set_len(blocks * BLOCK).expect("size");
        let mut cursor = BlockCursor::new(Region::whole(Arc::new(file)).expect("region"));
        for block in 0..blocks {
            cursor.seek(SeekFrom::Start(block * BLOCK)).expect("seek");
            if block < 3 {
                cursor.write_all(&[1]).expect("write");
            }
            cursor.read_exact(&mut [0]).expect("read");
        }
        assert!(cursor.blocks.len() <= MAX_CLEAN + 3);
        assert_eq!(cursor.into_changed().len(), 3);
    }

    #[test]
    fn nothing_reaches_the_region_before_commit() {
        let file = tempfile::tempfile().expect("temporary file");
        file.write_all_at(&[7; 10_000], 0).expect("write");
        let region = Region::whole(Arc::new(file)).expect("region");
        let cow = Arc::new(CowRegion::new(region, 10_000, Path::new("/tmp")).expect("cow"));
        let mut cursor = BlockCursor::new(Arc::clone(&cow));
        cursor.seek(SeekFrom::Start(4090)).expect("seek");
        cursor.write_all(&[9; 20]).expect("write");
        let mut seen = [0; 22];
        cow.read_exact_at(4089, &mut seen).expect("read");
        assert_eq!(seen, [7; 22]);
        cursor.seek(SeekFrom::Current(-21)).expect("seek");
        cursor.read_exact(&mut seen).expect("read");
        assert_eq!((seen[0], seen[1], seen[20], seen[21]), (7, 9, 9, 7));
        cursor.commit().expect("commit");
        let mut after = [0; 22];
        cow.read_exact_at(4089, &mut after).expect("read");
        assert_eq!(after, seen);
        cursor.seek(SeekFrom::End(0)).expect("seek");
        assert_eq!(cursor.write(&[1]).expect("write at the end"), 0);
    }
}
