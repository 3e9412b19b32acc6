//! `imgbuild node list`.

use serde_json::json;

use super::Global;
use crate::cli::terminal::{print_json, print_text};
use crate::config::NodeEntry;

/// Arguments of `imgbuild node list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let nodes = &workspace.file().nodes;
    match args.json {
        true => print_json(&nodes.iter().map(value).collect::<Vec<_>>()),
        false => print_text(text(nodes)),
    }
}

/// A node for programs.
pub(super) fn value(entry: &NodeEntry) -> serde_json::Value {
    let NodeEntry { node, profile } = entry;
    json!({
        "name": node.name,
        "role": node.role,
        "address": node.address.addr(),
        "profile": profile,
        "mac": node.mac.map(|mac| mac.to_string()),
        "labels": node.labels,
        "taints": node.taints,
    })
}

fn text(nodes: &[NodeEntry]) -> String {
    let mut rows = vec![["NAME", "ROLE", "ADDRESS", "PROFILE", "MAC"].map(str::to_owned)];
    rows.extend(nodes.iter().map(|NodeEntry { node, profile }| {
        [
            node.name.clone(),
            node.role.to_string(),
            node.address.addr().to_string(),
            profile.clone(),
            node.mac.map_or("-".into(), |mac| mac.to_string()),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
