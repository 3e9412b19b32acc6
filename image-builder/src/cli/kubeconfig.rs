//! `imgbuild kubeconfig`.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use node_config::Role;

use super::Global;
use super::hand_out::hand_out;
use super::unlock::Unlocking;
use crate::config::Workspace;
use crate::pki;
use crate::secret;
use crate::secrets::{self, Vault};

/// Where K3s' API listens.
const PORT: u16 = 6443;

/// Arguments of `imgbuild kubeconfig`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    unlocking: Unlocking,
    /// The API's address [default: https://ADDRESS:6443 of the first server].
    #[arg(long, value_name = "URL")]
    server: Option<url::Url>,
    /// Where it goes; stdout, where that is no terminal, if left out.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long, requires = "output")]
    force: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let server = match &args.server {
        // Without the slash that a URL ends with: kubectl puts a path behind it.
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => first_server(&workspace)?,
    };
    let path = secrets::path(workspace.cluster_dir());
    let unlock = args.unlocking.unlock()?;
    let vault = Vault::open(&path, workspace.cluster().id, &unlock)?;
    let authorities = &vault.secrets().authorities;
    let admin = authorities.admin(&mut secret::source(), SystemTime::now().into())?;
    let text = pki::kubeconfig(authorities, &admin, &workspace.cluster().name, &server);
    hand_out("a kubeconfig", &text, args.output.as_deref(), args.force)
}

fn first_server(workspace: &Workspace) -> anyhow::Result<String> {
    for name in workspace.node_names() {
        let node = workspace.plan(name)?.node;
        if node.role == Role::Server {
            return Ok(format!("https://{}:{PORT}", node.address.addr()));
        }
    }
    None.context("the cluster has no server; name the API's address with --server")
}
