//! `imgbuild lock`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::ValueEnum;

use super::Global;
use super::network::Network;
use super::terminal::{Terminal, print_json};
use crate::lock::{self, Job, Lock, Update};

/// Arguments of `imgbuild lock`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Take these anew although they are locked; all of them if none is named.
    #[arg(long, value_name = "WHAT", num_args = 0.., value_enum)]
    update: Option<Vec<Part>>,
    /// Fail if the lock would change; nothing is written.
    #[arg(long)]
    locked: bool,
    /// Show what would change; nothing is written.
    #[arg(long, conflicts_with = "locked")]
    dry_run: bool,
    /// A base image to use in place of the profiles'.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Print the changes as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// What can be taken anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Base images.
    Base,
    /// K3s.
    K3s,
    /// What profiles add.
    Artifacts,
    /// Debian packages.
    Packages,
    /// The charts that images carry.
    Charts,
}

/// The lock is not what the configuration makes of it.
#[derive(Debug, thiserror::Error)]
#[error("the lock is out of date; run `imgbuild lock` and commit what it writes")]
pub(super) struct OutOfDate;

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let path = lock::path(workspace.cluster_dir());
    let old = Lock::load(&path)?.unwrap_or_default();
    let job = Job {
        workspace: &workspace,
        base: args.base.as_deref(),
        old: &old,
        update: update(args.update.as_deref()),
        client: &args.network.client(workspace.source())?,
        cache: &global.cache()?,
        at: SystemTime::now().into(),
    };
    let mut terminal = Terminal::new()?;
    let new = lock::resolve(job, &mut terminal)?;
    terminal.finish();
    let changes = new.changes_since(&old);
    for change in &changes {
        eprintln!("{change}");
    }
    if args.json {
        let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
        print_json(&serde_json::json!({ "lock": path, "changes": lines }))?;
    }
    if new == old && path.exists() {
        eprintln!("{} is up to date", path.display());
        return Ok(());
    }
    if args.locked {
        return Err(OutOfDate.into());
    }
    if !args.dry_run {
        new.save(&path)?;
        eprintln!("{} is written; commit it", path.display());
    }
    Ok(())
}

fn update(parts: Option<&[Part]>) -> Update {
    let Some(parts) = parts else {
        return Update::default();
    };
    let anew = |part| parts.is_empty() || parts.contains(&part);
    Update {
        base: anew(Part::Base),
        k3s: anew(Part::K3s),
        artifacts: anew(Part::Artifacts),
        packages: anew(Part::Packages),
        charts: anew(Part::Charts),
    }
}
