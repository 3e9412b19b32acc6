//! `imgbuild build`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Global;
use super::making::{Made, Making};
use super::terminal::{Terminal, print_text};
use crate::build::{self, Job};
use crate::plan::Size;

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
    #[command(flatten)]
    making: Making,
    /// Print what was built as JSON on stdout, a line a node.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
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
    let cache = global.cache()?;
    let made = Made::of(&workspace, &args.making, None, &nodes)?;
    let mut terminal = Terminal::new()?;
    for plan in &plans {
        let output = args
            .output
            .clone()
            .unwrap_or_else(|| default_output(&plan.node.name));
        let job = Job {
            node: made.ingredients(plan, &cache),
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
