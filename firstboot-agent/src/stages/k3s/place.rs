//! Whom to join.

use std::net::Ipv4Addr;
use std::time::Duration;

use node_config::config::K3s as Settings;

use super::super::{StageError, Tell};
use crate::system::{Command, System, SystemError};

/// The supervisor and the API (docs: K3s, "Requirements", networking).
const PORT: &str = "6443";

/// On a server, there once it has joined or founded: from then on K3s asks nobody.
const DATASTORE: &str = "/var/lib/rancher/k3s/server/db/etcd";

/// A founder asks so often, with a pause between: all nodes may have been
/// switched on together, and a server that is only slow must not be overlooked.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// A machine in the same network answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// What K3s is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To found the cluster.
    Founds,
    /// To join it at this server.
    Joins(Ipv4Addr),
    /// What it was told before.
    Told(String),
}

impl Place {
    /// As K3s reads it.
    pub(super) fn text(&self) -> String {
        match self {
            Place::Founds => "cluster-init: true\n".into(),
            Place::Joins(server) => format!("server: \"https://{server}:{PORT}\"\n"),
            Place::Told(text) => text.clone(),
        }
    }

    /// For people, from what K3s reads.
    pub(super) fn in_words(text: &str) -> String {
        match text.trim().strip_prefix("server: ") {
            Some(server) => format!("joined at {}", server.trim_matches('"')),
            None if text.is_empty() => "as it was".into(),
            None => "founder of the cluster".into(),
        }
    }
}

/// Decides. `now` is what K3s was told before, empty if nothing.
pub(super) fn find(
    k3s: &Settings,
    now: &str,
    sys: &dyn System,
    tell: Tell<'_>,
) -> Result<Place, StageError> {
    // Once it has a datastore K3s heeds neither of the two.
    if sys.mode(DATASTORE)?.is_some() {
        return Ok(Place::Told(now.to_owned()));
    }
    // Founding goes on after a cut: with it begun, nobody else has founded.
    if now == Place::Founds.text() {
        return Ok(Place::Founds);
    }
    // Rather the one it was told, if that is still there.
    let told = |server: &Ipv4Addr| Place::Joins(*server).text() == now;
    let mut servers: Vec<Ipv4Addr> = k3s.servers.clone();
    servers.sort_by_key(|server| !told(server));
    let rounds = if k3s.founds { ROUNDS } else { 1 };
    for round in 0..rounds {
        if round > 0 && !servers.is_empty() {
            tell("no other server answers yet");
            sys.sleep(PAUSE);
        }
        for server in &servers {
            if answers(*server, sys)? {
                return Ok(Place::Joins(*server));
            }
        }
    }
    if k3s.founds {
        return Ok(Place::Founds);
    }
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    Err(StageError::Retry(format!(
        "no server answers at port {PORT} of {}: switch one on, or look at its network",
        names.join(", ")
    )))
}

/// Whether somebody listens there. bash has TCP of its own (bash(1),
/// "Redirections"), and is in every Debian; K3s' own TLS does the rest.
fn answers(server: Ipv4Addr, sys: &dyn System) -> Result<bool, SystemError> {
    let script = format!("exec 3<>/dev/tcp/{server}/{PORT}");
    let mut connect = Command::new("bash", &["-c", &script]);
    connect.limit = PATIENCE;
    match sys.run(&connect) {
        Ok(_) => Ok(true),
        Err(SystemError::Program { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
