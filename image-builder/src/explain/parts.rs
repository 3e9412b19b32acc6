//! The image, part by part.

use node_config::paths;
use ssh_key::{HashAlg, PublicKey};

use super::{Beside, Kept, Part, extent};
use crate::handover;
use crate::ids::NodeIds;
use crate::lock::{self, Lock};
use crate::plan::{BaseLocation, MachineId, NodePlan, NvmePower, PageSize, Role, Size};

pub(super) fn parts(plan: &NodePlan, lock: Option<&Lock>, beside: Beside) -> Vec<Part> {
    let ids = NodeIds::derive(plan.cluster.id, &plan.node.name);
    let parts = [
        ("node", node(plan)),
        ("base", base(plan, lock)),
        ("disk", disk(plan, &ids)),
        ("firmware", firmware(plan)),
        ("system", system(plan, &ids)),
        ("users", users(plan)),
        ("network", network(plan)),
        ("packages", packages(plan, lock)),
        ("k3s", k3s(plan, lock, beside)),
        ("files", files(plan)),
        ("secrets", secrets(plan, beside.kept)),
    ];
    let parts = parts.into_iter().filter(|(_, lines)| !lines.is_empty());
    parts.map(|(topic, lines)| Part { topic, lines }).collect()
}

fn node(plan: &NodePlan) -> Vec<String> {
    let NodePlan { cluster, node, .. } = plan;
    let mut lines = vec![
        format!(
            "{}, of the cluster {} ({})",
            node.name, cluster.name, cluster.id
        ),
        format!("kind: profile {}", plan.profile.name),
    ];
    let labels = node.labels.iter();
    lines.extend(labels.map(|(key, value)| format!("label {key}={value}")));
    lines.extend(node.taints.iter().map(|taint| format!("taint {taint}")));
    lines
}

fn base(plan: &NodePlan, lock: Option<&Lock>) -> Vec<String> {
    let base = &plan.profile.base;
    let mut lines = Vec::new();
    match &base.location {
        BaseLocation::Url(url) => {
            lines.push(url.clone());
            let locked = lock.and_then(|lock| lock.base.iter().find(|base| &base.url == url));
            lines.push(fetched(locked));
        }
        BaseLocation::File(path) => lines.push(format!("the file {}", path.display())),
    }
    lines.push(match &base.sha256 {
        Some(sha256) => format!("its sha256 must be {sha256}"),
        None => "no sha256 is demanded: it is used as found".to_owned(),
    });
    if let Some(signer) = &base.signer {
        lines.push(format!("signed by the key {}", signer.fingerprint));
    }
    lines
}

fn disk(plan: &NodePlan, ids: &NodeIds) -> Vec<String> {
    let disk = plan.profile.disk;
    let mut lines = vec![
        format!("GPT {}", ids.disk),
        format!("1 bootfs  FAT, as large as the base's, {}", ids.boot),
        format!("2 rootfs  ext4, {}, {}", extent(disk.root), ids.root),
    ];
    if let Some(data) = disk.data {
        lines.push(format!("3 data    ext4, {}, {}", extent(data), ids.data));
    }
    lines
}

fn firmware(plan: &NodePlan) -> Vec<String> {
    let firmware = &plan.profile.firmware;
    let mut lines = vec![format!(
        "memory pages of {}, memory cgroup {}",
        match firmware.page_size {
            PageSize::FourKib => "4 KiB",
            PageSize::SixteenKib => "16 KiB",
        },
        if firmware.cgroup_memory { "on" } else { "off" }
    )];
    if firmware.usb_max_current {
        lines.push("full power for the USB ports".into());
    }
    lines.extend(
        firmware
            .pcie_gen
            .map(|gen_| format!("PCIe generation {gen_}")),
    );
    if firmware.nvme_power == NvmePower::Safe {
        lines.push("no NVMe power saving".into());
    }
    for (what, list) in [
        ("USB storage quirk", &firmware.usb_quirks),
        ("config.txt:", &firmware.config_txt),
        ("kernel word", &firmware.kernel_words),
    ] {
        lines.extend(list.iter().map(|line| format!("{what} {line}")));
    }
    lines
}

fn system(plan: &NodePlan, ids: &NodeIds) -> Vec<String> {
    let locale = &plan.locale;
    vec![
        format!(
            "time zone {}, language {}, keyboard {}",
            locale.timezone, locale.lang, locale.keyboard
        ),
        match plan.profile.machine_id {
            MachineId::Derived => format!("machine-id {}", ids.machine.simple()),
            MachineId::FirstBoot => "machine-id made at the first boot".to_owned(),
        },
        format!("journal of at most {}", plan.profile.journal_max),
    ]
}

fn users(plan: &NodePlan) -> Vec<String> {
    let mut lines = Vec::new();
    for user in &plan.users {
        let root = match user.sudo {
            true => "may become root",
            false => "may not become root",
        };
        lines.push(format!("{}: logs in by key only, {root}", user.name));
        lines.extend(user.ssh_keys.iter().map(|line| format!("  {}", key(line))));
    }
    lines
}

/// A public key as `ssh-keygen -l` has it; the key's comment says whose it is.
fn key(line: &str) -> String {
    match PublicKey::from_openssh(line) {
        Ok(key) => {
            let print = key.fingerprint(HashAlg::Sha256);
            format!("{print} {}", key.comment()).trim_end().to_owned()
        }
        Err(_) => "a key".to_owned(),
    }
}

fn network(plan: &NodePlan) -> Vec<String> {
    let (node, network) = (&plan.node, &plan.network);
    let interface = match node.mac {
        Some(mac) => format!("the interface with the MAC address {mac}"),
        None => "the wired interface".to_owned(),
    };
    let servers: Vec<_> = network.dns.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("{} on {interface}, always", node.address),
        format!("gateway {}", network.gateway),
        format!("name servers {}", servers.join(", ")),
    ];
    for (what, list) in [("search", &network.search), ("time servers", &network.ntp)] {
        if !list.is_empty() {
            lines.push(format!("{what} {}", list.join(", ")));
        }
    }
    lines.push(match &plan.profile.wifi_country {
        Some(country) => format!("Wi-Fi by the rules of {country}"),
        None => "Wi-Fi off".to_owned(),
    });
    lines
}

fn packages(plan: &NodePlan, lock: Option<&Lock>) -> Vec<String> {
    let wanted = &plan.profile.packages;
    if wanted.is_empty() {
        return vec!["none beyond the base's own".into()];
    }
    let sets = lock.map(|lock| lock.packages.iter());
    let locked = sets.and_then(|mut sets| sets.find(|set| &set.wanted == wanted));
    let files = match locked {
        Some(set) => {
            let bytes = set.deb.iter().map(|deb| deb.size).sum();
            format!("{} package files, {}", set.deb.len(), mib(bytes))
        }
        None => NOT_LOCKED.to_owned(),
    };
    vec![wanted.join(", "), files]
}

fn k3s(plan: &NodePlan, lock: Option<&Lock>, beside: Beside) -> Vec<String> {
    let Some(k3s) = &plan.k3s else {
        return vec!["none: plain Linux".into()];
    };
    let mut lines = vec![format!(
        "{}, as {}",
        k3s.version,
        match plan.node.role {
            Role::Server => "a server: control plane, etcd and workloads",
            Role::Agent => "an agent: workloads only",
        }
    )];
    for (url, path, _) in lock::k3s_files(k3s) {
        let locked = lock.and_then(|lock| lock.k3s.iter().find(|file| file.url == url));
        lines.push(format!("{path}: {}", fetched(locked)));
    }
    if beside.kept == Kept::Plain {
        let why = "without the cluster's secrets file no node is let in";
        lines.push(format!("nothing of it is set up: {why}"));
        return lines;
    }
    if let Some(founder) = k3s.founder().filter(|_| k3s.servers.len() > 1) {
        let servers: Vec<_> = k3s.servers.iter().map(|peer| peer.name.as_str()).collect();
        lines.push(format!(
            "servers {}; {founder} founds the cluster",
            servers.join(", ")
        ));
    }
    if plan.node.role == Role::Server {
        let vip = k3s.vip.iter().map(ToString::to_string);
        let api: Vec<_> = vip.chain(k3s.tls_san.iter().cloned()).collect();
        if !api.is_empty() {
            lines.push(format!("its API is also {}", api.join(", ")));
        }
        if !k3s.disable.is_empty() {
            lines.push(format!("without {}", k3s.disable.join(", ")));
        }
        lines.push(format!(
            "etcd is saved at {:?}, {} snapshots are kept",
            k3s.snapshot_schedule, k3s.snapshot_keep
        ));
    }
    if beside.hands_over(plan) {
        let chart = lock.and_then(|lock| lock.chart(handover::CHART));
        lines.push(format!(
            "hands the cluster over to Argo CD: the chart {}, {}",
            handover::CHART,
            match chart {
                Some(chart) => chart.version.as_str(),
                None => "not locked yet; `imgbuild lock` finds it",
            }
        ));
    }
    if k3s.registry_mirror {
        lines.push("container images come from other nodes first".into());
    }
    lines
}

fn files(plan: &NodePlan) -> Vec<String> {
    let profile = &plan.profile;
    let mut lines = vec![format!("{}, the first-boot agent", paths::AGENT)];
    for file in &profile.files {
        let (user, group) = file.owner;
        // Never what is in it.
        lines.push(format!(
            "{}, {} bytes, mode {:04o}, owner {user}:{group}",
            file.path,
            file.content.len(),
            file.mode
        ));
    }
    for artifact in &profile.artifacts {
        let from = &artifact.url;
        lines.push(format!(
            "{}, mode {:04o}, from {from}",
            artifact.path, artifact.mode
        ));
    }
    let units = profile.enable_units.iter();
    lines.extend(units.map(|unit| format!("{unit} is started at boot")));
    let units = profile.mask_units.iter();
    lines.extend(units.map(|unit| format!("{unit} is never started")));
    lines
}

fn secrets(plan: &NodePlan, kept: Kept) -> Vec<String> {
    let place = match kept {
        Kept::Sealed => "in the cluster's secrets file",
        Kept::Plain => "in plain files in secrets/, beside the cluster file",
    };
    let mut lines = vec![
        format!("made once, kept {place}, and not shown:"),
        "SSH host keys, Ed25519 and RSA".into(),
    ];
    if let (Some(k3s), Kept::Sealed) = (&plan.k3s, kept) {
        lines.push("its password for K3s, with which it is the same node again".into());
        lines.push(match plan.node.role {
            Role::Server => "the tokens of servers and of agents".into(),
            Role::Agent => "the token of agents".into(),
        });
        if k3s.founder() == Some(&plan.node.name) {
            lines.push("the cluster's certificate authorities".into());
        }
    }
    lines
}

const NOT_LOCKED: &str = "not locked yet; `imgbuild lock` finds it";

fn fetched(locked: Option<&lock::Download>) -> String {
    match locked {
        Some(locked) => format!("locked, {}, {}", mib(locked.size), locked.sha256),
        None => NOT_LOCKED.to_owned(),
    }
}

/// Rounded up: what takes something is never shown as nothing.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(Size::MIB))
}
