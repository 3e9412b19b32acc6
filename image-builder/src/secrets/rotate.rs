//! A secret made anew: what changes, and what must follow on the nodes.

use std::collections::BTreeMap;

use node_config::Role;
use ssh_key::rand_core::CryptoRngCore;

use super::{BYTES, Secrets, SecretsError, new_host_keys};
use crate::secret::Secret;

/// What is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The token with which servers join.
    ServerToken,
    /// The token with which agents join.
    AgentToken,
    /// A node's password.
    Node(String),
    /// A node's SSH host keys.
    Ssh(String),
}

/// What must follow, in order. No node knows the new secret yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// What to do, one sentence each.
    pub steps: Vec<String>,
    /// Whose images hold the old secret, in the order to write them again.
    pub images: Vec<String>,
}

impl Secrets {
    /// Makes a secret anew.
    ///
    /// # Errors
    /// When there is no such node, or keys cannot be made.
    pub fn rotate(
        &mut self,
        rng: &mut impl CryptoRngCore,
        what: &What,
    ) -> Result<(), SecretsError> {
        match what {
            What::ServerToken => {
                let new = Secret::random(rng, BYTES);
                let old = std::mem::replace(&mut self.server_token, new);
                self.former_server_tokens.insert(0, old);
            }
            What::AgentToken => self.agent_token = Secret::random(rng, BYTES),
            What::Node(name) => {
                self.node(name)?;
                let password = Secret::random(rng, BYTES);
                self.nodes
                    .entry(name.clone())
                    .and_modify(|node| node.password = password);
            }
            What::Ssh(name) => {
                self.node(name)?;
                let keys = new_host_keys(rng, name)?;
                self.nodes
                    .entry(name.clone())
                    .and_modify(|node| node.host_keys = keys);
            }
        }
        Ok(())
    }
}

impl What {
    /// What must follow in a cluster of these nodes.
    pub fn follow_up(&self, roles: &BTreeMap<String, Role>) -> Rotation {
        let of = |role| roles.iter().filter(move |(_, is)| **is == role);
        let names = |role| of(role).map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let servers = || names(Role::Server);
        let rewrite = "build and write the images listed here again, one node after the other: \
                       the next one when `kubectl get nodes` shows the last one as Ready";
        let steps: &[&str] = match self {
            // docs: k3s token rotate.
            What::ServerToken => &[
                "on one running server: `k3s token rotate --token OLD --new-token NEW`, each the \
                 part after the last colon of the exported `server-token/former-1` and \
                 `server-token`; a cluster that does not run yet needs no such step",
                "put the new token into the token-file of every server and restart K3s there, \
                 one server after the other",
                rewrite,
                "keep the secrets file: snapshots of etcd made before open with the former token \
                 only, which is kept in it",
            ],
            // docs: k3s server, agent-token must be the same on all servers.
            What::AgentToken => &[
                "put the new token into the agent-token-file of every server, all of them before \
                 K3s is restarted on the first: a server whose token differs cannot join",
                "restart K3s on the servers, one after the other",
                "put the new token into the token-file of the agents; until then those that run \
                 go on, and none can join anew",
                rewrite,
            ],
            What::Node(_) => &[
                "remove the old password's hash from the cluster: `kubectl -n kube-system delete \
                 secret NODE.node-password.k3s`; without it the node is refused as a duplicate",
                "build the image listed here again and write it, or put the new password into \
                 /etc/rancher/node/password (mode 0600) and restart K3s",
            ],
            What::Ssh(_) => &[
                "build the image listed here again and write it",
                "give the new known_hosts file, beside the image, to everyone who logs in: ssh \
                 refuses the node until then",
            ],
        };
        let images = match self {
            What::ServerToken => servers(),
            What::AgentToken => [servers(), names(Role::Agent)].concat(),
            What::Node(name) | What::Ssh(name) => vec![name.clone()],
        };
        let node = match self {
            What::Node(name) | What::Ssh(name) => name,
            _ => "",
        };
        Rotation {
            steps: steps
                .iter()
                .map(|step| step.replace("NODE", node))
                .collect(),
            images,
        }
    }
}
