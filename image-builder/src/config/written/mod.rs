//! The files as written: every key, what it means and its default. The JSON
//! schema, the reference in `docs/CONFIG.md` and the reading of the files all
//! come from these types; what a value may be is checked in `cluster` and
//! `profile`.

mod cluster;
mod profile;

pub(crate) use cluster::{
    Cluster, ClusterFile, GitOps, K3s, Locale, Named, Network, Node, Release, Role, Source, User,
};
pub(crate) use profile::{
    Artifact, Base, Disk, ExtraFile, Firmware, MachineId, NvmePower, PageSize, ProfileFile, Units,
};

/// A list of one, for the schema's examples: schemars reads calls, not lists.
fn one(value: &'static str) -> [&'static str; 1] {
    [value]
}
