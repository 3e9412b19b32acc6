//! `imgbuild node add`.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::{Global, change};
use crate::edit::{NewNode, add_node, next_address};
use crate::plan::Role;
use crate::secrets;

/// Arguments of `imgbuild node add`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name.
    name: String,
    /// What it does in K3s.
    #[arg(long, value_enum, default_value_t = RoleArg::Agent)]
    role: RoleArg,
    /// Its address [default: the next free one].
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// Its profile [default: that of the last node].
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The MAC address of its wired interface, if it has more than one.
    #[arg(long)]
    mac: Option<String>,
    /// A Kubernetes label; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A Kubernetes taint; may be given several times.
    #[arg(long = "taint", value_name = "KEY=VALUE:EFFECT")]
    taints: Vec<String>,
}

/// [`Role`] as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Control plane, etcd and workloads.
    Server,
    /// Workloads only.
    Agent,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let file = workspace.file();
    let address = match args.address {
        Some(address) => address,
        None => {
            let taken = workspace.taken().keys().copied();
            let subnet = file.network.subnet;
            next_address(file, taken)
                .with_context(|| format!("no address of {subnet} is free; widen the subnet"))?
        }
    };
    let mut node = NewNode {
        name: args.name.clone(),
        address,
        role: match args.role {
            RoleArg::Server => Role::Server,
            RoleArg::Agent => Role::Agent,
        },
        profile: match (&args.profile, file.nodes.last()) {
            (Some(profile), _) => profile.clone(),
            (None, Some(last)) => last.profile.clone(),
            (None, None) => bail!("name a profile with --profile"),
        },
        mac: args.mac.clone(),
        labels: Default::default(),
        taints: args.taints.clone(),
    };
    for (key, value) in &args.labels {
        if node.labels.insert(key.clone(), value.clone()).is_some() {
            bail!("the label {key:?} is given twice");
        }
    }
    let known = workspace.profiles().any(|old| old.name == node.profile);
    change(global, &workspace, |text| add_node(text, &node))?.write()?;
    eprintln!(
        "{} is in {} now: {}, {}, profile {}",
        node.name,
        global.cluster.display(),
        node.role,
        node.address,
        node.profile,
    );
    match node.role {
        Role::Server if workspace.k3s().is_some() => eprintln!(
            "images of the other nodes that are built from now on know it as a server; nodes that \
             run need no new one"
        ),
        _ => eprintln!("no other node's image changes"),
    }
    if !known {
        eprintln!("next: imgbuild lock && imgbuild fetch, for no node had this profile");
    }
    let name = &node.name;
    eprintln!("next: imgbuild write {name} /dev/DISK    (`imgbuild devices` shows which)");
    if secrets::path(workspace.cluster_dir()).exists() {
        eprintln!("that also makes its keys and keeps them with the cluster's secrets");
    }
    Ok(())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, such as disk=nvme")?;
    Ok((key.to_owned(), value.to_owned()))
}
