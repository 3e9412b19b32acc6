//! Whom to join.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use node_config::NodeConfig;
use node_config::config::K3s as Settings;

use super::super::{StageError, Tell, clock};
use crate::supervisor::{self, PORT, Rung, Visitor};
use crate::system::System;

/// On a server, there once it has joined or founded: from then on K3s asks nobody.
const DATASTORE: &str = "/var/lib/rancher/k3s/server/db/etcd";

/// A founder asks so often, with a pause between: all nodes may have been
/// switched on together, and a server that is only slow must not be overlooked.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// What K3s is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stages) enum Place {
    /// To found the cluster.
    Founds,
    /// To join it at this server.
    Joins(Ipv4Addr),
    /// What it was told before.
    Told(String),
}

impl Place {
    /// As K3s reads it.
    pub(in crate::stages) fn text(&self) -> String {
        match self {
            Place::Founds => "cluster-init: true\n".into(),
            Place::Joins(server) => format!("server: \"https://{server}:{PORT}\"\n"),
            Place::Told(text) => text.clone(),
        }
    }

    /// For people, from what K3s reads.
    pub(in crate::stages) fn in_words(text: &str) -> String {
        match supervisor::told(text) {
            Some(server) => format!("joining at {server}"),
            None if text.is_empty() => "as it was".into(),
            None => "founder of the cluster".into(),
        }
    }
}

/// Decides. `now` is what K3s was told before, empty if nothing.
///
/// # Errors
/// `Retry` while nobody is there to join, or somebody is with whom this node cannot
/// be in one cluster: it passes with a change elsewhere. `Fatal` without a token.
pub(in crate::stages) fn find(
    node: &NodeConfig,
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
    let visitor = Visitor::of(&k3s.ca_hash, node.node.role, sys)?;
    // Rather the one it was told, if that is still there.
    let mut servers: Vec<Ipv4Addr> = k3s.servers.clone();
    servers.sort_by_key(|server| Some(*server) != supervisor::told(now));
    let rounds = if k3s.founds { ROUNDS } else { 1 };
    let mut found = Vec::new();
    for round in 0..rounds {
        if round > 0 && !servers.is_empty() {
            tell("no other server answers yet");
            sys.sleep(PAUSE);
        }
        found.clear();
        for server in &servers {
            let at = SocketAddrV4::new(*server, PORT);
            let mut rung = visitor.climb(at, sys);
            // All were switched on together, and nobody was there to ask for the time.
            if rung == Rung::Clock && clock::correct_by(*server, node, sys)? {
                rung = visitor.climb(at, sys);
            }
            if rung == Rung::Ready {
                return Ok(Place::Joins(*server));
            }
            found.push((*server, rung));
        }
        // One that does not let us in yet will, or says why, to K3s as well.
        if let Some((server, _)) = found.iter().find(|(_, rung)| rung.is_ours()) {
            return Ok(Place::Joins(*server));
        }
        // Whoever else answers does not turn into ours within seconds.
        if found.iter().any(|(_, rung)| *rung == Rung::OtherCa) {
            break;
        }
    }
    let silent = found.iter().all(|(_, rung)| *rung == Rung::Silent);
    match (k3s.founds, silent) {
        (true, true) => Ok(Place::Founds),
        (true, false) => Err(StageError::Retry(format!(
            "founds no cluster while another may be there: {}",
            in_words(&found)
        ))),
        (false, _) => Err(StageError::Retry(in_words(&found))),
    }
}

/// What is wrong with each; of the silent ones one sentence.
fn in_words(found: &[(Ipv4Addr, Rung)]) -> String {
    let (silent, others): (Vec<_>, Vec<_>) =
        found.iter().partition(|(_, rung)| *rung == Rung::Silent);
    let mut words: Vec<String> = others
        .iter()
        .map(|(server, rung)| rung.words(*server))
        .collect();
    if !silent.is_empty() {
        let names: Vec<String> = silent
            .iter()
            .map(|(server, _)| server.to_string())
            .collect();
        words.push(format!(
            "no server answers at port {PORT} of {}: switch one on, or look at its network",
            names.join(", ")
        ));
    }
    words.join("; ")
}
