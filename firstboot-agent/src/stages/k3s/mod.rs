//! Starts K3s, once it is known whom to join: everything else about it was baked.
//!
//! The one decision is whether to found a cluster or to join one, and the wrong
//! answer cannot be taken back: a wiped founder that founds again leaves two
//! clusters. So the founder asks every other server first. Whose cluster it is
//! that answers K3s finds out by itself: the token names the CA it has to meet.

mod place;
mod trouble;

use node_config::config::K3s as Settings;
use node_config::{NodeConfig, paths};

use self::place::Place;
use super::{Look, Stage, StageError, Tell};
use crate::system::{Command, System, SystemError, read_text, replace};

/// After the packages, which K3s' workloads need, and before the door closes.
pub(crate) struct K3s;

/// Read after the configuration that was baked (docs: K3s, "Configuration File").
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/10-join.yaml";
const DROP_IN_DIR: &str = "/etc/rancher/k3s/config.yaml.d";

impl Stage for K3s {
    fn name(&self) -> &'static str {
        "k3s"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let Some(k3s) = &node.k3s else {
            return Ok(Look::Done("the image carries none".into()));
        };
        let unit = &k3s.unit;
        let may_start = sys.mode(paths::K3S_MAY_START)?.is_some();
        // Of a unit of this kind (Type=notify): joined, and said so.
        let state = state(unit, sys)?;
        Ok(match (may_start, state.as_str()) {
            (true, "active") => {
                let place = read_text(sys, DROP_IN)?;
                let how = Place::in_words(&place);
                Look::Done(format!("{unit} is running, {how}"))
            }
            (true, state) => Look::ToDo(format!("{unit} is {state}")),
            (false, _) => Look::ToDo(format!("{unit} may not start yet")),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let Some(k3s) = &node.k3s else { return Ok(()) };
        let started = sys.mode(paths::K3S_MAY_START)?.is_some();
        let waits = started && state(&k3s.unit, sys)? == "activating";
        let now = read_text(sys, DROP_IN)?;
        let place = place::find(k3s, &now, sys, tell)?;
        if let Place::Joins(_) = place {
            keep_the_handover(sys)?;
        }
        if place.text() != now {
            sys.make_dir(DROP_IN_DIR, 0o755)?;
            replace(sys, DROP_IN, 0o600, place.text().as_bytes())?;
        } else if waits {
            // It is trying, and there is nobody better to ask.
            return trouble::explain(k3s, sys);
        }
        if !started {
            replace(sys, paths::K3S_MAY_START, 0o644, b"")?;
        }
        start(k3s, sys)
    }
}

/// A cluster that is there was handed over long ago. A founder that was wiped and
/// joins it would have K3s install Argo CD over the one that runs, as old as its
/// image.
fn keep_the_handover(sys: &dyn System) -> Result<(), SystemError> {
    for path in paths::K3S_HANDOVER {
        let skip = format!("{path}.skip");
        if sys.mode(path)?.is_some() && sys.mode(&skip)?.is_none() {
            replace(sys, &skip, 0o600, b"")?;
        }
    }
    Ok(())
}

/// In systemd's words: `active`, `activating`, `inactive`, `failed`.
fn state(unit: &str, sys: &dyn System) -> Result<String, SystemError> {
    let show = Command::new(
        "systemctl",
        &["show", "--property=ActiveState", "--value", unit],
    );
    Ok(sys.run(&show)?.trim().to_owned())
}

/// Does not wait: until it has joined, the unit counts as starting.
fn start(k3s: &Settings, sys: &dyn System) -> Result<(), StageError> {
    let restart = Command::new("systemctl", &["--no-block", "restart", &k3s.unit]);
    sys.run(&restart)?;
    Ok(())
}

#[cfg(test)]
mod tests;
