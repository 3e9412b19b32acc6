//! The rooms of `imgbuild`; `docs/ARCHITECTURE.md` is their map.

pub mod bootfs;
pub mod build;
pub mod cli;
pub mod cmd;
pub mod compose;
pub mod config;
pub mod debian;
pub mod fetch;
pub mod identity;
pub mod ids;
pub mod inspect;
pub mod io;
pub mod layout;
pub mod lock;
pub mod overlay;
pub mod pki;
pub mod plan;
pub mod progress;
pub mod qemu;
pub mod rootfs;
pub mod secret;
pub mod secrets;
pub mod signature;
pub mod sink;
pub mod source;
pub mod view;
