//! K3s' configuration, and who gets which secret.

use std::net::Ipv4Addr;

use super::*;
use crate::pki::TlsFile;
use crate::plan::{K3s, Peer, Role};
use crate::secret::Secret;

const TLS: &str = "/var/lib/rancher/k3s/server/tls";

fn k3s() -> K3s {
    let server = |number: u8| Peer {
        name: format!("pi-{number}"),
        address: Ipv4Addr::new(192, 168, 4, 10 + number),
    };
    K3s {
        version: "v1.35.7+k3s1".into(),
        airgap: false,
        tls_san: vec!["k3s.home.arpa".into()],
        vip: Some(Ipv4Addr::new(192, 168, 4, 10)),
        disable: vec!["servicelb".into(), "traefik".into()],
        registry_mirror: true,
        snapshot_schedule: "0 */12 * * *".into(),
        snapshot_keep: 5,
        servers: vec![server(1), server(2), server(3)],
    }
}

fn entrance(role: Role, founds: bool) -> Entrance {
    let secret = |text: &str| Secret::new(text.into());
    let ca_key = TlsFile {
        path: "server-ca.key",
        mode: 0o600,
        content: secret("canary-ca-key"),
    };
    Entrance {
        token: secret(match role {
            Role::Server => "canary-server-token",
            Role::Agent => "canary-agent-token",
        }),
        agent_token: (role == Role::Server).then(|| secret("canary-agent-token")),
        password: secret("canary-password"),
        tls: if founds { vec![ca_key] } else { vec![] },
        ca_hash: "0a".repeat(32),
    }
}

fn node(name: &str, role: Role, founds: bool) -> Overlay {
    let mut plan = plans::plan();
    plan.k3s = Some(k3s());
    plan.node.name = name.into();
    plan.node.role = role;
    plan.node.labels.insert("disk".into(), "nvme".into());
    plan.node.taints.push("dedicated=storage:NoSchedule".into());
    let entrance = entrance(role, founds);
    rendered_in(Some(&entrance), "5c9c", EPOCH, &[], &plan, &bases::trixie())
        .expect("rendered")
        .overlay
}

fn text(overlay: &Overlay, path: &str) -> String {
    content(overlay, Part::Root, path)
}

#[test]
fn the_configuration_of_a_server_and_of_an_agent() {
    let server = text(
        &node("pi-1", Role::Server, true),
        "/etc/rancher/k3s/config.yaml",
    );
    assert_eq!(server, include_str!("k3s-server.yaml"));
    let agent = text(
        &node("pi-4", Role::Agent, false),
        "/etc/rancher/k3s/config.yaml",
    );
    assert_eq!(agent, include_str!("k3s-agent.yaml"));
}

#[test]
fn every_secret_is_roots_alone_and_only_where_it_is_needed() {
    for (name, role, founds, canaries) in [
        (
            "pi-1",
            Role::Server,
            true,
            &["server-token", "agent-token", "password", "ca-key"][..],
        ),
        (
            "pi-2",
            Role::Server,
            false,
            &["server-token", "agent-token", "password"],
        ),
        ("pi-4", Role::Agent, false, &["agent-token", "password"]),
    ] {
        let overlay = node(name, role, founds);
        let mut found = std::collections::BTreeSet::new();
        for (_, path, change) in overlay.all() {
            let Change::File { mode, content, .. } = change else {
                continue;
            };
            let Some(bytes) = content.inline() else {
                continue;
            };
            let text = String::from_utf8_lossy(bytes);
            for (at, _) in text.match_indices("canary-") {
                assert_eq!(mode & 0o077, 0, "{path} of {name} can be read by others");
                let rest = &text[at + "canary-".len()..];
                found.insert(
                    rest.split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
        }
        let expected = canaries.iter().map(|canary| (*canary).to_owned()).collect();
        assert_eq!(found, expected, "{name}");
        assert!(!format!("{overlay:?}").contains("canary-"), "{name}");
        let tls = overlay
            .get(Part::Root, &format!("{TLS}/server-ca.key"))
            .is_some();
        assert_eq!(tls, founds);
    }
}

#[test]
fn the_agent_is_told_whom_to_ask() {
    let told = |overlay: &Overlay| {
        let text = text(overlay, node_config::paths::NODE_CONFIG);
        let node = node_config::NodeConfig::parse(&text).expect("node.toml");
        node.k3s.expect("[k3s]")
    };
    let first = told(&node("pi-1", Role::Server, true));
    assert!(first.founds);
    assert_eq!(first.unit, "k3s.service");
    let config = text(
        &node("pi-1", Role::Server, true),
        "/etc/rancher/k3s/config.yaml",
    );
    let checked = |path: &str| first.files.iter().find(|file| file.path == path);
    let file = checked("/etc/rancher/k3s/config.yaml").expect("is checked");
    assert_eq!(file.sha256, Content::from(config).sha256());
    assert!(checked("/etc/systemd/system/k3s.service").is_some());
    for secret in ["token", "password", "tls"] {
        let told = first.files.iter().find(|file| file.path.contains(secret));
        assert_eq!(told, None, "its digest is for all to read");
    }
    let others = [2, 3].map(|number| Ipv4Addr::new(192, 168, 4, 10 + number));
    assert_eq!(first.servers, others);
    let agent = told(&node("pi-4", Role::Agent, false));
    assert!(!agent.founds);
    assert_eq!(
        (agent.unit.as_str(), agent.servers.len()),
        ("k3s-agent.service", 3)
    );
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for (name, role, unit) in [
        ("pi-1", Role::Server, "k3s.service"),
        ("pi-4", Role::Agent, "k3s-agent.service"),
    ] {
        let overlay = node(name, role, false);
        let dir = tempfile::tempdir().expect("directory");
        // There is no K3s here to be started.
        let unit_text = text(&overlay, &format!("/etc/systemd/system/{unit}"))
            .replace("/usr/local/bin/k3s", "/bin/true")
            .replace("/sbin/modprobe", "/bin/true");
        let path = dir.path().join(unit);
        std::fs::write(&path, unit_text).expect("unit");
        let output = crate::cmd::Cmd::new("systemd-analyze", "run ci/setup")
            .arg("verify")
            .arg("--man=no")
            .arg(&path)
            .run(&[0])
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(unit), "{said}");
    }
}
