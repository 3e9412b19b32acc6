//! The newest texts to hand the cluster over with, from Git, where the image says whose
//! commit to trust. An old image starts a cluster with a current bootstrap so, and one
//! without a way to Git with the bootstrap that was baked.
//!
//! What was pulled is decided once and kept: K3s installs it, and from then on Argo CD
//! follows Git by itself.

mod decision;

use std::time::Duration;

use node_config::handover::{Handover, Source, manifests};
use node_config::{NodeConfig, paths};

use self::decision::{Decision, decided};
use super::k3s::DROP_IN;
use super::{Look, Stage, StageError, Tell};
use crate::pull::{self, Outcome};
use crate::supervisor;
use crate::system::{Command, System, SystemError, read_text, replace};

/// After `k3s`, which knows whether this node founds, and before `join`, which starts
/// K3s.
pub(crate) struct Bootstrap;

/// Git is asked so often, and no more once this long has passed: whoever waits for a
/// cluster is to have one without Git, too.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(5);

/// One try: a commit of some MiB over a slow line.
const LIMIT: Duration = Duration::from_secs(40);

impl Stage for Bootstrap {
    fn name(&self) -> &'static str {
        "bootstrap"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let (handover, _) = match pulls(node, sys)? {
            Pulls::From(handover, source) => (handover, source),
            Pulls::Nothing(why) => return Ok(Look::Done(why.into())),
        };
        let Some(decision) = decided(sys)? else {
            return Ok(Look::ToDo("Git is not asked yet".into()));
        };
        match late(handover, &decision, sys)?.is_empty() {
            true => Ok(Look::Done(decision.words)),
            false => Ok(Look::ToDo("what was pulled is not in its place yet".into())),
        }
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let Pulls::From(handover, source) = pulls(node, sys)? else {
            return Ok(());
        };
        let decision = match decided(sys)? {
            Some(decision) => decision,
            None => {
                let decision = decide(source, sys, tell)?;
                // Before anything is written by it: after a cut it is the same.
                decision.keep(sys)?;
                decision
            }
        };
        for (path, text) in late(handover, &decision, sys)? {
            replace(sys, path, 0o600, text.as_bytes())?;
        }
        Ok(())
    }
}

/// Whether this node pulls.
enum Pulls<'a> {
    From(&'a Handover, &'a Source),
    /// Why not.
    Nothing(&'static str),
}

fn pulls<'a>(node: &'a NodeConfig, sys: &dyn System) -> Result<Pulls<'a>, SystemError> {
    let Some(handover) = &node.handover else {
        return Ok(Pulls::Nothing("this node hands no cluster over"));
    };
    if supervisor::told(&read_text(sys, DROP_IN)?).is_some() {
        let why = "the cluster that this node joins was handed over before";
        return Ok(Pulls::Nothing(why));
    }
    Ok(match &handover.source {
        Some(source) => Pulls::From(handover, source),
        None => Pulls::Nothing(
            "as baked into the image: to have it from Git, set `commit` or `signers` in [gitops]",
        ),
    })
}

/// What is not yet as decided, of what K3s was not told to leave alone.
fn late(
    handover: &Handover,
    decision: &Decision,
    sys: &dyn System,
) -> Result<Vec<(&'static str, String)>, SystemError> {
    let Some(texts) = &decision.texts else {
        return Ok(Vec::new());
    };
    let mut late = Vec::new();
    for (path, text) in paths::K3S_HANDOVER
        .into_iter()
        .zip(manifests(&handover.chart, texts))
    {
        let skipped = sys.mode(&format!("{path}.skip"))?.is_some();
        if !skipped && read_text(sys, path)? != text {
            late.push((path, text));
        }
    }
    Ok(late)
}

/// Asks Git, and decides on what it answers, or on its silence.
fn decide(source: &Source, sys: &dyn System, tell: Tell<'_>) -> Result<Decision, SystemError> {
    let began = sys.elapsed();
    let mut silence = String::new();
    for number in 0..TRIES {
        if number > 0 {
            if sys.elapsed().saturating_sub(began) >= PATIENCE {
                break;
            }
            sys.sleep(PAUSE);
        }
        tell(&format!("asking {}", source.repository));
        match ask(sys) {
            Outcome::Pulled {
                commit,
                signer,
                texts,
            } => {
                let by = signer.map_or(String::new(), |key| format!(", signed by {key}"));
                return Ok(Decision {
                    words: format!("commit {commit} of {}{by}", source.repository),
                    texts: Some(texts),
                });
            }
            Outcome::Refused(why) => return Ok(Decision::baked(source, &why)),
            Outcome::Away(why) => silence = why,
        }
    }
    Ok(Decision::baked(source, &silence))
}

fn ask(sys: &dyn System) -> Outcome {
    let mut pull = Command::new(paths::AGENT, &[pull::FLAG]);
    pull.limit = LIMIT;
    match sys.run(&pull) {
        Ok(said) => serde_json::from_str(&said)
            .unwrap_or_else(|error| Outcome::Away(format!("pulling ended without word: {error}"))),
        Err(SystemError::Program { problem, .. }) => Outcome::Away(problem),
        Err(error) => Outcome::Away(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
