//! `imgbuild build`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Global;
use super::secrets::add_nodes;
use super::terminal::{Terminal, print_text};
use super::unlock::Unlocking;
use crate::build::{self, Ingredients, Job, Keys};
use crate::config::Workspace;
use crate::lock::{self, Lock};
use crate::plan::Size;
use crate::secrets::{self, Vault};

/// Arguments of `imgbuild build`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The nodes to build.
    #[arg(required_unless_present = "all")]
    nodes: Vec<String>,
    /// Build every node of the cluster.
    #[arg(long, conflicts_with = "nodes")]
    all: bool,
    /// Where the image goes, for a single node [default: out/NODE.img].
    #[arg(long, short, value_name = "FILE", conflicts_with = "all")]
    output: Option<PathBuf>,
    /// Replace an image that is there.
    #[arg(long)]
    force: bool,
    /// A base image to use in place of the profile's; its sha256 must be the
    /// one the profile pins.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// The first-boot agent for the node [default: firstboot-agent beside this
    /// program].
    #[arg(
        long,
        value_name = "FILE",
        env = "IMGBUILD_AGENT",
        hide_env_values = true
    )]
    agent: Option<PathBuf>,
    #[command(flatten)]
    unlocking: Unlocking,
    /// Print what was built as JSON on stdout, a line a node.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    for warning in workspace.warnings() {
        eprintln!("warning: {warning}");
    }
    let nodes: Vec<&str> = match args.all {
        true => workspace.node_names().collect(),
        false => args.nodes.iter().map(String::as_str).collect(),
    };
    if args.output.is_some() && nodes.len() > 1 {
        bail!(
            "--output names one image, and {} nodes were asked for",
            nodes.len()
        );
    }
    let plans = nodes
        .iter()
        .map(|node| workspace.plan(node))
        .collect::<Result<Vec<_>, _>>()?;
    let lock = Lock::load(&lock::path(workspace.cluster_dir()))?.unwrap_or_default();
    let vault = open_secrets(&workspace, &args.unlocking, &nodes)?;
    let plain = plain_secrets(&workspace);
    let mut terminal = Terminal::new()?;
    for plan in &plans {
        let output = args
            .output
            .clone()
            .unwrap_or_else(|| default_output(&plan.node.name));
        let job = Job {
            node: Ingredients {
                plan,
                keys: keys(vault.as_ref(), &plain),
                base: args.base.as_deref(),
                agent: &agent(args.agent.as_deref())?,
                lock: &lock,
                cache: &global.cache()?,
                epoch: epoch()?,
            },
            output: &output,
            replace: args.force,
        };
        // What is built stays; of several nodes the error says which one is not.
        let result = build::build(job, &mut terminal)
            .with_context(|| format!("building {}", plan.node.name))?;
        terminal.finish();
        eprintln!(
            "{}: {} of data on a disk of {}, image {}\n  log in with: ssh -F {} {}",
            output.display(),
            Size(result.written.copied.next_multiple_of(Size::MIB)),
            Size(result.written.len),
            result.image_id,
            result.access.ssh_config.display(),
            plan.node.name,
        );
        if args.json {
            // A line as soon as it is true: a later node may fail.
            let line = serde_json::json!({
            "node": plan.node.name,
            "image": output,
            "image_id": result.image_id,
            "bytes": result.written.len,
            "data_bytes": result.written.copied,
            "known_hosts": result.access.known_hosts,
            "ssh_config": result.access.ssh_config,
            });
            print_text(format!("{line}\n"))?;
        }
    }
    Ok(())
}

/// Where a node's image goes unless the user says otherwise.
pub(super) fn default_output(node: &str) -> PathBuf {
    Path::new("out").join(format!("{node}.img"))
}

/// The cluster's secrets, if it has a file of them, with those of these nodes in
/// it. Before anything else is done: somebody may have to be asked for a passphrase.
pub(super) fn open_secrets(
    workspace: &Workspace,
    unlocking: &Unlocking,
    nodes: &[&str],
) -> anyhow::Result<Option<Vault>> {
    let path = secrets::path(workspace.cluster_dir());
    if !path.exists() {
        if workspace.k3s().is_some() {
            eprintln!(
                "warning: K3s is baked in as a program only: without the cluster's secrets no \
                 node is let in; `imgbuild secrets init` makes them"
            );
        }
        return Ok(None);
    }
    let unlock = unlocking.unlock()?;
    let mut vault = Vault::open(&path, workspace.cluster().id, &unlock)?;
    add_nodes(&mut vault, nodes)?;
    Ok(Some(vault))
}

/// Where a cluster without a file of secrets has its host keys.
pub(super) fn plain_secrets(workspace: &Workspace) -> PathBuf {
    workspace.cluster_dir().join("secrets")
}

/// Where a node's host keys come from.
pub(super) fn keys<'a>(vault: Option<&'a Vault>, plain: &'a Path) -> Keys<'a> {
    match vault {
        Some(vault) => Keys::Kept(vault.secrets()),
        None => Keys::Files(plain),
    }
}

/// The agent for the node: the one given, or the one beside this program.
pub(super) fn agent(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(agent) = given {
        return Ok(agent.to_path_buf());
    }
    let this = std::env::current_exe().context("finding this program's directory")?;
    let agent = this.with_file_name("firstboot-agent");
    if !agent.is_file() {
        bail!(
            "there is no first-boot agent at {}; run `make build`, or name one with --agent",
            agent.display()
        );
    }
    Ok(agent)
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org specification).
pub(super) fn epoch() -> anyhow::Result<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            let seconds: u32 = text.trim().parse().with_context(|| {
                format!("SOURCE_DATE_EPOCH is {text:?}; it must be seconds since 1970, a number below 2^32")
            })?;
            Ok(Some(seconds.into()))
        }
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context("reading SOURCE_DATE_EPOCH"),
    }
}
