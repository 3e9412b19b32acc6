//! This node, as its cluster sees it.

use node_config::{NodeConfig, Role};

use crate::system::{Command, System, SystemError};

/// K3s is its own kubectl.
const K3S: &str = "/usr/local/bin/k3s";

/// The administrator's, which servers have; and the one a kubelet has, which may
/// read its own node (Kubernetes docs: "Using Node Authorization").
const OF_A_SERVER: &str = "/etc/rancher/k3s/k3s.yaml";
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
    let args = [
        "kubectl",
        "--kubeconfig",
        kubeconfig,
        "--request-timeout=5s",
        // It has no home to keep what it learnt of the API in.
        "--cache-dir=/run/imgbuild/kubectl",
        "get",
        "node",
        &node.node.name,
        "--output",
        READY,
    ];
    match sys.run(&Command::new(K3S, &args)) {
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
