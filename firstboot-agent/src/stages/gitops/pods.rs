//! What the containers wait for that install Argo CD, and those of Argo CD itself.

use node_config::handover::NAMESPACE;
use serde::Deserialize;

use crate::stages::kubectl::{self, List, Metadata, OF_A_SERVER};
use crate::system::{System, SystemError};

/// The label that K3s' Helm controller gives to its pods, and the HelmChart's name.
const INSTALLER: &str = "--selector=helmcharts.helm.cattle.io/chart=argocd";

/// What the first container waits for that does not just start; none where all is
/// well, or nobody answers.
///
/// # Errors
/// When K3s' program is missing.
pub(super) fn waiting(sys: &dyn System) -> Result<Option<String>, SystemError> {
    let of_argo_cd = format!("--namespace={NAMESPACE}");
    for which in [
        &["--namespace=kube-system", INSTALLER][..],
        &[of_argo_cd.as_str()][..],
    ] {
        let question = [&["get", "pods", "--output=json"][..], which].concat();
        let found = match sys.run(&kubectl::command(OF_A_SERVER, &question)) {
            Ok(said) => read(&said),
            Err(SystemError::Program { .. }) => None,
            Err(error) => return Err(error),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn read(said: &str) -> Option<String> {
    let pods = serde_json::from_str::<List<Pod>>(said).ok()?.items;
    pods.iter().find_map(|pod| {
        let scheduled = pod.status.conditions.iter();
        let mut homeless = scheduled.filter(|condition| condition.reason == "Unschedulable");
        if let Some(condition) = homeless.next() {
            let name = &pod.metadata.name;
            return Some(format!("no node takes {name}: {}", condition.message));
        }
        let Status {
            init_container_statuses: init,
            container_statuses: containers,
            ..
        } = &pod.status;
        init.iter().chain(containers).find_map(Container::complaint)
    })
}

impl Container {
    /// Without what changes from one attempt to the next.
    fn complaint(&self) -> Option<String> {
        let Self { name, image, state } = self;
        match state.waiting.as_ref()?.reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" => Some(format!(
                "{name} cannot get its image {image}: look at this network's way out, or put the \
                 image into /var/lib/rancher/k3s/agent/images/"
            )),
            "CrashLoopBackOff" => Some(format!(
                "{name} ends again and again: look at its `kubectl logs`"
            )),
            "" | "ContainerCreating" | "PodInitializing" => None,
            reason => Some(format!("{name} waits: {reason}")),
        }
    }
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

/// Of a pod (v1, `PodStatus`).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    reason: String,
    message: String,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> String {
        let name = "argocd-repo-server-5c9c-x2x";
        format!(r#"{{"items": [{{"metadata": {{"name": "{name}"}}, "status": {status}}}]}}"#)
    }

    #[test]
    fn what_a_container_waits_for_is_told_and_mere_starting_is_not() {
        let waits = |reason: &str| {
            pod(&format!(
                r#"{{"containerStatuses": [{{"name": "repo-server", "image": "quay.io/a:1",
                    "state": {{"waiting": {{"reason": "{reason}"}}}}}}]}}"#
            ))
        };
        for (said, words) in [
            (waits("ErrImagePull"), Some("get its image quay.io/a:1")),
            (waits("ImagePullBackOff"), Some("get its image quay.io/a:1")),
            (waits("CrashLoopBackOff"), Some("again and again")),
            (
                waits("CreateContainerConfigError"),
                Some("waits: CreateContainerConfigError"),
            ),
            (waits("ContainerCreating"), None),
            (
                pod(r#"{"containerStatuses": [{"name": "a", "state": {"running": {}}}]}"#),
                None,
            ),
            (
                pod(
                    r#"{"conditions": [{"type": "PodScheduled", "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient memory."}]}"#,
                ),
                Some("no node takes argocd-repo-server-5c9c-x2x: 0/1 nodes"),
            ),
            (pod("{}"), None),
            (String::new(), None),
        ] {
            let told = read(&said);
            assert_eq!(told.is_some(), words.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(words.unwrap_or_default()));
        }
    }
}
