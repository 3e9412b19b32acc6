//! `imgbuild seed`.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use super::Global;
use super::build::default_output;
use super::making::{Made, Making};
use super::terminal::{Terminal, print_json};
use crate::build::{Ingredients, On, prepare};
use crate::device::Bytes;
use crate::seed::{Place, sow};
use crate::sink::ImageFile;

/// Arguments of `imgbuild seed`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: String,
    /// Where the disk's boot partition is mounted, or a copy of what is in it.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Put it in place of another node's seed.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    making: Making,
    /// Print what was written as JSON on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let Args { node, dir, .. } = args;
    ensure!(
        args.making.release().is_some(),
        "name the image that the disk was written from: --release IMAGE"
    );
    let workspace = global.workspace()?;
    let plan = workspace.plan(node)?;
    let place = Place::open(dir, node, args.replace)?;
    let cache = global.cache()?;
    let made = Made::of(&workspace, &args.making, None, &[node])?;
    let mut terminal = Terminal::new()?;
    let ingredients = Ingredients {
        disk: On::Flashed,
        ..made.ingredients(&plan, &cache)
    };
    let seeding = || format!("seeding {node}");
    let prepared = prepare(ingredients, &mut terminal).with_context(seeding)?;
    let seed = sow(node, &prepared, &place).with_context(seeding)?;
    let beside = ImageFile::new(&default_output(node), true)?;
    let access = prepared.write_access(&beside)?;
    terminal.finish();
    eprintln!(
        "{}: the seed of {node} for {}, {}\n  \
         unmount it and start the disk, which becomes {node} and starts anew. From a copied folder, \
         copy imgbuild-seed.bin and imgbuild-seed.json, in this order, and remove them here: the \
         node's keys are in them\n  log in with: ssh -F {} {node}",
        dir.display(),
        seed.release.name,
        Bytes(seed.bundle.len).short(),
        access.ssh_config.display(),
    );
    if args.json {
        print_json(&serde_json::json!({
            "node": seed.node,
            "folder": dir,
            "release": seed.release.name,
            "image_id": seed.image_id,
            "bytes": seed.bundle.len,
            "known_hosts": access.known_hosts,
            "ssh_config": access.ssh_config,
        }))?;
    }
    Ok(())
}
