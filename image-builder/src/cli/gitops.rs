//! `imgbuild gitops`.

use std::path::Path;

use anyhow::Context as _;

use super::{Global, terminal};
use crate::gitops::{self, Against, Checked, Known, Listed, Tree};

/// Arguments of `imgbuild gitops`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Look at every manifest, chart value and Application of the tree beside the cluster
    /// file, sets that do not run included.
    Check {
        /// Print the problems as JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Print the Applications that Argo CD makes of the tree: set on or off, name,
    /// namespace, source.
    List,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let dir = workspace.cluster_dir();
    let tree = Tree::read(dir).context("reading the GitOps tree")?;
    let checked = gitops::check(
        &tree,
        Against {
            cluster: Some(workspace.file()),
            known: Known::embedded(),
            shelves: &[],
        },
    );
    match &args.command {
        Command::Check { json } => check(checked, *json, dir),
        Command::List => list(&checked),
    }
}

fn check(checked: Checked, json: bool, dir: &Path) -> anyhow::Result<()> {
    for note in &checked.notes {
        eprintln!("note: {note}");
    }
    let Checked {
        applications,
        problems,
        ..
    } = checked;
    if json {
        let names = applications.iter().map(|listed| &listed.application.name);
        let problems = problems.as_ref().map(|all| all.iter().collect::<Vec<_>>());
        terminal::print_json(&serde_json::json!({
            "applications": names.collect::<Vec<_>>(),
            "problems": problems.unwrap_or_default(),
        }))?;
    }
    if let Some(problems) = problems {
        return Err(problems.into());
    }
    let runs = applications.iter().filter(|listed| listed.runs).count();
    eprintln!(
        "{}: no problem; {runs} Applications, and {} of sets that are off",
        dir.display(),
        applications.len() - runs
    );
    Ok(())
}

fn list(checked: &Checked) -> anyhow::Result<()> {
    let mut lines = String::new();
    for Listed { application, runs } in &checked.applications {
        let paths = application
            .sources
            .iter()
            .map(|source| source.path.as_str());
        let paths: Vec<&str> = paths.collect();
        let runs = if *runs { "on" } else { "off" };
        lines += &format!(
            "{runs:<4}{:<26}{:<18}{}\n",
            application.name,
            application.namespace,
            paths.join(" ")
        );
    }
    terminal::print_text(lines)
}
