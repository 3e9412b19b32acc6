//! `imgbuild completions` and `imgbuild man`: what packages of this program carry.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Cli;
use super::terminal::print_text;

/// Arguments of `imgbuild completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Arguments of `imgbuild man`.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The folder for the pages, one a command.
    dir: PathBuf,
}

pub(super) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "imgbuild", &mut script);
    print_text(script)
}

pub(super) fn man(args: &Man) -> anyhow::Result<()> {
    let what = || format!("writing manual pages into {}", args.dir.display());
    fs::create_dir_all(&args.dir).with_context(what)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).with_context(what)
}
