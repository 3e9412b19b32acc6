//! The first boot, stage by stage.
//!
//! The one list of the agent's stages on this side. The contract has none: a report
//! names whatever stages its agent has. A test holds it against the agent's own.

use serde::Serialize;

use crate::plan::{NodePlan, Peer};

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name, as reports have it.
    pub name: &'static str,
    /// What it does on this node.
    pub does: String,
}

/// Every stage in the agent's order, and what it does.
type Does = fn(&NodePlan) -> String;
pub(super) const ALL: &[(&str, Does)] = &[
    ("identity", |plan| {
        format!(
            "checks that it is {} and that its SSH host keys are the ones in the image",
            plan.node.name
        )
    }),
    ("network", |plan| {
        format!(
            "waits until {} is on the wire and the gateway {} answers; goes on waiting as long as \
             it takes",
            plan.node.address, plan.network.gateway
        )
    }),
    ("packages", |plan| match plan.profile.packages.as_slice() {
        [] => "has nothing to install".to_owned(),
        wanted => format!(
            "installs {} and what they need from the image, without a network",
            wanted.join(", ")
        ),
    }),
    ("k3s", |plan| match &plan.k3s {
        None => "has nothing to start".to_owned(),
        Some(k3s) if k3s.founder() == Some(&plan.node.name) => {
            let others = k3s
                .servers
                .iter()
                .filter(|server| server.name != plan.node.name);
            match listed(others) {
                None => "starts K3s, which founds the cluster if its disk holds none".to_owned(),
                Some(others) => format!(
                    "starts K3s: joins the cluster if one of {others} answers, and founds it if \
                     none does and its disk holds none"
                ),
            }
        }
        Some(k3s) => {
            let others = k3s
                .servers
                .iter()
                .filter(|server| server.name != plan.node.name);
            let others = listed(others).unwrap_or_default();
            format!("starts K3s, which joins the cluster at the first of {others} that answers")
        }
    }),
    ("finish", |_| {
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
pub(super) fn stages(plan: &NodePlan) -> Vec<Stage> {
    let all = ALL.iter();
    all.map(|(name, does)| Stage {
        name,
        does: does(plan),
    })
    .collect()
}
