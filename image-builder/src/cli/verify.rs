//! `imgbuild verify`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::terminal::{Terminal, print_json};
use crate::device::Bytes;
use crate::flash::{Checked, Range, check};
use crate::io::{ReadAt as _, Region};
use crate::layout::Table;

/// Arguments of `imgbuild verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The disk, or a copy of one.
    disk: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
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

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.disk.display();
    let verifying = || format!("verifying {name}");
    let disk = File::open(&args.disk).and_then(|file| Region::whole(Arc::new(file)));
    let disk = disk.with_context(verifying)?;
    let mut terminal = Terminal::new()?;
    let checked = check(&disk, &mut terminal).with_context(verifying)?;
    terminal.finish();
    let Checked { record, changed } = &checked;
    let bytes = |ranges: &[Range]| ranges.iter().map(|range| range.len).sum::<u64>();
    if args.json {
        print_json(&json!({
            "disk": args.disk,
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
