//! Who this node is: its host name, its machine id, and the SSH host keys by
//! which `known_hosts` knows it.

mod host_key;
mod openssh;

use std::time::Duration;

use node_config::NodeConfig;

use self::host_key::{Finding, Flaw};
use super::{Look, Stage, StageError, Tell};
use crate::system::{Command, System, SystemError, read_text};

/// The first stage: whoever logs in to see what is wrong must reach the right
/// machine.
pub(crate) struct Identity;

const MACHINE_ID: &str = "/etc/machine-id";

impl Stage for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let mut todo = Vec::new();
        let mut foreign = Vec::new();
        if !has_host_name(sys, &node.node.name)? {
            todo.push(format!("the host name is not {}", node.node.name));
        }
        if !is_machine_id(&read_text(sys, MACHINE_ID)?) {
            todo.push(format!("{MACHINE_ID} holds no machine id"));
        }
        for key in &node.host_keys {
            let Finding { baked, flaws } = host_key::inspect(sys, key)?;
            todo.extend(flaws.iter().map(|flaw| flaw.describe(key)));
            if !baked {
                foreign.push(key.path.as_str());
            }
        }
        Ok(match todo[..] {
            [] => Look::Done(summary(node, &foreign)),
            _ => Look::ToDo(todo.join("; ")),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        let mut lost = false;
        for key in &node.host_keys {
            for flaw in host_key::inspect(sys, key)?.flaws {
                lost |= matches!(flaw, Flaw::Lost(_));
                host_key::mend(sys, key, &flaw)?;
            }
        }
        if lost {
            // sshd read its keys when it started, or found none and gave up.
            // Sessions outlive the restart. Not waited for: the boot's own jobs
            // may be queued before it.
            let args = ["--no-block", "restart", "ssh.service"];
            sys.run(&Command::new("systemctl", &args))?;
        }
        if !is_machine_id(&read_text(sys, MACHINE_ID)?) {
            sys.run(&Command::new("systemd-machine-id-setup", &[]))?;
        }
        if !has_host_name(sys, &node.node.name)? {
            let mut hostnamectl = Command::new("hostnamectl", &["set-hostname", &node.node.name]);
            // Waits for a service that starts on demand.
            hostnamectl.limit = Duration::from_secs(60);
            sys.run(&hostnamectl)?;
        }
        // None of these programs syncs what it writes.
        Ok(sys.sync()?)
    }
}

/// Both the name that stays and the name in use.
fn has_host_name(sys: &dyn System, name: &str) -> Result<bool, SystemError> {
    let kept = read_text(sys, "/etc/hostname")?;
    let used = read_text(sys, "/proc/sys/kernel/hostname")?;
    Ok(kept.trim() == name && used.trim() == name)
}

/// Empty, `uninitialized` and zeros left by a power cut are none.
fn is_machine_id(text: &str) -> bool {
    let id = text.strip_suffix('\n').unwrap_or(text);
    id.len() == 32
        && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && id.bytes().any(|b| b != b'0')
}

fn summary(node: &NodeConfig, foreign: &[&str]) -> String {
    let name = &node.node.name;
    let all = node.host_keys.len();
    match foreign {
        [] => format!("host name {name}, {all} host keys as baked"),
        _ => format!(
            "host name {name}, {} of {all} host keys not as baked ({}): remove {name} and {} from \
             known_hosts on your machines and trust the new key",
            foreign.len(),
            foreign.join(", "),
            node.network.address.addr(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::machine;

    fn look(fake: &crate::system::fake::Fake) -> Look {
        Identity.look(&machine::node(), fake).expect("looks")
    }

    /// Looks, applies, looks: what was to do, and how it ended.
    fn healed(fake: &crate::system::fake::Fake) -> (String, String) {
        let Look::ToDo(todo) = look(fake) else {
            panic!("nothing to do");
        };
        Identity
            .apply(&machine::node(), fake, &|_| ())
            .expect("applies");
        match look(fake) {
            Look::Done(done) => (todo, done),
            Look::ToDo(left) => panic!("still {left}"),
        }
    }

    #[test]
    fn machine_ids() {
        let id = "0f0d6a526a3e4f399a2c0f2d3b7c1e11";
        for (text, expected) in [
            (format!("{id}\n"), true),
            (id.to_string(), true),
            (format!("{id}\n\n"), false),
            (id.to_uppercase(), false),
            (id[1..].to_string(), false),
            ("0".repeat(32), false),
            ("\0".repeat(32), false),
            ("uninitialized\n".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_machine_id(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_healthy_node_is_done_at_once() {
        let fake = machine::healthy();
        assert_eq!(
            look(&fake),
            Look::Done("host name pi-1, 2 host keys as baked".into())
        );
    }

    #[test]
    fn an_uninitialized_machine_id_is_made() {
        let fake = machine::healthy();
        fake.put(MACHINE_ID, 0o444, "uninitialized\n");
        let (todo, _) = healed(&fake);
        assert_eq!(todo, "/etc/machine-id holds no machine id");
        assert!(is_machine_id(&fake.text(MACHINE_ID)));
    }

    #[test]
    fn another_host_name_is_put_right() {
        let fake = machine::healthy();
        fake.put("/proc/sys/kernel/hostname", 0o644, "raspberrypi\n");
        let (todo, _) = healed(&fake);
        assert_eq!(todo, "the host name is not pi-1");
    }

    #[test]
    fn a_lost_key_is_replaced_and_known_hosts_mentioned() {
        let fake = machine::healthy();
        fake.put(machine::ED25519, 0o600, "");
        let (todo, done) = healed(&fake);
        assert_eq!(
            todo,
            "/etc/ssh/ssh_host_ed25519_key is empty, as after a power cut"
        );
        assert_eq!(
            done,
            "host name pi-1, 1 of 2 host keys not as baked (/etc/ssh/ssh_host_ed25519_key): \
             remove pi-1 and 192.168.4.11 from known_hosts on your machines and trust the new key"
        );
        assert_eq!(fake.text("/run/sshd-restarts"), "1");
    }

    #[test]
    fn a_mended_public_half_needs_no_new_sshd() {
        let fake = machine::healthy();
        fake.put(&format!("{}.pub", machine::RSA), 0o644, "");
        let (_, done) = healed(&fake);
        assert_eq!(done, "host name pi-1, 2 host keys as baked");
        assert_eq!(fake.text("/run/sshd-restarts"), "");
    }
}
