//! What makes a first login trusted: texts for the people's side of SSH. Pure;
//! the caller writes them beside the image, and `known_hosts` into it.

use std::fmt::Write as _;
use std::path::Path;

use crate::plan::Peer;

use super::HostKeys;

/// `known_hosts` lines, two a node: `pi-1,192.168.4.11 ssh-ed25519 AAAA...`.
pub fn known_hosts<'a>(nodes: impl IntoIterator<Item = (&'a Peer, &'a HostKeys)>) -> String {
    let mut text = String::new();
    for (Peer { name, address }, keys) in nodes {
        for key in keys.each() {
            let _ = writeln!(text, "{name},{address} {}", key.public());
        }
    }
    text
}

/// An `ssh_config` snippet, so that `ssh pi-1` works from a machine that knows
/// neither the name nor the key. `known_hosts` is that file's absolute path: ssh
/// looks for a relative one in its own working directory.
pub fn ssh_config<'a>(
    nodes: impl IntoIterator<Item = &'a Peer>,
    user: &str,
    known_hosts: &Path,
) -> String {
    // ssh reads `%d` in it as the home directory, and so on (TOKENS in
    // ssh_config(5)).
    let known_hosts = known_hosts.display().to_string().replace('%', "%%");
    let mut text = String::new();
    for Peer { name, address } in nodes {
        let _ = writeln!(text, "Host {name}");
        // Quoted: a home directory may have a blank in its name.
        for (key, value) in [
            ("HostName", address.to_string()),
            ("User", user.to_owned()),
            ("UserKnownHostsFile", format!("\"{known_hosts}\"")),
            // The keys are known before the node exists: any other key is an
            // impostor, or an address that moved, and asking would hide it.
            ("StrictHostKeyChecking", "yes".to_owned()),
        ] {
            let _ = writeln!(text, "    {key} {value}");
        }
    }
    text
}
