//! `imgbuild verify`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::json;
use tempfile::TempDir;

use super::Global;
use super::network::Network;
use super::published;
use super::signing::trusted;
use super::terminal::{Terminal, print_json};
use crate::device::Bytes;
use crate::flash::{Checked, Range, check};
use crate::io::{ReadAt as _, Region};
use crate::layout::Table;
use crate::plan::Source;
use crate::release::attest::Statement;
use crate::release::record::{self, Record};
use crate::release::verify::{self, Terms};

/// Arguments of `imgbuild verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A release's folder or one of its packed images, here or by its address on the
    /// network; a disk, or a copy of one.
    #[arg(value_name = "RELEASE|URL|DISK")]
    what: PathBuf,
    /// A minisign public key whose releases count, or a file with one, beside those
    /// of the cluster file.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// The least version of a release.
    #[arg(long, value_name = "VERSION")]
    min_version: Option<String>,
    /// Where to keep what is downloaded; without it nothing is kept.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// A disk that is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{changed} of {all} ranges are not as they were written, the first at byte {first}{}; \
     a node that was booted has changed its disk, any other has a bad one",
    partition.as_ref().map_or_else(String::new, |name| format!(" ({name})"))
)]
pub(super) struct Differs {
    changed: usize,
    all: usize,
    first: u64,
    partition: Option<String>,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let path = &args.what;
    let packed = path
        .extension()
        .is_some_and(|end| end == "xz" || end == "zst");
    match published::address(path).is_some() || path.is_dir() || packed {
        true => release(global, args),
        false => disk(args),
    }
}

fn release(global: &Global, args: &Args) -> anyhow::Result<()> {
    let verifying = || format!("verifying {}", args.what.display());
    // A release is verified with a cluster file or without.
    let (of_cluster, used, source) = match global.cluster.exists() {
        true => {
            let workspace = global.workspace()?;
            let used = Record::load(&record::path(workspace.cluster_dir()))?;
            let keys = workspace.release().keys.clone();
            (keys, Some(used), workspace.source().clone())
        }
        false => (Vec::new(), None, Source::default()),
    };
    let keys = trusted(&args.keys, &of_cluster)?;
    let terms = Terms {
        keys: &keys,
        least: args.min_version.as_deref(),
        used: used.as_ref(),
    };
    let mut terminal = Terminal::new()?;
    let (path, _scratch) = match published::address(&args.what) {
        None if args.output.is_some() => bail!("--output is for a release on the network"),
        None => (args.what.clone(), None),
        Some(address) => {
            let (into, scratch) = place(global, args)?;
            let client = args.network.client(&source)?;
            let path = published::bring(&client, &address, terms, &into, &mut terminal);
            (path.with_context(verifying)?, scratch)
        }
    };
    let verified = match path.is_dir() {
        true => verify::folder(&path, terms, &mut terminal),
        false => verify::image(&path, terms, &mut terminal).map(|(verified, _)| verified),
    };
    let verified = verified.with_context(verifying)?;
    terminal.finish();
    let names = verified
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or_default().display().to_string());
    let names: Vec<String> = names.collect();
    if args.json {
        print_json(&json!({
            "release": verified.comment.name,
            "version": verified.comment.version,
            "key": verified.signer.to_string(),
            "files": names,
            "booted": verified.boot.as_ref().map(Statement::passed),
        }))?;
    }
    eprintln!(
        "{}: {}, signed with the key {}; {} right: {}",
        args.what.display(),
        verified.comment.name,
        verified.signer,
        match names.len() {
            1 => "one file is".to_owned(),
            count => format!("all {count} files are"),
        },
        names.join(", ")
    );
    if let Some(boot) = &verified.boot {
        eprintln!(
            "this image was booted, and passed {}",
            boot.passed().join(", ")
        );
    }
    Ok(())
}

/// The folder for what is downloaded; one that nobody named is gone with the value
/// beside it.
fn place(global: &Global, args: &Args) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if let Some(dir) = &args.output {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        return Ok((dir.clone(), None));
    }
    let scratch = global.scratch()?;
    Ok((scratch.path().to_owned(), Some(scratch)))
}

fn disk(args: &Args) -> anyhow::Result<()> {
    let name = args.what.display();
    let verifying = || format!("verifying {name}");
    let disk = File::open(&args.what).and_then(|file| Region::whole(Arc::new(file)));
    let disk = disk.with_context(verifying)?;
    let mut terminal = Terminal::new()?;
    let checked = check(&disk, &mut terminal).with_context(verifying)?;
    terminal.finish();
    let Checked { record, changed } = &checked;
    let bytes = |ranges: &[Range]| ranges.iter().map(|range| range.len).sum::<u64>();
    if args.json {
        print_json(&json!({
            "disk": args.what,
            "sha256": record.digest(),
            "bytes": bytes(&record.ranges),
            "ranges": record.ranges.len(),
            "changed": changed.iter().map(|range| json!({
                "at": range.at,
                "len": range.len,
                "partition": partition(&disk, range.at),
            })).collect::<Vec<_>>(),
            "disk_len": disk.len(),
        }))?;
    }
    if let Some(first) = changed.first() {
        let differs = Differs {
            changed: changed.len(),
            all: record.ranges.len(),
            first: first.at,
            partition: partition(&disk, first.at),
        };
        return Err(differs).with_context(verifying);
    }
    eprintln!(
        "{name}: all {} are as they were written",
        Bytes(bytes(&record.ranges)).short()
    );
    Ok(())
}

/// The name of the partition that has this byte.
fn partition(disk: &Region, at: u64) -> Option<String> {
    let table = Table::read_cut(disk).ok()?;
    let found = table
        .partitions
        .into_iter()
        .find(|partition| (partition.offset..partition.offset + partition.len).contains(&at))?;
    Some(match found.name.is_empty() {
        true => format!("partition {}", found.number),
        false => found.name,
    })
}
