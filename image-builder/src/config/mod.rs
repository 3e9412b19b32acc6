//! Configuration: `cluster.toml` and `profiles/*.toml` become validated plans,
//! or a list of everything that is wrong with them.
//!
//! Text becomes a TOML document (`document`), is held against the schema of the
//! as-written types (`shape`, `written`), and then checked value by value
//! (`cluster`, `profile`) into the types of [`crate::plan`]; `neighbours` are the
//! other clusters of the same folder. Nothing stops at the first mistake. Only
//! `files` touches the disk.

mod check;
mod cluster;
mod document;
pub(crate) mod download;
mod field;
mod files;
mod load;
pub(crate) mod names;
mod nearest;
mod neighbours;
pub(crate) mod problem;
mod profile;
mod schema;
mod shape;
mod size;
mod ssh;
#[cfg(test)]
mod tests;
mod workspace;
mod written;

pub use cluster::{ClusterFile, NodeEntry};
pub(crate) use files::why;
pub use files::{Disk, Draft, Files};
pub use load::{default_profiles_dir, load, load_from, parse_cluster, parse_profile};
pub(crate) use nearest::nearest;
pub use problem::{Problem, Problems};
pub use schema::{SchemaKind, schema};
pub(crate) use ssh::is_private;
pub use workspace::{UnknownNode, Workspace};

/// The release of K3s that a cluster gets which names none.
pub(crate) fn k3s_default() -> String {
    let k3s = written::K3s::default();
    k3s.version.get().cloned().unwrap_or_default()
}
