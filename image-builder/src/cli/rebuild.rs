//! `imgbuild rebuild`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Global;
use super::making::agent;
use super::release::profile;
use super::terminal::Terminal;
use crate::lock::{self, Lock};
use crate::release::manifest::{self, Manifest};
use crate::release::verify::Unfit;
use crate::release::{self, Job, pack, sums};

/// Arguments of `imgbuild rebuild`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release's folder.
    release: PathBuf,
    /// Keep what was made in this folder, to look into what differs.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A base image to use in place of the profile's.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// The first-boot agent for the node [default: firstboot-agent beside this
    /// program].
    #[arg(
        long,
        value_name = "FILE",
        env = "IMGBUILD_AGENT",
        hide_env_values = true
    )]
    agent: Option<PathBuf>,
}

/// A release that comes out differently.
#[derive(Debug, thiserror::Error)]
#[error(
    "made again it is not the same; these differ: {}. Lock, agent and imgbuild have to be those of \
     the release; `imgbuild rebuild --output` keeps what was made, `imgbuild inspect A diff B` \
     compares two images",
    .0.join(", ")
)]
pub(super) struct NotTheSame(Vec<String>);

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let dir = &args.release;
    let manifest = description(dir)?;
    let workspace = global.workspace()?;
    let profile = profile(&workspace, &manifest.profile)?;
    let date = OffsetDateTime::parse(&manifest.date, &Rfc3339);
    let date = date.with_context(|| format!("{:?} is no date", manifest.date))?;
    let lock = Lock::load(&lock::path(workspace.cluster_dir()))?.unwrap_or_default();
    let cache = global.cache()?;
    let scratch = global.scratch()?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| scratch.path().join("release"));
    let job = Job {
        profile,
        k3s: workspace.k3s().filter(|_| manifest.k3s.is_some()),
        version: &manifest.version,
        address: workspace.release().address.as_deref().unwrap_or_default(),
        base: args.base.as_deref(),
        agent: &agent(args.agent.as_deref())?,
        lock: &lock,
        cache: &cache,
        epoch: Some(date.unix_timestamp()),
        output: &output,
        threads: pack::threads(),
    };
    let mut terminal = Terminal::new()?;
    release::release(job, None, &mut terminal)
        .with_context(|| format!("making {} again", manifest.name))?;
    terminal.finish();
    let read = |dir: &std::path::Path| {
        let path = dir.join(sums::NAME);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (was, is) = (read(dir)?, read(&output)?);
    if was != is {
        let other = |line: &&str| !was.lines().any(|old| old == *line);
        let differ = is
            .lines()
            .filter(other)
            .filter_map(|line| line.split("  ").nth(1));
        return Err(NotTheSame(differ.map(str::to_owned).collect()).into());
    }
    eprintln!("{}: made again, and every byte is the same", dir.display());
    Ok(())
}

fn description(dir: &std::path::Path) -> anyhow::Result<Manifest> {
    let what = || format!("reading the release in {}", dir.display());
    for entry in fs::read_dir(dir).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.to_string_lossy().ends_with(manifest::END) {
            let text = fs::read_to_string(&path).with_context(what)?;
            return Manifest::parse(&text).with_context(what);
        }
    }
    bail!(Unfit::Missing(format!("NAME.{}", manifest::END)))
}
