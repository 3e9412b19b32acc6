//! The bases of the overlay's own tests, which look for `Part` and
//! `MemoryBase` two modules up.

#[path = "../../../../image-builder/src/overlay/tests/bases.rs"]
mod bases;

use super::memory::MemoryBase;

/// Raspberry Pi OS Lite in two releases, trixie and bookworm.
pub(super) fn bases() -> [MemoryBase; 2] {
    [bases::trixie(), bases::bookworm()]
}
