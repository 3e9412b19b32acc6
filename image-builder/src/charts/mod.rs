//! Helm charts of others, kept in the repository: which are wanted
//! (`charts.toml`), what was taken for that (`charts.lock`), and their files,
//! unpacked and untouched, which Argo CD renders without a network.
//!
//! ```text
//! charts.toml -> resolve -> digest -> fetch -> cache -> unpack -> kube-apps/charts/NAME
//!                index, oci                                |
//!                                          charts.lock <- tree hash
//! ```

mod archive;
mod check;
mod index;
mod lock;
mod meta;
mod oci;
mod problem;
mod resolve;
mod tree;
mod update;
mod vendor;
mod version;
mod wanted;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use archive::{ArchiveError, Limits, unpack, walk};
pub use check::{Finding, check};
pub use index::{Listing, Release, read as read_index};
pub use lock::{Locked, Oci, Vendored};
pub use meta::Meta;
pub use oci::{Manifest, Tags};
pub use problem::{ChartsError, Disagreement};
pub use resolve::{Found, Source, resolve};
pub use tree::Tree;
pub use update::{News, news};
pub use vendor::{Edited, Job, Outcome, vendor};
pub use version::Version;
pub(crate) use wanted::name as check_name;
pub use wanted::{Chart, Known, Repository, Wanted, Wrong};
pub use yaml::YamlError;

/// Where a cluster's charts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Which charts are wanted.
    pub wanted: PathBuf,
    /// What was taken for that.
    pub lock: PathBuf,
    /// A folder each.
    pub charts: PathBuf,
}

impl Places {
    /// Beside the cluster's file.
    pub fn of(cluster_dir: &Path) -> Self {
        Self {
            wanted: cluster_dir.join("charts.toml"),
            lock: cluster_dir.join("charts.lock"),
            charts: cluster_dir.join("kube-apps/charts"),
        }
    }
}
