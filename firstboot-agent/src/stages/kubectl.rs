//! The cluster's API, by the kubectl that K3s is itself.

use serde::Deserialize;

use crate::system::Command;

/// The program.
const K3S: &str = "/usr/local/bin/k3s";

/// The administrator's, which servers have.
pub(super) const OF_A_SERVER: &str = "/etc/rancher/k3s/k3s.yaml";

/// A question, asked with the rights of a kubeconfig.
pub(super) fn command(kubeconfig: &str, question: &[&str]) -> Command {
    let kubectl = [
        "kubectl",
        "--kubeconfig",
        kubeconfig,
        "--request-timeout=5s",
        // It has no home to keep what it learnt of the API in.
        "--cache-dir=/run/imgbuild/kubectl",
    ];
    Command::new(K3S, &[&kubectl, question].concat())
}

/// What `get --output=json` prints of several objects.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// Of an object (v1, `ObjectMeta`).
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
}
