//! `imgbuild node replace`: the same node on other hardware.

use anyhow::bail;

use super::{Global, change, tell};
use crate::cli::making::plain_secrets;
use crate::cli::secrets::{add_nodes, rotate};
use crate::cli::unlock::Unlocking;
use crate::config::Workspace;
use crate::edit::set_mac;
use crate::plan::{NodePlan, Role};
use crate::secrets::{self, Vault, What};

/// Arguments of `imgbuild node replace`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: String,
    /// Give it new SSH host keys and a new password for K3s as well: for hardware
    /// that was lost or stolen.
    #[arg(long)]
    new_identity: bool,
    /// The MAC address of the new hardware.
    #[arg(long)]
    mac: Option<String>,
    #[command(flatten)]
    unlocking: Unlocking,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let plan = workspace.plan(&args.node)?;
    let name = &plan.node.name;
    let path = secrets::path(workspace.cluster_dir());
    // What may fail comes before what changes something.
    let changed = match &args.mac {
        Some(mac) => Some(change(global, &workspace, |text| set_mac(text, name, mac))?),
        None => None,
    };
    if args.new_identity && !path.exists() {
        bail!(
            "the cluster has no secrets file; remove the folder {} instead, and the next build of \
             {name} makes new keys",
            plain_secrets(&workspace).join(name).display()
        );
    }
    let vault = match args.new_identity {
        true => {
            let unlock = args.unlocking.unlock()?;
            Some(Vault::open(&path, workspace.cluster().id, &unlock)?)
        }
        false => None,
    };
    if let Some(changed) = changed {
        changed.write()?;
        eprintln!("{} has the new MAC address", global.cluster.display());
    } else if let Some(mac) = plan.node.mac {
        eprintln!("warning: {name} is matched by the MAC address {mac}; name the new with --mac");
    }
    if let Some(mut vault) = vault {
        // A node that was never built has nothing to make anew.
        if add_nodes(&mut vault, &[name])?.is_empty() {
            let what = [What::Node(name.clone()), What::Ssh(name.clone())];
            rotate(&workspace, &mut vault, &what)?;
        }
    } else {
        eprintln!(
            "{name} keeps its name, address, ids, SSH host keys and password: the cluster and \
             everyone who logs in take the new hardware for the old"
        );
    }
    eprintln!("for {name} on other hardware:");
    tell(&steps(&workspace, &plan, args.new_identity));
    Ok(())
}

fn steps(workspace: &Workspace, plan: &NodePlan, new_identity: bool) -> Vec<String> {
    let name = &plan.node.name;
    let mut steps = vec!["switch the old hardware off for good: two of the same name fight".into()];
    let nodes = &workspace.file().nodes;
    let servers = nodes.iter().filter(|entry| entry.node.role == Role::Server);
    let is_server = plan.node.role == Role::Server;
    if plan.k3s.is_some() && is_server && servers.count() == 1 {
        steps.push(
            "it is the only server, and the cluster's state is on its disk: have a snapshot of \
             etcd at hand to restore, or the cluster begins anew"
                .into(),
        );
    } else if plan.k3s.is_some() && (is_server || new_identity) {
        let why = match is_server {
            true => "etcd takes no second member of the same name",
            false => "K3s forgets the old password with it",
        };
        steps.push(format!("kubectl delete node {name}    ({why})"));
    }
    steps.push(format!(
        "imgbuild write {name} /dev/DISK    (`imgbuild devices` shows which; an old disk that \
         moves along needs no writing)"
    ));
    if plan.profile.disk.data.is_some() {
        steps.push("what was on the old disk's data partition comes from its copies".into());
    }
    steps
}
