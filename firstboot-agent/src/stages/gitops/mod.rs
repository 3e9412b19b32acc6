//! Follows Argo CD, on the server that hands the cluster over to it, until the root
//! Application is in sync and healthy. The work is Argo CD's own; this stage says how
//! far it is, and what keeps it, for as long as it takes.

mod applications;
mod pods;
mod trouble;

use std::time::Duration;

use node_config::NodeConfig;
use node_config::handover::ROOT;

use self::applications::{Application, Stand};
use super::k3s::DROP_IN;
use super::{Look, Stage, StageError, Tell};
use crate::supervisor;
use crate::system::{System, SystemError, read_text};

/// After `join`: there is a cluster to ask.
pub(crate) struct GitOps;

/// Installing Argo CD takes a Pi two minutes, most of it for its images: so long
/// nothing is wrong.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(10);

/// So many Applications are named; the others are counted.
const NAMED: usize = 3;

impl Stage for GitOps {
    fn name(&self) -> &'static str {
        "gitops"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        if node.handover.is_none() {
            return Ok(Look::Done("this node hands no cluster over".into()));
        }
        // Whoever joins finds a cluster that was handed over long ago.
        if supervisor::told(&read_text(sys, DROP_IN)?).is_some() {
            let words = "the cluster that this node joined was handed over before";
            return Ok(Look::Done(words.into()));
        }
        let stand = applications::ask(sys)?;
        Ok(match stand.is_well() {
            true => Look::Done(words(&stand)),
            false => Look::ToDo(words(&stand)),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        if let Look::Done(_) = self.look(node, sys)? {
            return Ok(());
        }
        let began = sys.elapsed();
        let mut told = String::new();
        loop {
            let stand = applications::ask(sys)?;
            if stand.is_well() {
                return Ok(());
            }
            if sys.elapsed().saturating_sub(began) >= PATIENCE {
                return Err(StageError::Retry(explain(&stand, sys)?));
            }
            let words = words(&stand);
            if words != told {
                tell(&words);
                told = words;
            }
            sys.sleep(PAUSE);
        }
    }
}

/// How it stands, and what Argo CD says is wrong.
fn words(stand: &Stand) -> String {
    let (root, others) = match stand {
        Stand::Silent(why) => return format!("the cluster does not answer: {why}"),
        Stand::NotInstalled => return "Argo CD is not installed yet".into(),
        Stand::There { root: None, .. } => {
            return format!("Argo CD is installed, and the Application {ROOT} is not there yet");
        }
        Stand::There {
            root: Some(root),
            others,
        } => (root, others),
    };
    let late: Vec<&Application> = others.iter().filter(|app| !app.is_well()).collect();
    let mut words = root.to_string();
    let mut trouble = [root].into_iter().chain(late.iter().copied());
    if let Some(trouble) = trouble.find_map(trouble::of) {
        words += &format!("; {trouble}");
    }
    let all = others.len();
    match (all, late.len()) {
        (0, _) => return words,
        (_, 0) => return format!("{words}; all others ({all}) are Synced and Healthy"),
        _ => {}
    }
    let names: Vec<String> = late.iter().take(NAMED).map(ToString::to_string).collect();
    words += &format!("; of {all} others {}", names.join(", "));
    match late.len().saturating_sub(NAMED) {
        0 => words,
        more => format!("{words}, and {more} more"),
    }
}

/// The same, and where Argo CD itself says nothing, what its containers wait for.
fn explain(stand: &Stand, sys: &dyn System) -> Result<String, SystemError> {
    let words = words(stand);
    if let Stand::Silent(_) = stand {
        return Ok(words);
    }
    Ok(match pods::waiting(sys)? {
        Some(why) => format!("{why}; {words}"),
        None => words,
    })
}

#[cfg(test)]
mod tests;
