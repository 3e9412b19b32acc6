//! `imgbuild export`.

use std::path::{self, Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::Global;
use super::making::plain_secrets;
use super::terminal::print_text;
use super::unlock::Unlocking;
use crate::config::Workspace;
use crate::export::{self, KnownHosts};
use crate::identity::{self, HostKeys};
use crate::secrets::{self, Vault};

/// Arguments of `imgbuild export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lines for /etc/hosts.
    Hosts,
    /// Options for dnsmasq: names, and leases for nodes with a MAC address.
    Dnsmasq,
    /// Records to `$INCLUDE` in a zone file.
    Zone,
    /// An inventory for Ansible, with the groups `servers` and `agents`.
    Ansible(Known),
    /// An ssh_config with every node.
    SshConfig(Known),
    /// The SSH host keys of every node that has some, as known_hosts lines.
    KnownHosts(Unlocking),
}

#[derive(Debug, clap::Args)]
struct Known {
    /// A file with every node's host keys, such as `export known-hosts` prints
    /// [default: out/NODE.known_hosts, which `build` writes].
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let file = workspace.file();
    print_text(match &args.what {
        What::Hosts => export::hosts(file),
        What::Dnsmasq => export::dnsmasq(file),
        What::Zone => export::zone(file),
        What::Ansible(known) => export::ansible(file, &known.place()?),
        What::SshConfig(known) => export::ssh_config(file, &known.place()?),
        What::KnownHosts(unlocking) => known_hosts(&workspace, unlocking)?,
    })
}

impl Known {
    fn place(&self) -> anyhow::Result<KnownHosts> {
        let absolute = |path: &Path| path::absolute(path).context("finding the working directory");
        Ok(match &self.known_hosts {
            Some(file) => KnownHosts::File(absolute(file)?),
            None => KnownHosts::Folder(absolute(Path::new("out"))?),
        })
    }
}

fn known_hosts(workspace: &Workspace, unlocking: &Unlocking) -> anyhow::Result<String> {
    let path = secrets::path(workspace.cluster_dir());
    let vault = match path.exists() {
        true => Some(Vault::open(
            &path,
            workspace.cluster().id,
            &unlocking.unlock()?,
        )?),
        false => None,
    };
    let plain = plain_secrets(workspace);
    let mut text = String::new();
    for peer in export::peers(workspace.file()) {
        let keys = match &vault {
            Some(vault) => {
                let node = vault.secrets().nodes.get(&peer.name);
                node.map(|node| node.host_keys.clone())
            }
            None => HostKeys::load(&plain, &peer.name)?,
        };
        match keys {
            Some(keys) => text += &identity::known_hosts([(&peer, &keys)]),
            None => eprintln!(
                "{} has no host keys yet: its first build makes them",
                peer.name
            ),
        }
    }
    Ok(text)
}
