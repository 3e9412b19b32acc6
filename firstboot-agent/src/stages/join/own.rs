//! This node, as its cluster sees it.

use node_config::{NodeConfig, Role};

use crate::stages::kubectl::{self, OF_A_SERVER};
use crate::system::{System, SystemError};

/// The one a kubelet has, which may read its own node (Kubernetes docs: "Using Node
/// Authorization").
const OF_AN_AGENT: &str = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig";

/// The one condition that says it takes workloads, as `True reason: message`.
const READY: &str = r#"jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}"#;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
    /// Ready.
    Ready,
    /// Not yet; why.
    NotReady(String),
    /// There is nothing to ask with.
    Unasked,
}

/// Asks, on a node whose K3s says that it is up.
///
/// # Errors
/// When kubectl is missing. An API that does not answer is an answer.
pub(super) fn ask(node: &NodeConfig, sys: &dyn System) -> Result<Own, SystemError> {
    let kubeconfig = match node.node.role {
        Role::Server => OF_A_SERVER,
        Role::Agent => OF_AN_AGENT,
    };
    if sys.mode(kubeconfig)?.is_none() {
        return Ok(Own::Unasked);
    }
    let question = ["get", "node", &node.node.name, "--output", READY];
    match sys.run(&kubectl::command(kubeconfig, &question)) {
        Ok(said) => Ok(read(&said)),
        Err(SystemError::Program { problem, .. }) => Ok(Own::NotReady(problem)),
        Err(error) => Err(error),
    }
}

fn read(said: &str) -> Own {
    match said.trim().split_once(' ') {
        Some(("True", _)) => Own::Ready,
        Some((_, why)) => Own::NotReady(why.to_owned()),
        None => Own::NotReady("its kubelet has not reported yet".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_read() {
        let why = "KubeletNotReady: container runtime network not ready";
        for (said, expected) in [
            (
                "True KubeletReady: kubelet is posting ready status",
                Own::Ready,
            ),
            (&format!("False {why}"), Own::NotReady(why.into())),
            (
                "Unknown NodeStatusUnknown: Kubelet stopped posting node status.",
                Own::NotReady("NodeStatusUnknown: Kubelet stopped posting node status.".into()),
            ),
            ("", Own::NotReady("its kubelet has not reported yet".into())),
        ] {
            assert_eq!(read(said), expected, "{said}");
        }
    }
}
