//! `imgbuild fetch`.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Global;
use super::network::Network;
use super::terminal::{Terminal, print_json};
use crate::fetch::Wanted;
use crate::lock::{self, Lock};
use crate::plan::Size;

/// At once: enough that one slow server does not hold up the others.
const PARALLEL: usize = 4;

/// Arguments of `imgbuild fetch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print what was fetched as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let workspace = global.workspace()?;
    let path = lock::path(workspace.cluster_dir());
    let lock = Lock::load(&path)?
        .with_context(|| format!("there is no {}; run `imgbuild lock`", path.display()))?;
    let client = args.network.client(workspace.source())?;
    let cache = global.cache()?;
    let known = |(wanted, path): &(Wanted, PathBuf)| {
        let sha256 = wanted.sha256.as_deref();
        sha256.is_some_and(|sha256| cache.knows(path, sha256))
    };
    let (here, missing): (Vec<_>, Vec<_>) = lock.wanted(&cache).into_iter().partition(known);
    let mut fetched = Vec::new();
    if !missing.is_empty() {
        let mut terminal = Terminal::new()?;
        fetched = client.download_all(&missing, PARALLEL, &mut terminal)?;
        terminal.finish();
    }
    // The next run, and every build, then need not read them again.
    for ((_, path), file) in missing.iter().zip(&fetched) {
        cache.remember(path, &file.sha256)?;
    }
    let bytes: u64 = fetched.iter().map(|file| file.size - file.reused).sum();
    eprintln!(
        "{} files are here, {} of them downloaded now",
        here.len() + missing.len(),
        Size(bytes)
    );
    if args.json {
        let new = missing
            .iter()
            .zip(fetched.iter().map(|file| file.size - file.reused));
        let files = here.iter().map(|file| (file, 0)).chain(new);
        let files = files.map(|((wanted, path), downloaded)| {
            serde_json::json!({
                "url": wanted.url,
                "path": path,
                "bytes": wanted.size,
                "downloaded": downloaded,
            })
        });
        print_json(&serde_json::json!({ "files": files.collect::<Vec<_>>() }))?;
    }
    Ok(())
}
