//! The first boot, stage by stage.
//!
//! The one list of the agent's stages on this side. The contract has none: a report
//! names whatever stages its agent has. A test holds it against the agent's own.

use serde::Serialize;

use crate::plan::NodePlan;

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
    ("finish", |_| {
        "writes the last report; the agent does not start again".to_owned()
    }),
];

/// The stages of this node.
pub(super) fn stages(plan: &NodePlan) -> Vec<Stage> {
    let all = ALL.iter();
    all.map(|(name, does)| Stage {
        name,
        does: does(plan),
    })
    .collect()
}
