//! The rooms of `imgbuild`; `docs/ARCHITECTURE.md` is their map.

pub mod bootfs;
pub mod cmd;
pub mod compose;
pub mod ids;
pub mod io;
pub mod layout;
pub mod overlay;
pub mod plan;
pub mod progress;
pub mod rootfs;
pub mod sink;
pub mod source;
pub mod view;
