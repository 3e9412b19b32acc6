//! `imgbuild check`.

use super::{Global, terminal};

/// Arguments of `imgbuild check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the problems as JSON on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match global.workspace() {
        Ok(workspace) => {
            for warning in workspace.warnings() {
                eprintln!("warning: {warning}");
            }
            let nodes: Vec<&str> = workspace.node_names().collect();
            if args.json {
                terminal::print_json(&serde_json::json!({ "nodes": nodes, "problems": [] }))?;
            } else {
                eprintln!(
                    "{}: no problem; nodes: {}",
                    global.cluster.display(),
                    nodes.join(", ")
                );
            }
            Ok(())
        }
        Err(problems) => {
            if args.json {
                terminal::print_json(&serde_json::json!({ "nodes": [], "problems": problems }))?;
            }
            Err(problems.into())
        }
    }
}
