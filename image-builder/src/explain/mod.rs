//! What a node's image will hold and what the node will do at its first boot, in
//! plain words. From the configuration and the lock alone: no base, no network,
//! and no secret is known here.
//!
//! ```text
//! parts    the image, part by part
//! stages   the first boot, stage by stage
//! text     both for people
//! ```

mod parts;
mod stages;
#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;

use crate::lock::Lock;
use crate::plan::{Extent, NodePlan};

pub use stages::Stage;

/// Where a cluster keeps its nodes' secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In one encrypted file.
    Sealed,
    /// In plain files, made at the first build.
    Plain,
}

/// What lies beside the cluster file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// The nodes' secrets.
    pub kept: Kept,
    /// Whether there is what the cluster is handed over to Argo CD with.
    pub bootstrap: bool,
}

impl Beside {
    /// Whether a node does it.
    fn hands_over(self, plan: &NodePlan) -> bool {
        self.bootstrap && self.kept == Kept::Sealed && plan.founds()
    }
}

/// All there is to say of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The node.
    pub node: String,
    /// What its image will hold, in the order a disk is looked at.
    pub image: Vec<Part>,
    /// What it does at its first boot, in order.
    pub first_boot: Vec<Stage>,
}

/// One part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is about, one word.
    pub topic: &'static str,
    /// A fact each.
    pub lines: Vec<String>,
}

/// Explains a node.
pub fn explain(plan: &NodePlan, lock: Option<&Lock>, beside: Beside) -> Explanation {
    Explanation {
        node: plan.node.name.clone(),
        image: parts::parts(plan, lock, beside),
        first_boot: stages::stages(plan, beside),
    }
}

/// A partition's size in words.
pub fn extent(extent: Extent) -> String {
    match extent {
        Extent::Fixed(size) => size.to_string(),
        Extent::Rest => "the rest of the disk".to_owned(),
    }
}

/// A FAT serial as programs show it: `470A-58B4`.
pub fn fat_serial(serial: u32) -> String {
    format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)
}
