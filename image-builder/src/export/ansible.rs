//! An inventory for Ansible.

use std::fmt::Write as _;

use super::{KnownHosts, ssh_path};
use crate::config::{ClusterFile, NodeEntry};
use crate::plan::Role;

/// An inventory in Ansible's YAML form, with the groups `servers` and `agents`.
/// YAML and not INI: there, a value is split by the rules of a shell before ssh's
/// own rules are reached.
pub fn ansible(file: &ClusterFile, known: &KnownHosts) -> String {
    let mut text = format!(
        "# Written by `imgbuild export ansible`: {}.\nall:\n  vars:\n    ansible_user: {}\n  \
         children:\n",
        file.cluster.name,
        quoted(&file.users[0].name)
    );
    for (group, role) in [("servers", Role::Server), ("agents", Role::Agent)] {
        let of_role = |entry: &&NodeEntry| entry.node.role == role;
        let mut nodes = file.nodes.iter().filter(of_role).peekable();
        if nodes.peek().is_none() {
            // A playbook for the group finds it, and nobody in it.
            let _ = writeln!(text, "    {group}: {{}}");
            continue;
        }
        let _ = writeln!(text, "    {group}:\n      hosts:");
        for NodeEntry { node, .. } in nodes {
            let name = &node.name;
            let options = options(known, name);
            let _ = writeln!(
                text,
                "        {}:\n          ansible_host: {}\n          ansible_ssh_common_args: {}",
                quoted(name),
                node.address.addr(),
                quoted(&options),
            );
        }
    }
    text
}

/// Arguments of ssh, as Ansible splits them: by a shell's rules.
fn options(known: &KnownHosts, node: &str) -> String {
    let file = format!("UserKnownHostsFile={}", ssh_path(&known.of(node)));
    let file = format!("'{}'", file.replace('\'', r"'\''"));
    format!("-o {file} -o StrictHostKeyChecking=yes")
}

/// A string of YAML in double quotes, where JSON's escapes are YAML's (YAML 1.2.2,
/// section 5.7). Never bare: `no`, `1e3` and `null` are names too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
