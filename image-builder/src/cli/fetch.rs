//! `imgbuild fetch`.

use anyhow::Context as _;

use super::Global;
use super::network::Network;
use super::terminal::{Terminal, print_json};
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
    let wanted = lock.wanted(&global.cache()?);
    let mut terminal = Terminal::new()?;
    let fetched = client.download_all(&wanted, PARALLEL, &mut terminal)?;
    terminal.finish();
    let bytes: u64 = fetched.iter().map(|file| file.size - file.reused).sum();
    eprintln!(
        "{} files are here, {} of them downloaded now",
        fetched.len(),
        Size(bytes)
    );
    if args.json {
        let files = wanted.iter().zip(&fetched).map(|((wanted, path), file)| {
            serde_json::json!({
                "url": wanted.url,
                "path": path,
                "bytes": file.size,
                "downloaded": file.size - file.reused,
            })
        });
        print_json(&serde_json::json!({ "files": files.collect::<Vec<_>>() }))?;
    }
    Ok(())
}
