//! Files in the ext4 root partition. Hides how ext4 is written and read:
//! `rust-fs-ext4` writes, `ext4-view` reads, so that what one wrote the other
//! has to understand (docs/decisions/0001-ext4-writer.md).

mod allocate;
pub mod grow;
pub mod superblock;
mod used;
pub mod view;
mod writer;

pub use superblock::{Ext4Error, Superblock};
pub use used::used;
pub use view::RootView;
pub use writer::{PathError, RootFs};
