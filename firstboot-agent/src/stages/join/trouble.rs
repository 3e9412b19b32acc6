//! What keeps K3s from joining, by what it writes to the journal, and the cure.
//! All of it may pass: somebody changes something elsewhere, and K3s, which goes
//! on trying, is let in.

use node_config::config::K3s as Settings;

use crate::system::{Command, System, SystemError};

/// Lines of the journal that are looked at.
const LINES: &str = "60";

const CLOCK: &str =
    "the clock is wrong: give the network a time server, or name one as `ntp` in the cluster file";
const ANOTHER: &str = "the server that answers belongs to another cluster: look at the addresses in \
                       the cluster file, or for a second cluster in this network";
const TOKEN: &str = "the token is not the cluster's, or it expired: the secrets were rotated after \
                     this disk was written; write it again";

/// What K3s writes (pkg/agent/config, pkg/clientaccess, pkg/cluster, pkg/cli,
/// pkg/daemons), and what helps.
const SIGNS: [(&str, &str); 12] = [
    (
        "Node password rejected",
        "the cluster knows another machine by this name: write this disk with the secrets that \
         machine had, or remove it there with `kubectl delete node` and its name",
    ),
    // pkg/etcd; k3s-io/k3s issue 10408.
    (
        "duplicate node name found",
        "etcd still has the server that this one replaces: `kubectl delete node` and its name takes \
         it out, and this one joins by itself then",
    ),
    (
        "critical configuration value mismatch",
        "its [k3s] settings differ from those of the running servers: make them equal in the \
         cluster file and write this disk again",
    ),
    ("CA hash does not match", ANOTHER),
    ("certificate signed by unknown authority", ANOTHER),
    ("certificate is not yet valid", CLOCK),
    ("time isn't set properly", CLOCK),
    (
        "certificate has expired",
        "a certificate has expired, or the clock is wrong: look at `timedatectl`",
    ),
    ("not authorized", TOKEN),
    ("401 Unauthorized", TOKEN),
    ("403 Forbidden", TOKEN),
    (
        "failed to find memory cgroup",
        "the kernel's memory cgroup is off: set `cgroup_memory = true` in the profile's [firmware] \
         and write this disk again",
    ),
];

/// The latest trouble the journal of this boot gives away, if there is one. An
/// earlier one may have passed.
pub(super) fn in_journal(k3s: &Settings, sys: &dyn System) -> Result<Option<String>, SystemError> {
    let unit = &k3s.unit;
    let args = ["--boot", "--unit", unit, "--lines", LINES, "--output=cat"];
    let mut journal = Command::new("journalctl", &args);
    journal.args.push("--no-pager".into());
    let said = sys.run(&journal)?;
    Ok(said.lines().rev().find_map(|line| {
        let found = SIGNS.iter().find(|(sign, _)| line.contains(sign));
        found.map(|(sign, cure)| format!("{unit} says {sign:?}: {cure}"))
    }))
}
