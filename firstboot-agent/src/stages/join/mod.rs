//! Starts K3s and follows it until this node is Ready. The joining is K3s' own work;
//! this stage says how far it is, and what keeps it, for as long as it takes.

mod own;
mod trouble;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use node_config::NodeConfig;
use node_config::config::K3s as Settings;

use self::own::Own;
use super::k3s::place::{self, Place};
use super::k3s::{DROP_IN, tell_k3s};
use super::{Look, Stage, StageError, Tell};
use crate::supervisor::{self, PORT, Rung, Visitor};
use crate::system::{Command, System, SystemError, read_text};

/// After `k3s`, which lets it start.
pub(crate) struct Join;

/// A join to a cluster that is up takes a minute or two, most of it spent unpacking
/// and starting containers: so long nothing is wrong.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks. kubectl alone takes a tenth of a second of a Pi's processor.
const PAUSE: Duration = Duration::from_secs(10);

impl Stage for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let Some(k3s) = &node.k3s else {
            return Ok(Look::Done("there is no K3s to join with".into()));
        };
        let how = || -> Result<String, SystemError> {
            let drop_in = read_text(sys, DROP_IN)?;
            Ok(match supervisor::told(&drop_in) {
                Some(server) => format!("joined at {server}"),
                None => Place::in_words(&drop_in),
            })
        };
        let name = &node.node.name;
        Ok(match stand(node, k3s, sys)? {
            Stand::Up(Own::Ready) => Look::Done(format!("{name} is Ready, {}", how()?)),
            Stand::Up(Own::Unasked) => Look::Done(format!(
                "{} is running, {}; whether {name} is Ready was not asked: K3s left no kubeconfig",
                k3s.unit,
                how()?
            )),
            stand => Look::ToDo(stand.words(node, k3s)),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let Some(k3s) = &node.k3s else { return Ok(()) };
        match stand(node, k3s, sys)? {
            Stand::Up(_) => {}
            Stand::Starting => go_elsewhere(node, k3s, sys, tell)?,
            Stand::Down(_) => start(k3s, sys)?,
        }
        let began = sys.elapsed();
        let mut told = String::new();
        loop {
            let stand = stand(node, k3s, sys)?;
            if matches!(stand, Stand::Up(Own::Ready | Own::Unasked)) {
                return Ok(());
            }
            let words = stand.words(node, k3s);
            if sys.elapsed().saturating_sub(began) >= PATIENCE {
                return Err(StageError::Retry(match stand {
                    Stand::Up(_) => words,
                    Stand::Starting | Stand::Down(_) => explain(node, k3s, sys)?.unwrap_or(words),
                }));
            }
            if words != told {
                tell(&words);
                told = words;
            }
            sys.sleep(PAUSE);
        }
    }
}

/// How far it is.
enum Stand {
    /// It does not run; systemd's word.
    Down(String),
    /// It runs, and has not joined: until then a unit of its kind counts as starting.
    Starting,
    /// It has joined; this node as the cluster sees it.
    Up(Own),
}

impl Stand {
    fn words(&self, node: &NodeConfig, k3s: &Settings) -> String {
        let (unit, name) = (&k3s.unit, &node.node.name);
        match self {
            Stand::Down(state) => format!("{unit} is {state}"),
            Stand::Starting => format!("{unit} is starting and has not joined yet"),
            Stand::Up(Own::NotReady(why)) => format!("{name} has joined and is not Ready: {why}"),
            Stand::Up(Own::Ready | Own::Unasked) => format!("{name} has joined"),
        }
    }
}

fn stand(node: &NodeConfig, k3s: &Settings, sys: &dyn System) -> Result<Stand, SystemError> {
    let args = ["show", "--property=ActiveState", "--value", &k3s.unit];
    let state = sys.run(&Command::new("systemctl", &args))?;
    Ok(match state.trim() {
        "active" => Stand::Up(own::ask(node, sys)?),
        "activating" | "reloading" => Stand::Starting,
        state => Stand::Down(state.to_owned()),
    })
}

/// Does not wait: until it has joined, the unit counts as starting.
fn start(k3s: &Settings, sys: &dyn System) -> Result<(), SystemError> {
    let args = ["--no-block", "restart", &k3s.unit];
    sys.run(&Command::new("systemctl", &args))?;
    Ok(())
}

/// While it tries in vain: another server, where the one it was told is gone.
fn go_elsewhere(
    node: &NodeConfig,
    k3s: &Settings,
    sys: &dyn System,
    tell: Tell<'_>,
) -> Result<(), StageError> {
    let now = read_text(sys, DROP_IN)?;
    let place = match place::find(node, k3s, &now, sys, tell) {
        Ok(place) => place,
        // Nobody is better. K3s itself may know more precisely what is wrong.
        Err(StageError::Retry(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    if place.text() == now {
        return Ok(());
    }
    tell_k3s(&place, &now, sys)?;
    Ok(start(k3s, sys)?)
}

/// What keeps it: K3s' own word, else what is seen from outside.
fn explain(
    node: &NodeConfig,
    k3s: &Settings,
    sys: &dyn System,
) -> Result<Option<String>, StageError> {
    if let Some(words) = trouble::in_journal(k3s, sys)? {
        return Ok(Some(words));
    }
    let Some(server) = supervisor::told(&read_text(sys, DROP_IN)?) else {
        return Ok(None);
    };
    let visitor = Visitor::of(&k3s.ca_hash, node.node.role, sys)?;
    Ok(seen(&visitor, server, sys).map(|words| format!("{} has not joined: {words}", k3s.unit)))
}

/// What is wrong with a server, if anything is.
fn seen(visitor: &Visitor, server: Ipv4Addr, sys: &dyn System) -> Option<String> {
    match visitor.climb(SocketAddrV4::new(server, PORT), sys) {
        Rung::Ready => None,
        rung => Some(rung.words(server)),
    }
}

#[cfg(test)]
mod tests;
