//! `imgbuild node show`.

use serde_json::json;

use super::{Global, list};
use crate::cli::making::plain_secrets;
use crate::cli::terminal::{print_json, print_text};
use crate::cli::unlock::Unlocking;
use crate::config::Workspace;
use crate::explain::{extent, fat_serial};
use crate::identity::HostKeys;
use crate::ids::NodeIds;
use crate::plan::MachineId;
use crate::secrets::{self, Vault};

/// Arguments of `imgbuild node show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: String,
    /// Open the secrets file for the fingerprints of its SSH host keys. Those of a
    /// cluster without such a file are always shown.
    #[arg(long)]
    fingerprints: bool,
    #[command(flatten)]
    unlocking: Unlocking,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let plan = workspace.plan(&args.node)?;
    let ids = NodeIds::derive(plan.cluster.id, &plan.node.name);
    let disk = plan.profile.disk;
    let machine = match plan.profile.machine_id {
        MachineId::Derived => ids.machine.simple().to_string(),
        MachineId::FirstBoot => "made at the first boot".to_owned(),
    };
    let prints = fingerprints(&workspace, args)?;
    let serial = fat_serial(ids.boot_serial);
    if args.json {
        let nodes = &workspace.file().nodes;
        let entry = nodes.iter().find(|entry| entry.node.name == args.node);
        let mut shown = entry.map(list::value).unwrap_or_default();
        shown["disk"] = json!({
            "root": extent(disk.root),
            "data": disk.data.map(extent),
        });
        shown["ids"] = json!({
            "disk": ids.disk,
            "bootfs": ids.boot,
            "bootfs_serial": serial,
            "rootfs": ids.root,
            "data": disk.data.map(|_| ids.data),
            "machine": machine,
        });
        shown["host_keys"] = json!(prints);
        return print_json(&shown);
    }
    let mut text = String::new();
    let mut line = |key: &str, value: String| text += &format!("{key:11}{value}\n");
    line("name", plan.node.name.clone());
    line("role", plan.node.role.to_string());
    line("address", plan.node.address.to_string());
    if let Some(mac) = plan.node.mac {
        line("MAC", mac.to_string());
    }
    line("profile", plan.profile.name.clone());
    for (key, value) in &plan.node.labels {
        line("label", format!("{key}={value}"));
    }
    for taint in &plan.node.taints {
        line("taint", taint.clone());
    }
    line("disk", format!("GPT {}", ids.disk));
    line("bootfs", format!("{}, FAT {serial}", ids.boot));
    line("rootfs", format!("{}, {}", ids.root, extent(disk.root)));
    if let Some(data) = disk.data {
        line("data", format!("{}, {}", ids.data, extent(data)));
    }
    line("machine-id", machine);
    for print in prints.iter().flatten() {
        line("host key", print.clone());
    }
    if prints.is_none() {
        eprintln!("its host keys are in the secrets file: --fingerprints opens it");
    }
    print_text(text)
}

/// The fingerprints of its host keys, none if it has none yet; `None` where they
/// are in a file that was not opened.
fn fingerprints(workspace: &Workspace, args: &Args) -> anyhow::Result<Option<Vec<String>>> {
    let path = secrets::path(workspace.cluster_dir());
    let shown = |keys: &HostKeys| keys.each().map(|key| key.fingerprint()).to_vec();
    if !path.exists() {
        let keys = HostKeys::load(&plain_secrets(workspace), &args.node)?;
        return Ok(Some(keys.as_ref().map(shown).unwrap_or_default()));
    }
    if !args.fingerprints {
        return Ok(None);
    }
    let vault = Vault::open(&path, workspace.cluster().id, &args.unlocking.unlock()?)?;
    let node = vault.secrets().nodes.get(&args.node);
    Ok(Some(
        node.map(|node| shown(&node.host_keys)).unwrap_or_default(),
    ))
}
