//! K3s' configuration, complete before its first start: nothing is installed on
//! the node. What depends on the moment, whom to join, is the agent's to write
//! (`config.yaml.d`, which K3s reads after the file here).
//! Keys, files and directories: docs.k3s.io, "Configuration File", "k3s server",
//! "k3s token", "k3s certificate", "Private Registry Configuration".

use std::fmt::Write as _;

use anyhow::Result;
use node_config::config::BakedFile;
use node_config::paths;

use super::render::Request;
use super::{BaseView, Change, Overlay, Owner, Part, units};
use crate::pki::{TLS_DIR, TlsFile};
use crate::plan::{K3s, NodePlan, Role};
use crate::secret::Secret;

const PROGRAM: &str = "/usr/local/bin/k3s";
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images/";
const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const TOKEN: &str = "/etc/rancher/k3s/token";
const AGENT_TOKEN: &str = "/etc/rancher/k3s/agent-token";
const REGISTRIES: &str = "/etc/rancher/k3s/registries.yaml";
const PASSWORD: &str = "/etc/rancher/node/password";
const MODULES: &str = "/etc/modules-load.d/90-imgbuild-k3s.conf";
const SYSCTL: &str = "/etc/sysctl.d/90-imgbuild-k3s.conf";
const NETWORK_MANAGER: &str = "/etc/NetworkManager/conf.d";

/// Longhorn makes its disk on a node with this label, at its default path.
const LONGHORN_DISK: &str = "node.longhorn.io/create-default-disk";

/// What a node needs to be let into its cluster, and no more.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The full token of the node's role.
    pub token: Secret,
    /// On servers, what agents will show.
    pub agent_token: Option<Secret>,
    /// What the node shows so that nobody else can have its name.
    pub password: Secret,
    /// On the server that founds the cluster, the CAs.
    pub tls: Vec<TlsFile>,
    /// What every token says of the CA, 64 hex digits.
    pub ca_hash: String,
}

/// Adds it, for a node that has what it needs to be let in. Without that its
/// image has the programs alone.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    let (Some(k3s), Some(entrance)) = (&request.plan.k3s, request.entrance) else {
        return Ok(());
    };
    let plan = request.plan;
    overlay.dir(Part::Root, "/etc/rancher/k3s", 0o755, Owner::ROOT);
    let mut secret = |path: &str, secret: &Secret| {
        let text = format!("{}\n", secret.expose());
        overlay.file(Part::Root, path, 0o600, text);
    };
    secret(TOKEN, &entrance.token);
    if let Some(token) = &entrance.agent_token {
        secret(AGENT_TOKEN, token);
    }
    // Without a line's end, whether or not K3s cuts one off.
    overlay.dir(Part::Root, "/etc/rancher/node", 0o700, Owner::ROOT);
    overlay.file(Part::Root, PASSWORD, 0o600, entrance.password.expose());
    overlay.file(Part::Root, CONFIG, 0o600, config(plan, k3s));
    if k3s.registry_mirror {
        // A registry of any name: what another node has is taken from there.
        overlay.file(Part::Root, REGISTRIES, 0o600, "mirrors:\n  \"*\":\n");
    }
    add_authorities(overlay, &entrance.tls);
    add_kernel(overlay, base)?;
    let unit = unit_name(plan.node.role);
    let path = format!("/etc/systemd/system/{unit}");
    overlay.file(Part::Root, &path, 0o644, unit_text(plan.node.role));
    units::enable(overlay, base, unit)
}

/// What the agent is told of it, once everything of it is in the overlay.
pub(super) fn for_the_agent(
    request: &Request<'_>,
    overlay: &Overlay,
) -> Option<node_config::config::K3s> {
    let (k3s, entrance) = (request.plan.k3s.as_ref()?, request.entrance?);
    let own = &request.plan.node.name;
    let others = k3s.servers.iter().filter(|server| server.name != *own);
    Some(node_config::config::K3s {
        unit: unit_name(request.plan.node.role).to_owned(),
        founds: k3s.founder() == Some(own),
        servers: others.map(|server| server.address).collect(),
        ca_hash: entrance.ca_hash.clone(),
        files: checked_files(overlay, unit_name(request.plan.node.role)),
    })
}

/// What the agent checks before the start, by path: what a torn disk would turn into
/// riddles. A digest of a secret would say something of it to everyone on the node.
fn checked_files(overlay: &Overlay, unit: &str) -> Vec<BakedFile> {
    let unit = format!("/etc/systemd/system/{unit}");
    let is_checked = |path: &str| {
        [PROGRAM, CONFIG, REGISTRIES, unit.as_str()].contains(&path) || path.starts_with(IMAGES)
    };
    let changes = overlay.changes(Part::Root);
    let files = changes.filter_map(|(path, change)| match change {
        Change::File { content, .. } if is_checked(path) => Some(BakedFile {
            path: path.to_owned(),
            sha256: content.sha256(),
        }),
        _ => None,
    });
    files.collect()
}

/// The names that K3s' installer gives its units: what is written about K3s is
/// true for these nodes.
pub(super) fn unit_name(role: Role) -> &'static str {
    match role {
        Role::Server => "k3s.service",
        Role::Agent => "k3s-agent.service",
    }
}

fn config(plan: &NodePlan, k3s: &K3s) -> String {
    let mut yaml = Yaml::default();
    yaml.text("node-name", &plan.node.name);
    yaml.text("node-ip", &plan.node.address.addr().to_string());
    yaml.text("token-file", TOKEN);
    let mut labels: Vec<String> = plan
        .node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if plan.profile.disk.data.is_some() && !plan.node.labels.contains_key(LONGHORN_DISK) {
        labels.push(format!("{LONGHORN_DISK}=true"));
    }
    yaml.list("node-label", &labels);
    yaml.list("node-taint", &plan.node.taints);
    // Its own iptables: of Debian's some versions were bad.
    yaml.word("prefer-bundled-bin", "true");
    if plan.node.role == Role::Server {
        // From here on alike on all servers, or K3s refuses to join them.
        yaml.text("agent-token-file", AGENT_TOKEN);
        let vip = k3s.vip.map(|vip| vip.to_string());
        let san: Vec<String> = vip.into_iter().chain(k3s.tls_san.clone()).collect();
        yaml.list("tls-san", &san);
        yaml.list("disable", &k3s.disable);
        yaml.word("embedded-registry", &k3s.registry_mirror.to_string());
        yaml.word("secrets-encryption", "true");
        yaml.text("write-kubeconfig-mode", "0600");
        yaml.text("etcd-snapshot-schedule-cron", &k3s.snapshot_schedule);
        yaml.word("etcd-snapshot-retention", &k3s.snapshot_keep.to_string());
    }
    yaml.0
}

/// A flat YAML document. Texts are written as JSON writes them, which YAML 1.2
/// takes as they are (section 1.3, "Relation to JSON").
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn text(&mut self, key: &str, value: &str) {
        self.word(key, &quoted(value));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            let _ = writeln!(self.0, "{key}:");
        }
        for value in values {
            let _ = writeln!(self.0, "  - {}", quoted(value));
        }
    }

    fn word(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key}: {value}");
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// K3s takes CAs that are there before its first start for its own. Later servers
/// get them from the datastore.
fn add_authorities(overlay: &mut Overlay, files: &[TlsFile]) {
    if files.is_empty() {
        return;
    }
    overlay.dir(
        Part::Root,
        "/var/lib/rancher/k3s/server",
        0o700,
        Owner::ROOT,
    );
    overlay.dir(Part::Root, TLS_DIR, 0o700, Owner::ROOT);
    overlay.dir(Part::Root, &format!("{TLS_DIR}/etcd"), 0o700, Owner::ROOT);
    for file in files {
        let path = format!("{TLS_DIR}/{}", file.path);
        overlay.file(Part::Root, &path, file.mode, file.content.expose());
    }
}

fn add_kernel(overlay: &mut Overlay, base: &dyn BaseView) -> Result<()> {
    overlay.file(Part::Root, MODULES, 0o644, "br_netfilter\noverlay\n");
    // A dozen pods that watch files use up Debian's defaults.
    let sysctl = "fs.inotify.max_user_instances = 1024\n\
                  fs.inotify.max_user_watches = 524288\n\
                  net.ipv4.ip_forward = 1\n";
    overlay.file(Part::Root, SYSCTL, 0o644, sysctl);
    if base.has(NETWORK_MANAGER)? {
        let text = "# The interfaces of pods are K3s' own.\n\
                    [keyfile]\n\
                    unmanaged-devices=interface-name:cni*;interface-name:flannel*;interface-name:veth*\n";
        let path = format!("{NETWORK_MANAGER}/90-imgbuild-k3s.conf");
        overlay.file(Part::Root, &path, 0o644, text);
    }
    Ok(())
}

/// The settings of K3s' own unit (its install.sh), and ours: it waits for the
/// agent's word before the very first start, and for the clock, without which no
/// certificate is valid yet.
fn unit_text(role: Role) -> String {
    let may_start = paths::K3S_MAY_START;
    format!(
        "[Unit]\n\
         Description=K3s {role}\n\
         Documentation=https://docs.k3s.io\n\
         # Written by the first-boot agent, once it is known whom to join.\n\
         ConditionPathExists={may_start}\n\
         Wants=network-online.target\n\
         After=network-online.target time-sync.target\n\
         # Where a data partition is to be mounted, replicas must not land below it.\n\
         After=local-fs.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStartPre=-/sbin/modprobe br_netfilter\n\
         ExecStartPre=-/sbin/modprobe overlay\n\
         ExecStart=/usr/local/bin/k3s {role}\n\
         # A join may take as long as the other side is down.\n\
         TimeoutStartSec=0\n\
         Restart=always\n\
         RestartSec=5s\n\
         # Containers outlive a restart of K3s.\n\
         KillMode=process\n\
         Delegate=yes\n\
         LimitNOFILE=1048576\n\
         LimitNPROC=infinity\n\
         LimitCORE=infinity\n\
         TasksMax=infinity\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}
