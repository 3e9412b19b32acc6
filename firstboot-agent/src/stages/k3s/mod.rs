//! Lets K3s start, once what was baked of it is seen to be unharmed and it is known
//! whom to join.
//!
//! The one decision is whether to found a cluster or to join one, and the wrong
//! answer cannot be taken back: a wiped founder that founds again leaves two
//! clusters. So the founder asks every other server first, and founds only where
//! none of them answers: not where a server of another cluster does, and not where
//! somebody does whose cluster cannot be told.

pub(in crate::stages) mod place;

use node_config::config::BakedFile;
use node_config::{NodeConfig, paths};

use self::place::Place;
use super::{Look, Stage, StageError, Tell};
use crate::system::{System, SystemError, read_text, replace};

/// After the packages, which K3s' workloads need, and before the join, which is K3s'
/// own work.
pub(crate) struct K3s;

/// Read after the configuration that was baked (docs: K3s, "Configuration File").
pub(in crate::stages) const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/10-join.yaml";
/// Where drop-ins are.
pub(in crate::stages) const DROP_IN_DIR: &str = "/etc/rancher/k3s/config.yaml.d";

impl Stage for K3s {
    fn name(&self) -> &'static str {
        "k3s"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        if node.k3s.is_none() {
            return Ok(Look::Done("the image carries none".into()));
        }
        Ok(match sys.mode(paths::K3S_MAY_START)? {
            Some(_) => {
                let place = read_text(sys, DROP_IN)?;
                Look::Done(format!("may start, {}", Place::in_words(&place)))
            }
            None => Look::ToDo("it is not decided yet whom to join".into()),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let Some(k3s) = &node.k3s else { return Ok(()) };
        // Before the very first start only: afterwards it is the owner's to change.
        k3s.files.iter().try_for_each(|file| check(file, sys))?;
        let now = read_text(sys, DROP_IN)?;
        let place = place::find(node, k3s, &now, sys, tell)?;
        if let Place::Joins(_) = place {
            keep_the_handover(sys)?;
        }
        tell_k3s(&place, &now, sys)?;
        Ok(replace(sys, paths::K3S_MAY_START, 0o644, b"")?)
    }
}

/// Writes down whom to join, where that is news. The caller starts K3s.
pub(in crate::stages) fn tell_k3s(
    place: &Place,
    now: &str,
    sys: &dyn System,
) -> Result<(), StageError> {
    if place.text() != now {
        sys.make_dir(DROP_IN_DIR, 0o755)?;
        replace(sys, DROP_IN, 0o600, place.text().as_bytes())?;
    }
    Ok(())
}

/// A cluster that is there was handed over long ago. A founder that was wiped and
/// joins it would have K3s install Argo CD over the one that runs, as old as its
/// image.
fn keep_the_handover(sys: &dyn System) -> Result<(), SystemError> {
    for path in [&paths::K3S_HANDOVER[..], &[paths::K3S_REPOSITORY]].concat() {
        let skip = format!("{path}.skip");
        if sys.mode(path)?.is_some() && sys.mode(&skip)?.is_none() {
            replace(sys, &skip, 0o600, b"")?;
        }
    }
    Ok(())
}

/// Neither waiting nor another try gives a file back what it lost.
fn check(file: &BakedFile, sys: &dyn System) -> Result<(), StageError> {
    let BakedFile { path, sha256 } = file;
    match sys.digest(path)? {
        Some(found) if found == *sha256 => Ok(()),
        Some(_) => Err(StageError::Fatal(format!(
            "{path} is not what the image was made with: the disk lost some of it, or somebody \
             changed it; write this disk again, and another disk if it happens again"
        ))),
        None => Err(StageError::Fatal(format!(
            "{path} is missing: write this disk again"
        ))),
    }
}

#[cfg(test)]
mod tests;
