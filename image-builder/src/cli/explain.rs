//! `imgbuild explain`.

use super::Global;
use super::terminal::{print_json, print_text};
use crate::explain::{Beside, Kept, explain};
use crate::handover;
use crate::lock::{self, Lock};
use crate::secrets;

/// Arguments of `imgbuild explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let plan = workspace.plan(&args.node)?;
    let dir = workspace.cluster_dir();
    let lock = Lock::load(&lock::path(dir))?;
    let kept = match secrets::path(dir).exists() {
        true => Kept::Sealed,
        false => Kept::Plain,
    };
    let beside = Beside {
        kept,
        bootstrap: handover::is_there(dir),
    };
    let explanation = explain(&plan, lock.as_ref(), beside);
    match args.json {
        true => print_json(&explanation),
        false => print_text(explanation.to_string()),
    }
}
