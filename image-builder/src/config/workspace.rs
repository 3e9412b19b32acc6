//! A cluster with the profiles of its nodes: what plans are made from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::cluster::{ClusterFile, NodeEntry};
use super::nearest::nearest;
use super::problem::{Problem, listed, quoted};
use crate::plan::{Cluster, K3s, NodePlan, Profile, Release, Source};

/// A cluster whose every file was read and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    pub(super) dir: PathBuf,
    pub(super) cluster: ClusterFile,
    /// By name; every profile that a node names is there.
    pub(super) profiles: BTreeMap<String, Profile>,
    /// Addresses that other clusters' files in the same folder claim, and which.
    pub(super) taken: BTreeMap<Ipv4Addr, PathBuf>,
    pub(super) warnings: Vec<Problem>,
}

/// A name that no node of the cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownNode {
    /// The name asked for.
    pub name: String,
    /// The names there are, in the file's order.
    pub known: Vec<String>,
}

impl Workspace {
    /// Everything about one node.
    ///
    /// # Errors
    /// When the cluster has no such node.
    pub fn plan(&self, node: &str) -> Result<NodePlan, UnknownNode> {
        let named = self
            .cluster
            .nodes
            .iter()
            .find(|entry| entry.node.name == node);
        let planned = named.and_then(|NodeEntry { node, profile }| {
            let ClusterFile {
                cluster,
                network,
                users,
                locale,
                k3s,
                gitops,
                source: _,
                release: _,
                nodes: _,
            } = self.cluster.clone();
            Some(NodePlan {
                cluster,
                network,
                users,
                locale,
                k3s,
                gitops,
                node: node.clone(),
                profile: self.profiles.get(profile)?.clone(),
            })
        });
        planned.ok_or_else(|| UnknownNode {
            name: node.to_owned(),
            known: self.node_names().map(str::to_owned).collect(),
        })
    }

    /// The nodes' names, in the file's order.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.cluster
            .nodes
            .iter()
            .map(|entry| entry.node.name.as_str())
    }

    /// The cluster file: what its nodes have in common, and the nodes.
    pub fn file(&self) -> &ClusterFile {
        &self.cluster
    }

    /// Addresses that other clusters' files in the same folder claim, and which
    /// file does.
    pub fn taken(&self) -> &BTreeMap<Ipv4Addr, PathBuf> {
        &self.taken
    }

    /// The cluster's name and id.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster.cluster
    }

    /// The profiles that nodes name, in the order of their names.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// The cluster's Kubernetes, if it has one.
    pub fn k3s(&self) -> Option<&K3s> {
        self.cluster.k3s.as_ref()
    }

    /// How downloads reach this machine.
    pub fn source(&self) -> &Source {
        &self.cluster.source
    }

    /// Whose release images are used.
    pub fn release(&self) -> &Release {
        &self.cluster.release
    }

    /// The directory of the cluster file, which also holds its secrets.
    pub fn cluster_dir(&self) -> &Path {
        &self.dir
    }

    /// What is allowed but hardly meant, such as an even number of servers.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl fmt::Display for UnknownNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = || self.known.iter().map(String::as_str);
        write!(f, "there is no node {}; ", quoted(&self.name))?;
        match nearest(&self.name, known()) {
            Some(near) if self.known.len() > 1 => {
                write!(
                    f,
                    "did you mean `{near}`? The nodes are {}",
                    listed(known())
                )
            }
            Some(near) => write!(f, "did you mean `{near}`?"),
            None => write!(f, "the nodes are {}", listed(known())),
        }
    }
}

impl std::error::Error for UnknownNode {}
