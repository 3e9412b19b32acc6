//! A disk for [`super::fake::Fake`]: sectors in memory, nothing where nothing was
//! written.

use std::collections::BTreeMap;

/// Bytes in a sector.
pub(crate) const SECTOR: u64 = 512;

/// The disk; of no size until it is given one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drive {
    /// Bytes.
    pub(crate) size: u64,
    sectors: BTreeMap<u64, Vec<u8>>,
}

impl Drive {
    /// An empty disk.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            sectors: BTreeMap::new(),
        }
    }

    /// A part of it; none beyond its end.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let end = offset + len as u64;
        if end > self.size {
            return None;
        }
        let mut content = vec![0; len];
        let (first, last) = (offset / SECTOR, end.div_ceil(SECTOR));
        for (sector, bytes) in self.sectors.range(first..last) {
            for (at, byte) in (sector * SECTOR..).zip(bytes) {
                if (offset..end).contains(&at) {
                    content[(at - offset) as usize] = *byte;
                }
            }
        }
        Some(content)
    }

    /// Writes whole sectors, those that `which` names by their place in `content`.
    pub(crate) fn write(&mut self, offset: u64, content: &[u8], which: impl Fn(u64) -> bool) {
        assert!(offset.is_multiple_of(SECTOR) && (content.len() as u64).is_multiple_of(SECTOR));
        assert!(offset + content.len() as u64 <= self.size, "beyond the end");
        for (number, bytes) in (0..).zip(content.chunks(SECTOR as usize)) {
            let sector = offset / SECTOR + number;
            if !which(number) {
                continue;
            }
            // Zeros are nothing, so that equal disks are equal.
            if bytes.iter().all(|byte| *byte == 0) {
                self.sectors.remove(&sector);
            } else {
                self.sectors.insert(sector, bytes.to_vec());
            }
        }
    }
}
