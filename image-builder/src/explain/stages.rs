//! The first boot, stage by stage.
//!
//! The one list of the agent's stages on this side. The contract has none: a report
//! names whatever stages its agent has. A test holds it against the agent's own.

use serde::Serialize;

use super::{Beside, Kept, extent};
use crate::plan::{NodePlan, Peer, Role, Trust};

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name, as reports have it.
    pub name: &'static str,
    /// What it does on this node.
    pub does: String,
}

/// What a stage does on a node.
type Does = fn(&NodePlan, Beside) -> String;

/// Every stage in the agent's order.
pub(super) const ALL: &[(&str, Does)] = &[
    ("identity", |plan, _| {
        format!(
            "checks that it is {} and that its SSH host keys are the ones in the image",
            plan.node.name
        )
    }),
    ("disk", |plan, _| {
        let root = extent(plan.profile.disk.root);
        let grown = format!("gives the system {root}, if a larger disk than the image's is there");
        match plan.profile.disk.data {
            None => grown,
            Some(data) => format!(
                "{grown}; makes and mounts the data partition, {}, and never formats one that \
                 holds something",
                extent(data)
            ),
        }
    }),
    ("network", |plan, _| {
        format!(
            "waits until {} is on the wire and the gateway {} answers; goes on waiting as long as \
             it takes",
            plan.node.address, plan.network.gateway
        )
    }),
    ("clock", |plan, _| {
        let servers = match plan.network.ntp.as_slice() {
            [] => "the base's own time servers".to_owned(),
            servers => servers.join(", "),
        };
        format!("sets the clock by {servers}; goes on without after a while")
    }),
    ("packages", |plan, _| {
        match plan.profile.packages.as_slice() {
            [] => "has nothing to install".to_owned(),
            wanted => format!(
                "installs {} and what they need from the image, without a network",
                wanted.join(", ")
            ),
        }
    }),
    ("preflight", |plan, beside| match &plan.k3s {
        Some(_) if beside.kept != Kept::Plain => match plan.node.role {
            Role::Server => {
                "looks at kernel, power and disk, and measures how long the disk takes \
                             to make a write durable; stops where K3s cannot start, else warns"
                    .to_owned()
            }
            Role::Agent => {
                "looks at kernel, power and disk; stops where K3s cannot start, else warns"
                    .to_owned()
            }
        },
        _ => "looks at power and disk, and warns".to_owned(),
    }),
    ("k3s", |plan, beside| match &plan.k3s {
        None => "has nothing to decide".to_owned(),
        // Its image has the programs alone.
        Some(_) if beside.kept == Kept::Plain => "has nothing to decide".to_owned(),
        Some(k3s) if k3s.founder() == Some(&plan.node.name) => {
            let others = k3s
                .servers
                .iter()
                .filter(|server| server.name != plan.node.name);
            match listed(others) {
                None => "founds the cluster, if its disk holds none".to_owned(),
                Some(others) => format!(
                    "joins the cluster if one of {others} answers, and founds it if none does and \
                     its disk holds none"
                ),
            }
        }
        Some(k3s) => {
            let others = k3s
                .servers
                .iter()
                .filter(|server| server.name != plan.node.name);
            let others = listed(others).unwrap_or_default();
            format!("joins the cluster at the first of {others} that answers")
        }
    }),
    ("bootstrap", |plan, beside| {
        let trust = plan.gitops.as_ref().map(|gitops| (gitops, &gitops.trust));
        match trust {
            _ if !beside.hands_over(plan) => "has nothing to hand over".to_owned(),
            Some((gitops, Some(Trust::Commit(commit)))) => format!(
                "takes what it hands over with from the commit {commit} of {}; the image's own if \
                 Git does not answer",
                gitops.repository
            ),
            Some((gitops, Some(Trust::Signers(signers)))) => format!(
                "takes what it hands over with from {} of {}, if one of {} signers signed it; else \
                 the image's own",
                gitops.revision,
                gitops.repository,
                signers.len()
            ),
            Some((_, None)) | None => {
                "keeps what the image hands over with: [gitops] names neither commit nor signers"
                    .to_owned()
            }
        }
    }),
    ("join", |plan, beside| match &plan.k3s {
        None => "has nothing to wait for".to_owned(),
        Some(_) if beside.kept == Kept::Plain => "has nothing to wait for".to_owned(),
        Some(_) => format!("starts K3s and waits until {} is Ready", plan.node.name),
    }),
    ("gitops", |plan, beside| match beside.hands_over(plan) {
        false => "has nothing to hand over".to_owned(),
        true => "waits until Argo CD runs and has its root Application in sync and healthy; says \
                 what keeps it"
            .to_owned(),
    }),
    ("finish", |_, _| {
        "writes the last report; the agent does not start again".to_owned()
    }),
];

/// Servers by name and address.
fn listed<'a>(servers: impl Iterator<Item = &'a Peer>) -> Option<String> {
    let servers: Vec<_> = servers
        .map(|Peer { name, address }| format!("{name} ({address})"))
        .collect();
    (!servers.is_empty()).then(|| servers.join(", "))
}

/// The stages of this node.
pub(super) fn stages(plan: &NodePlan, beside: Beside) -> Vec<Stage> {
    let all = ALL.iter();
    all.map(|(name, does)| Stage {
        name,
        does: does(plan, beside),
    })
    .collect()
}
