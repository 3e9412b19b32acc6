//! The nodes of the cluster, which every server has and tells the others of.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// A kubelet reports its container network as ready so many seconds after its start.
const NETWORK_TAKES: u64 = 3;

/// A node that was not heard of for so long is not Ready (Kubernetes docs:
/// `--node-monitor-grace-period`, before 1.32).
const GRACE: u64 = 40;

/// What a node is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Server,
    Agent,
}

/// Who asks for a place in the cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Newcomer {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) role: Role,
    pub(crate) password: String,
}

/// A node. What of two servers is right: the later life, and of one the last sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    /// Goes up when it is deleted, and when it comes back.
    life: u32,
    deleted: bool,
    role: Role,
    address: Ipv4Addr,
    /// sha256 of its password.
    password: Vec<u8>,
    /// When it came, and when it was last heard of, in seconds since 1970.
    since: u64,
    heard: u64,
}

/// All of them, by name; deleted ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nodes(BTreeMap<String, Node>);

/// Why somebody gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The name is another machine's.
    Password,
    /// etcd has a member of that name.
    Member,
}

impl Nodes {
    /// Gives a place, or says that the node is still there.
    pub(crate) fn welcome(&mut self, who: &Newcomer, now: u64) -> Result<(), Refused> {
        let password = digest(&SHA256, who.password.as_bytes()).as_ref().to_vec();
        let life = match self.0.get_mut(&who.name) {
            Some(node) if !node.deleted && node.password != password => {
                return Err(Refused::Password);
            }
            Some(node) if !node.deleted => {
                (node.heard, node.since) = (now, now);
                return Ok(());
            }
            Some(node) => node.life + 1,
            None => 0,
        };
        let node = Node {
            life,
            deleted: false,
            role: who.role,
            address: who.address,
            password,
            since: now,
            heard: now,
        };
        self.0.insert(who.name.clone(), node);
        Ok(())
    }

    /// Whether a server may join under this name: etcd has nobody of it.
    pub(crate) fn may_join(&self, who: &Newcomer) -> Result<(), Refused> {
        match self.present().any(|(name, _)| *name == who.name) {
            true => Err(Refused::Member),
            false => Ok(()),
        }
    }

    /// It was heard of. Whether it has a place.
    pub(crate) fn hear(&mut self, name: &str, now: u64) -> bool {
        let node = self.0.get_mut(name).filter(|node| !node.deleted);
        node.map(|node| node.heard = now).is_some()
    }

    /// `kubectl delete node`. Whether there was one.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let node = self.0.get_mut(name).filter(|node| !node.deleted);
        node.map(|node| (node.deleted, node.life) = (true, node.life + 1))
            .is_some()
    }

    /// Takes over what another server knows better.
    pub(crate) fn merge(&mut self, theirs: Nodes) {
        for (name, node) in theirs.0 {
            let rank = |node: &Node| (node.life, node.heard, node.since);
            let known = self.0.get(&name);
            if known.is_none_or(|known| rank(known) < rank(&node)) {
                self.0.insert(name, node);
            }
        }
    }

    /// The servers but this one.
    pub(crate) fn other_servers(&self, own: &str) -> Vec<Ipv4Addr> {
        self.present()
            .filter(|(name, node)| *name != own && node.role == Role::Server)
            .map(|(_, node)| node.address)
            .collect()
    }

    /// All servers.
    pub(crate) fn servers(&self) -> Vec<Ipv4Addr> {
        self.other_servers("")
    }

    /// Those with a place, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.present().map(|(name, _)| name.as_str())
    }

    /// Its condition `Ready`: status, reason and message.
    pub(crate) fn ready(&self, name: &str, now: u64) -> Option<[&'static str; 3]> {
        let (_, node) = self.present().find(|(other, _)| *other == name)?;
        Some(if now.saturating_sub(node.heard) > GRACE {
            [
                "Unknown",
                "NodeStatusUnknown",
                "Kubelet stopped posting node status.",
            ]
        } else if now.saturating_sub(node.since) < NETWORK_TAKES {
            let message = "container runtime network not ready: cni plugin not initialized";
            ["False", "KubeletNotReady", message]
        } else {
            ["True", "KubeletReady", "kubelet is posting ready status"]
        })
    }

    fn present(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.0.iter().filter(|(_, node)| !node.deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(name: &str, role: Role, password: &str) -> Newcomer {
        Newcomer {
            name: name.into(),
            address: Ipv4Addr::new(192, 168, 4, 11),
            role,
            password: password.into(),
        }
    }

    #[test]
    fn a_name_belongs_to_a_password_until_it_is_deleted() {
        let mut nodes = Nodes::default();
        let first = newcomer("pi-3", Role::Agent, "a");
        let other = newcomer("pi-3", Role::Agent, "b");
        assert_eq!(nodes.welcome(&first, 10), Ok(()));
        assert_eq!(nodes.welcome(&other, 11), Err(Refused::Password));
        assert_eq!(nodes.welcome(&first, 12), Ok(()));
        assert!(nodes.delete("pi-3") && !nodes.delete("pi-3"));
        assert!(!nodes.hear("pi-3", 13));
        assert_eq!(nodes.welcome(&other, 14), Ok(()));
        assert_eq!(nodes.names().collect::<Vec<_>>(), ["pi-3"]);
    }

    #[test]
    fn a_server_joins_once() {
        let mut nodes = Nodes::default();
        let server = newcomer("pi-1", Role::Server, "a");
        assert_eq!(nodes.may_join(&server), Ok(()));
        nodes.welcome(&server, 10).expect("a place");
        assert_eq!(nodes.may_join(&server), Err(Refused::Member));
        assert_eq!(nodes.servers().len(), 1);
        assert!(nodes.other_servers("pi-1").is_empty());
        nodes.delete("pi-1");
        assert_eq!(nodes.may_join(&server), Ok(()));
    }

    #[test]
    fn a_deletion_outlives_what_others_heard() {
        let mut nodes = Nodes::default();
        nodes
            .welcome(&newcomer("pi-1", Role::Server, "a"), 10)
            .expect("a place");
        let mut other = nodes.clone();
        nodes.delete("pi-1");
        other.hear("pi-1", 99);
        nodes.merge(other.clone());
        other.merge(nodes.clone());
        assert_eq!(nodes.names().count(), 0);
        assert_eq!(nodes, other);
    }

    #[test]
    fn a_node_is_ready_once_its_network_is_and_as_long_as_it_is_heard_of() {
        let mut nodes = Nodes::default();
        let node = newcomer("pi-3", Role::Agent, "a");
        nodes.welcome(&node, 100).expect("a place");
        for (now, status) in [
            (100, "False"),
            (103, "True"),
            (140, "True"),
            (141, "Unknown"),
        ] {
            let ready = nodes.ready("pi-3", now).expect("there");
            assert_eq!(ready[0], status, "{now}");
        }
        assert_eq!(nodes.ready("pi-4", 100), None);
    }
}
