//! `imgbuild sign`.

use std::path::PathBuf;

use anyhow::Context as _;

use super::signing::signing_key;
use super::terminal::Terminal;
use crate::release::seal::seal;

/// Arguments of `imgbuild sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release's folder.
    release: PathBuf,
    /// The minisign key [default: what $IMGBUILD_SIGNING_KEY holds, a path or the
    /// key itself].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let key = signing_key(args.key.as_deref())?
        .context("name the key with --key, or make one with `imgbuild keygen`")?;
    let mut terminal = Terminal::new()?;
    let path = args.release.display();
    let comment =
        seal(&args.release, &key, &mut terminal).with_context(|| format!("signing {path}"))?;
    terminal.finish();
    eprintln!(
        "{path}: {}, signed with the key {}",
        comment.name,
        key.public()?.id()
    );
    Ok(())
}
