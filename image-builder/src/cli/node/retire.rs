//! `imgbuild node retire`.

use std::fs;
use std::io::ErrorKind;

use anyhow::Context as _;

use super::{Global, change, tell};
use crate::cli::making::plain_secrets;
use crate::cli::unlock::Unlocking;
use crate::edit::remove_node;
use crate::plan::{NodePlan, Role};
use crate::secrets::{self, Vault};

/// Arguments of `imgbuild node retire`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: String,
    /// Forget its SSH host keys and its password for K3s too. Kept, a node of that
    /// name that comes later is the same node.
    #[arg(long)]
    forget_secrets: bool,
    #[command(flatten)]
    unlocking: Unlocking,
}

/// A cluster needs a server.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is the cluster's last server, and without one there is no cluster; add another with \
     `imgbuild node add NAME --role server` and let it join first"
)]
pub(in crate::cli) struct LastServer(String);

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let plan = workspace.plan(&args.node)?;
    let name = &plan.node.name;
    let others = || workspace.file().nodes.iter().map(|entry| &entry.node);
    let mut others = others().filter(|node| &node.name != name);
    if plan.node.role == Role::Server && !others.any(|node| node.role == Role::Server) {
        return Err(LastServer(name.clone()).into());
    }
    let changed = change(global, &workspace, |text| remove_node(text, name))?;
    let path = secrets::path(workspace.cluster_dir());
    // Before anything changes: somebody may have to be asked for a passphrase.
    let vault = match args.forget_secrets && path.exists() {
        true => {
            let unlock = args.unlocking.unlock()?;
            Some(Vault::open(&path, workspace.cluster().id, &unlock)?)
        }
        false => None,
    };
    changed.write()?;
    eprintln!("{name} is not in {} any more", global.cluster.display());
    if let Some(mut vault) = vault {
        if vault.change(|secrets| Ok(secrets.nodes.remove(name).is_some()))? {
            eprintln!("{} has forgotten its secrets; commit it", path.display());
        }
    } else if args.forget_secrets {
        let plain = plain_secrets(&workspace).join(name);
        match fs::remove_dir_all(&plain) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.with_context(|| format!("removing {}", plain.display()))?,
        }
    } else {
        eprintln!("its secrets are kept; --forget-secrets would have removed them too");
    }
    eprintln!("in the cluster, before {name} is switched off:");
    tell(&steps(&plan));
    Ok(())
}

fn steps(plan: &NodePlan) -> Vec<String> {
    let name = &plan.node.name;
    let mut steps = Vec::new();
    if plan.k3s.is_some() {
        if plan.profile.disk.data.is_some() {
            steps.push(format!(
                "with Longhorn: disable scheduling on {name} and request eviction, until no \
                 replica is left on it"
            ));
        }
        steps.push(format!(
            "kubectl drain {name} --ignore-daemonsets --delete-emptydir-data"
        ));
        let etcd = match plan.node.role {
            Role::Server => "    (that takes it out of etcd too)",
            Role::Agent => "",
        };
        steps.push(format!("kubectl delete node {name}{etcd}"));
    }
    steps.push(format!(
        "switch {name} off, and overwrite its disk before you give it away: its keys are on it"
    ));
    steps
}
