//! A cluster's nodes as other programs want them: name servers, the router that
//! hands out addresses, Ansible, ssh. Texts only, the same for the same cluster
//! file; whoever calls this says where they go.

mod ansible;
mod names;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use ansible::ansible;
pub use names::{dnsmasq, hosts, zone};

use crate::config::ClusterFile;
use crate::identity;
use crate::plan::Peer;

/// Where the nodes' SSH host keys are found by a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownHosts {
    /// In one file: absolute.
    File(PathBuf),
    /// In a file a node, where `build` puts it: `NODE.known_hosts` in this folder,
    /// absolute.
    Folder(PathBuf),
}

impl KnownHosts {
    fn of(&self, node: &str) -> PathBuf {
        match self {
            Self::File(file) => file.clone(),
            Self::Folder(folder) => folder.join(format!("{node}.known_hosts")),
        }
    }
}

/// An ssh_config(5) with every node.
pub fn ssh_config(file: &ClusterFile, known: &KnownHosts) -> String {
    let user = &file.users[0].name;
    let node = |peer: Peer| {
        let path = known.of(&peer.name);
        identity::ssh_config([&peer], user, &path)
    };
    peers(file).map(node).collect()
}

/// The nodes by name and address, in the file's order.
pub fn peers(file: &ClusterFile) -> impl Iterator<Item = Peer> {
    file.nodes.iter().map(|entry| Peer {
        name: entry.node.name.clone(),
        address: entry.node.address.addr(),
    })
}

/// A path as ssh's own configuration has it: quoted, and no token in it
/// (ssh_config(5)).
fn ssh_path(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}
