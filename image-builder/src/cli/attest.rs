//! `imgbuild attest`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use node_config::Report;

use super::signing::signing_key;
use crate::release::attest::attest;

/// Arguments of `imgbuild attest`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release's folder.
    release: PathBuf,
    /// The report of a node that was made of this very image and booted.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// What was done with it.
    #[arg(long, default_value = "first-boot")]
    test: String,
    /// The minisign key [default: what $IMGBUILD_SIGNING_KEY holds, a path or the
    /// key itself].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let reading = || format!("reading {}", args.report.display());
    let text = fs::read_to_string(&args.report).with_context(reading)?;
    let report = Report::parse(&text).with_context(reading)?;
    let key = signing_key(args.key.as_deref())?
        .context("name the key with --key, or make one with `imgbuild keygen`")?;
    let path = args.release.display();
    let statement = attest(&args.release, &report, &args.test, &key)
        .with_context(|| format!("attesting {path}"))?;
    eprintln!(
        "{path}: {}, signed with the key {}",
        statement.passed().join(", "),
        key.public()?.id()
    );
    Ok(())
}
