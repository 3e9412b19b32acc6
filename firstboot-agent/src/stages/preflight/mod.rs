//! Looks at what K3s and its workloads stand on, before they do: kernel, power, disk.
//! Most of what is wrong with it shows as something else, weeks later.
//!
//! It stops where K3s cannot start, and else warns: a node with a weak supply is
//! still a node.

mod fsync;
mod hardware;
mod kernel;

use node_config::{NodeConfig, Role};

use super::{Look, Stage, StageError, Tell};
use crate::system::System;

/// After the packages, which bring the programs some of it is asked with, and before
/// K3s, whose labels count at its first start only.
pub(crate) struct Preflight;

impl Stage for Preflight {
    fn name(&self) -> &'static str {
        "preflight"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let mut findings = Vec::new();
        if node.k3s.is_some() {
            findings.extend(kernel::look(sys)?);
        }
        findings.extend(hardware::look(node, sys));
        if keeps_datastore(node) {
            match fsync::measured(sys)? {
                Some(time) => findings.push(fsync::judge(time)),
                None => {
                    return Ok(Look::ToDo(
                        "how long the disk takes was not measured".into(),
                    ));
                }
            }
        }
        Ok(Look::Done(in_words(&findings)))
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        if keeps_datastore(node) && fsync::measured(sys)?.is_none() {
            tell("measuring the disk");
            fsync::measure(node, sys)?;
        }
        Ok(())
    }
}

/// Whether etcd will be on this disk.
fn keeps_datastore(node: &NodeConfig) -> bool {
    node.k3s.is_some() && node.node.role == Role::Server
}

/// What was found of one thing, as a part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// As it should be, or nothing to say against it.
    Fine(String),
    /// What is wrong, and what to do.
    Warning(String),
}

/// Warnings first: a report's line has an end.
fn in_words(findings: &[Finding]) -> String {
    let (mut warnings, mut fine) = (Vec::new(), Vec::new());
    for finding in findings {
        match finding {
            Finding::Warning(words) => warnings.push(format!("warning: {words}")),
            Finding::Fine(words) => fine.push(words.as_str()),
        }
    }
    if !fine.is_empty() {
        warnings.push(fine.join(", "));
    }
    warnings.join("; ")
}

#[cfg(test)]
mod tests;
