//! The contract between `imgbuild`, which writes it into an image, and the
//! first-boot agent, which reads it on the node.
//!
//! Types and text only: nothing here opens a file, runs a command or asks the
//! clock. Both programs depend on this crate and never on each other.
//!
//! Every document carries a `version`. A reader refuses a version it does not
//! know instead of guessing; a field added later gets a serde default, and a
//! test that reads the older text.

pub mod config;
pub mod disk;
pub mod handover;
pub mod links;
pub mod package;
pub mod paths;
pub mod report;
pub mod seed;

pub use config::{NodeConfig, Role};
pub use handover::Handover;
pub use package::Package;
pub use report::{ConsoleLine, Report};
pub use seed::Seed;
