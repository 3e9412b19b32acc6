//! What keeps K3s from joining, by what it writes to the journal, and the cure.
//! All of it may pass: somebody changes something elsewhere, and K3s, which goes
//! on trying, is let in.

use node_config::config::K3s as Settings;

use super::super::StageError;
use crate::system::{Command, System};

/// Lines of the journal that are looked at.
const LINES: &str = "60";

/// What K3s writes (pkg/agent/config, pkg/clientaccess, pkg/cluster, pkg/daemons),
/// and what helps.
const SIGNS: [(&str, &str); 6] = [
    (
        "Node password rejected",
        "the cluster knows another machine by this name: write this disk with the secrets that \
         machine had, or remove it there with `kubectl delete node` and its name",
    ),
    (
        "critical configuration value mismatch",
        "its [k3s] settings differ from those of the running servers: make them equal in the \
         cluster file and write this disk again",
    ),
    (
        "CA hash does not match",
        "the server that answers belongs to another cluster: look at the addresses in the cluster \
         file, or for a second cluster in this network",
    ),
    (
        "certificate is not yet valid",
        "the clock is wrong: give the network a time server, or name one as `ntp` in the cluster file",
    ),
    (
        "certificate has expired",
        "a certificate has expired, or the clock is wrong: look at `timedatectl`",
    ),
    (
        "not authorized",
        "the token is not the cluster's: the secrets were rotated after this disk was written; \
         write it again",
    ),
];

/// Says what the journal gives away, or only that it takes time.
pub(super) fn explain(k3s: &Settings, sys: &dyn System) -> Result<(), StageError> {
    let unit = &k3s.unit;
    let journal = Command::new(
        "journalctl",
        &[
            "--unit",
            unit,
            "--lines",
            LINES,
            "--output",
            "cat",
            "--no-pager",
        ],
    );
    let said = sys.run(&journal)?;
    // The latest line decides: an earlier trouble may have passed.
    let sign = said.lines().rev().find_map(|line| {
        let found = SIGNS.iter().find(|(sign, _)| line.contains(sign));
        found.map(|(sign, cure)| format!("{unit} says {sign:?}: {cure}"))
    });
    Err(StageError::Retry(sign.unwrap_or_else(|| {
        format!("{unit} is starting and has not joined yet")
    })))
}
