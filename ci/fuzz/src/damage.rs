//! File systems with a few bytes changed. A fuzzer that had to invent a whole
//! file system would never get past its first block: the input is a list of
//! changes to a good one, aimed at the blocks that hold something.

use std::sync::Arc;

use imgbuild::io::cow::BLOCK;
use imgbuild::io::{CowRegion, ReadAt as _, Region};

use crate::{open_seed, scratch_dir};

/// Most bytes one change replaces: the widest field on either file system.
const WIDEST: usize = 8;

/// A good file system, and where it has content.
#[derive(Debug)]
pub struct Good {
    region: Region,
    blocks: Vec<u64>,
}

impl Good {
    /// A seed made by `ci/fuzz/seeds`.
    ///
    /// # Panics
    /// When it is not there.
    pub fn load(name: &str) -> Self {
        let region = open_seed(name);
        let mut bytes = vec![0; BLOCK as usize];
        let mut is_used = |offset: u64| {
            region
                .read_exact_at(offset, &mut bytes)
                .expect("a readable seed");
            bytes.iter().any(|byte| *byte != 0)
        };
        let blocks = (0..region.len())
            .step_by(BLOCK as usize)
            .filter(|offset| is_used(*offset))
            .collect();
        Self { region, blocks }
    }

    /// A copy with changes, each `block, offset (2 bytes), length, bytes`. Every
    /// input is a valid list: what is out of range is taken modulo the range.
    ///
    /// # Panics
    /// When the machine has no room for a scratch file, which is no find.
    pub fn damaged(&self, mut changes: &[u8]) -> Arc<CowRegion> {
        let copy = CowRegion::new(self.region.clone(), self.region.len(), &scratch_dir())
            .expect("a scratch file");
        while let [block, low, high, len, rest @ ..] = changes {
            let (bytes, rest) = rest.split_at(rest.len().min(1 + usize::from(*len) % WIDEST));
            let within = u64::from(u16::from_le_bytes([*low, *high])) % (BLOCK - WIDEST as u64 + 1);
            let block = self.blocks[usize::from(*block) % self.blocks.len()];
            copy.write_all_at(block + within, bytes)
                .expect("a place inside the seed");
            changes = rest;
        }
        Arc::new(copy)
    }
}
