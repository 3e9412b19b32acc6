//! A cluster on [`Fake`]: servers that speak HTTPS, and K3s as systemd and kubectl
//! show it.

use base64ct::{Base64, Encoding as _};
use node_config::config::K3s as Settings;
use node_config::handover::{self, Source, TEXTS};
use node_config::{Handover, NodeConfig, paths};

use crate::pull::{self, Outcome};
use crate::supervisor::TOKEN;
use crate::supervisor::authority::sha256;
use crate::system::fake::Fake;
use crate::system::https::{Answer, Get, NoAnswer, Trust};

use super::machine;

/// The unit of the node in these tests.
pub(crate) const UNIT: &str = "k3s.service";

/// How servers stand: lines of an address and one of `ready`, `busy`, `refused`,
/// `other`, `clock` (ready for a clock that is right), `strange`. Whoever is not named is silent.
const SERVERS: &str = "/run/servers";
/// What time they say it is, in seconds since 1970; nothing if 0.
const TIME: &str = "/run/servers-time";
/// The unit's state in systemd's words, once it was started; active if empty.
const STATE: &str = "/run/k3s-state";
/// What kubectl says of the node; Ready if empty.
const NODE: &str = "/run/k3s-node";
/// What kubectl says of Applications and pods, as JSON; empty, the cluster knows no
/// such kind, or there are none.
const APPLICATIONS: &str = "/run/applications";
const PODS: &str = "/run/pods";
/// How often the unit was started.
const STARTS: &str = "/run/k3s-starts";
const JOURNAL: &str = "/run/journal";
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// A node with K3s, and the servers beside it by the last number of their address.
pub(crate) fn node(founds: bool, servers: &[u8]) -> NodeConfig {
    let mut node = machine::node();
    let servers = servers.iter().map(|last| [192, 168, 4, *last].into());
    node.k3s = Some(Settings {
        unit: UNIT.into(),
        founds,
        servers: servers.collect(),
        ca_hash: sha256(ROOT),
        files: Vec::new(),
    });
    node
}

const ROOT: &[u8] = b"the root of the cluster's CA";

/// A founder that hands its cluster over.
pub(crate) fn handing_over() -> NodeConfig {
    let mut node = node(true, &[12]);
    node.handover = Some(Handover {
        chart: "argo-cd-10.1.1.tgz".into(),
        source: None,
    });
    node
}

/// One that asks Git first, and what it would hand over with otherwise.
pub(crate) fn pulling(fake: &Fake) -> NodeConfig {
    let mut node = handing_over();
    if let Some(handover) = &mut node.handover {
        handover.source = Some(Source {
            repository: "https://git.home.arpa/a.git".into(),
            revision: "main".into(),
            path: "cluster".into(),
            trust: handover::Trust::Commit("0a".repeat(20)),
            ca: None,
            known_hosts: None,
        });
    }
    for path in paths::K3S_HANDOVER {
        fake.put(path, 0o600, "baked\n");
    }
    let outcome = Outcome::Pulled {
        commit: "0a".repeat(20),
        signer: None,
        texts: TEXTS.map(|name| format!("# {name} of Git\n")),
    };
    let said = serde_json::to_string(&outcome).expect("JSON");
    fake.install(paths::AGENT, move |_, args, _| {
        assert_eq!(args, [pull::FLAG]);
        Ok(said.clone())
    });
    node
}

/// What K3s needs, and no server yet.
pub(crate) fn install(fake: &Fake) {
    fake.put(TOKEN, 0o600, "K10::server:hunter2-canary\n");
    fake.put(KUBECONFIG, 0o600, "");
    let controllers = "cpuset cpu io memory pids\n";
    fake.show("/sys/fs/cgroup/cgroup.controllers", controllers);
    fake.serve_https(|fake, request| {
        let date = fake.text(TIME).parse().ok().filter(|time| *time > 0);
        answer(&fake.text(SERVERS), date, fake.time(), request)
    });
    fake.install("systemctl", |fake, args, extent| {
        if args.last().is_none_or(|unit| unit != UNIT) {
            return machine::systemctl(fake, args, extent);
        }
        if args[0] == "show" {
            return Ok(
                match (fake.text(STARTS).as_str(), fake.text(STATE).as_str()) {
                    ("", _) => "inactive\n".into(),
                    (_, "") => "active\n".into(),
                    (_, state) => format!("{state}\n"),
                },
            );
        }
        assert_eq!(args, ["--no-block", "restart", UNIT]);
        assert!(fake.exists(paths::K3S_MAY_START), "the unit's condition");
        fake.put_synced(STARTS, 0o644, (starts(fake) + 1).to_string());
        Ok(String::new())
    });
    fake.install("/usr/local/bin/k3s", |fake, args, _| {
        assert_eq!(args[..2], ["kubectl", "--kubeconfig"]);
        match (args[6].as_str(), fake.text(NODE).as_str()) {
            ("node", "") => Ok("True KubeletReady: kubelet is posting ready status".into()),
            ("node", said) => Ok(said.to_owned()),
            ("pods", _) => Ok(fake.text(PODS)),
            ("applications.argoproj.io", _) => match fake.text(APPLICATIONS).as_str() {
                "" => Err("error: the server doesn't have a resource type \"applications\"".into()),
                said => Ok(said.to_owned()),
            },
            (what, _) => panic!("not asked for {what}"),
        }
    });
    fake.install("journalctl", |fake, _, _| Ok(fake.text(JOURNAL)));
}

/// The machine starts: an enabled unit does too, where it may.
pub(crate) fn restart(fake: &Fake) {
    match fake.exists(paths::K3S_MAY_START) {
        true => fake.put_synced(STARTS, 0o644, "1"),
        false => fake.delete(STARTS),
    }
}

/// How the servers stand from now on.
pub(crate) fn servers(fake: &Fake, lines: &str) {
    fake.put(SERVERS, 0o644, lines);
}

/// What time they say it is from now on.
pub(crate) fn tell_time(fake: &Fake, seconds: u64) {
    fake.put(TIME, 0o644, seconds.to_string());
}

/// How the unit stands from now on, and what it writes.
pub(crate) fn unit(fake: &Fake, state: &str, journal: &str) {
    fake.put(STATE, 0o644, state);
    fake.put(JOURNAL, 0o644, journal);
}

/// What kubectl says from now on.
pub(crate) fn own_node(fake: &Fake, said: &str) {
    fake.put(NODE, 0o644, said);
}

/// Argo CD is there with these Applications: name, sync, health, and what is wrong.
pub(crate) fn applications(fake: &Fake, all: &[[&str; 4]]) {
    let item = |[name, sync, health, wrong]: &[&str; 4]| {
        serde_json::json!({
            "metadata": {"name": name},
            "status": {
                "sync": {"status": sync},
                "health": {"status": health},
                "conditions": [{"type": "ComparisonError", "message": wrong}],
            },
        })
    };
    let items: Vec<_> = all.iter().map(item).collect();
    let list = serde_json::json!({ "items": items });
    fake.put(APPLICATIONS, 0o644, list.to_string());
}

/// What kubectl says of pods from now on.
pub(crate) fn pods(fake: &Fake, said: &str) {
    fake.put(PODS, 0o644, said);
}

/// No kubeconfig.
pub(crate) fn lose_kubeconfig(fake: &Fake) {
    fake.delete(KUBECONFIG);
}

/// How often the unit was started.
pub(crate) fn starts(fake: &Fake) -> u32 {
    fake.text(STARTS).parse().unwrap_or(0)
}

fn answer(
    servers: &str,
    date: Option<u64>,
    now: u64,
    request: &Get<'_>,
) -> Result<Answer, NoAnswer> {
    let host = request.server.ip().to_string();
    let mut lines = servers.lines().filter_map(|line| line.split_once(' '));
    let Some((_, how)) = lines.find(|(server, _)| *server == host) else {
        return Err(NoAnswer::Silent);
    };
    let pem = |der: &[u8]| {
        let body = Base64::encode_string(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    let trusted = matches!(request.trust, Trust::Only(_));
    if let Trust::OnlyThen(_, time) = request.trust {
        assert_eq!(Some(time), date, "judged at the time it says it is");
    }
    let (status, body) = match (request.path, how) {
        (_, "strange") => return Err(NoAnswer::Broken("no TLS".into())),
        (_, "clock") if trusted && date.is_none_or(|date| now < date) => {
            return Err(NoAnswer::Clock);
        }
        ("/ping", _) => (200, "pong".into()),
        ("/cacerts", "other") => (200, pem(b"another root") + &pem(b"another CA")),
        ("/cacerts", _) => (200, pem(b"a CA") + &pem(ROOT)),
        ("/v1-k3s/readyz", how) => {
            let header = "Basic c2VydmVyOmh1bnRlcjItY2FuYXJ5";
            assert_eq!((request.authorization, trusted), (Some(header), true));
            let status = match how {
                "ready" | "clock" => 200,
                "busy" => 503,
                _ => 401,
            };
            (status, String::new())
        }
        (path, _) => panic!("{path} is not asked for"),
    };
    Ok(Answer {
        status,
        date,
        body: body.into_bytes(),
    })
}
