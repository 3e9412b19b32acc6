//! `imgbuild release`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Global;
use super::making::{agent, epoch};
use super::signing::signing_key;
use super::terminal::{Terminal, print_json};
use crate::config::Workspace;
use crate::device::Bytes;
use crate::lock::{self, Lock};
use crate::plan::Profile;
use crate::release::{self, Job, pack};

/// Arguments of `imgbuild release`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The profile.
    profile: String,
    /// The release's version, such as 2026.11.27.
    #[arg(long)]
    version: String,
    /// The folder to make [default: out/release/VERSION/PROFILE].
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The minisign key that signs it [default: what $IMGBUILD_SIGNING_KEY holds, a
    /// path or the key itself].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not sign it; nobody's `imgbuild` will use it.
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// Leave K3s out, although the cluster has it.
    #[arg(long)]
    without_k3s: bool,
    /// A base image to use in place of the profile's.
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
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let profile = profile(&workspace, &args.profile)?;
    let signer = match args.unsigned {
        true => None,
        false => Some(signing_key(args.key.as_deref())?.context(
            "a release is signed: name the key with --key, or make one with `imgbuild keygen`; \
             --unsigned makes one that is for trying only",
        )?),
    };
    let output = args.output.clone().unwrap_or_else(|| {
        Path::new("out/release")
            .join(&args.version)
            .join(&args.profile)
    });
    let lock = Lock::load(&lock::path(workspace.cluster_dir()))?.unwrap_or_default();
    let job = Job {
        profile,
        k3s: workspace.k3s().filter(|_| !args.without_k3s),
        version: &args.version,
        address: workspace.release().address.as_deref().unwrap_or_default(),
        base: args.base.as_deref(),
        agent: &agent(args.agent.as_deref())?,
        lock: &lock,
        cache: &global.cache()?,
        epoch: epoch()?,
        output: &output,
        threads: pack::threads(),
    };
    let mut terminal = Terminal::new()?;
    let released = release::release(job, signer.as_ref(), &mut terminal)
        .with_context(|| format!("releasing {} {}", args.profile, args.version))?;
    terminal.finish();
    for file in &released.files {
        eprintln!("{:>10}  {}", Bytes(file.size).short(), file.name);
    }
    match &signer {
        Some(key) => eprintln!(
            "{}: signed with the key {}",
            output.display(),
            key.public()?.id()
        ),
        None => eprintln!("{}: not signed", output.display()),
    }
    if args.json {
        print_json(&serde_json::json!({
            "name": released.name,
            "folder": output,
            "image": released.image,
            "files": released.files,
        }))?;
    }
    Ok(())
}

/// A profile that a node of the cluster has.
pub(super) fn profile<'a>(workspace: &'a Workspace, name: &str) -> anyhow::Result<&'a Profile> {
    let mut profiles = workspace.profiles();
    let found = profiles.find(|profile| profile.name == name);
    found.with_context(|| {
        let known: Vec<_> = workspace
            .profiles()
            .map(|profile| profile.name.as_str())
            .collect();
        format!(
            "no node has the profile {name:?}; there are {}",
            known.join(", ")
        )
    })
}
