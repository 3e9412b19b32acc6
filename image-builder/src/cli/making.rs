//! What a node is made from, as far as the command line has a say: common to
//! `build` and `write`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::secrets::add_nodes;
use super::unlock::Unlocking;
use crate::build::{Ingredients, Keys, On};
use crate::config::Workspace;
use crate::handover::Handover;
use crate::lock::{self, Lock};
use crate::plan::{BaseRef, NodePlan};
use crate::progress::Silent;
use crate::release::record::{self, Record};
use crate::release::verify::{self, Terms};
use crate::secrets::{self, Vault};
use crate::source::Cache;

/// Arguments of every command that makes nodes.
#[derive(Debug, clap::Args)]
pub(super) struct Making {
    /// A base image to use in place of the profile's; its sha256 must be the
    /// one the profile pins.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// A release image, packed, to add the node to; it must be signed with a key of
    /// `[release]` in the cluster file, and have its SHA256SUMS beside it.
    #[arg(long, value_name = "FILE", conflicts_with = "base")]
    release: Option<PathBuf>,
    /// The least version of that release.
    #[arg(long, value_name = "VERSION")]
    min_version: Option<String>,
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
}

impl Making {
    /// The base image that was given, if one was.
    pub(super) fn base(&self) -> Option<&Path> {
        self.base.as_deref()
    }

    /// The release image that was given, if one was.
    pub(super) fn release(&self) -> Option<&Path> {
        self.release.as_deref()
    }
}

/// What several nodes are made from, opened once.
pub(super) struct Made {
    lock: Lock,
    handover: Option<Handover>,
    vault: Option<Vault>,
    /// Where a cluster without a file of secrets has its host keys.
    plain: PathBuf,
    base: Option<PathBuf>,
    release: Option<BaseRef>,
    agent: PathBuf,
    epoch: Option<i64>,
}

impl Made {
    /// Opens it for these nodes; `release` is the release image to add them to, if
    /// not `--release` names one. Says the cluster's warnings on stderr.
    ///
    /// # Errors
    /// When the lock, the secrets, the release or the agent cannot be used.
    pub(super) fn of(
        workspace: &Workspace,
        making: &Making,
        release: Option<&Path>,
        nodes: &[&str],
    ) -> anyhow::Result<Self> {
        for warning in workspace.warnings() {
            eprintln!("warning: {warning}");
        }
        Ok(Self {
            lock: Lock::load(&lock::path(workspace.cluster_dir()))?.unwrap_or_default(),
            handover: Handover::load(workspace.cluster_dir())?,
            vault: open_secrets(workspace, &making.unlocking, nodes)?,
            plain: plain_secrets(workspace),
            base: making.base.clone(),
            release: release
                .or(making.release.as_deref())
                .map(|path| verified(path, workspace, making))
                .transpose()?,
            agent: agent(making.agent.as_deref())?,
            epoch: epoch()?,
        })
    }

    /// What one of the nodes is made from.
    pub(super) fn ingredients<'a>(
        &'a self,
        plan: &'a NodePlan,
        cache: &'a Cache,
    ) -> Ingredients<'a> {
        Ingredients {
            plan,
            keys: match &self.vault {
                Some(vault) => Keys::Kept(vault.secrets()),
                None => Keys::Files(&self.plain),
            },
            base: self.base.as_deref(),
            release: self.release.as_ref(),
            disk: On::New,
            agent: &self.agent,
            lock: &self.lock,
            handover: self.handover.as_ref(),
            cache,
            epoch: self.epoch,
        }
    }
}

/// A release image by one of the cluster's publishers, as a base.
fn verified(path: &Path, workspace: &Workspace, making: &Making) -> anyhow::Result<BaseRef> {
    let mut used = Record::load(&record::path(workspace.cluster_dir()))?;
    let terms = Terms {
        keys: &workspace.release().keys,
        least: making.min_version.as_deref(),
        used: Some(&used),
    };
    let what = || format!("verifying {}", path.display());
    let (release, base) = verify::image(path, terms, &mut Silent).with_context(what)?;
    eprintln!(
        "{}, signed with the key {}",
        release.comment.name, release.signer
    );
    used.note(&release.comment)?;
    Ok(base)
}

/// Where a cluster without a file of secrets has its host keys.
pub(super) fn plain_secrets(workspace: &Workspace) -> PathBuf {
    workspace.cluster_dir().join("secrets")
}

/// The cluster's secrets, if it has a file of them, with those of these nodes in
/// it. Before anything else is done: somebody may have to be asked for a passphrase.
fn open_secrets(
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
