//! `imgbuild cache`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Global;
use super::terminal::{Terminal, print_json, print_text};
use crate::charts::{Locked, Places};
use crate::lock::{self, Lock};
use crate::plan::Size;
use crate::source::{self, Cache, Listed, Pruned, State, Verdict};

/// Arguments of `imgbuild cache`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verify and unpack a base ahead of the first build.
    Add {
        /// The base: raw, .xz, .zst, .gz, or .zip with one .img in it.
        base: PathBuf,
        /// The sha256 the file must have.
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
    /// Show what is in the cache.
    List,
    /// Read everything again, and name what is damaged.
    Verify {
        /// Remove what is damaged; the next build makes it again.
        #[arg(long)]
        remove: bool,
    },
    /// Remove what was not used for some time and is not in the cluster's locks, and
    /// what killed runs left.
    Prune {
        /// How long it was not used.
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
        unused_for: Duration,
        /// Remove all that no running imgbuild uses, locked or not.
        #[arg(long, conflicts_with = "unused_for")]
        all: bool,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Something in the cache is not what it was.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} of the files in the cache are damaged; `imgbuild cache verify --remove` removes them, \
     and the next build makes them again"
)]
pub(super) struct Damaged(usize);

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let cache = global.cache()?;
    match &args.action {
        Action::Add { base, sha256 } => add(&cache, base, sha256.as_deref(), args.json),
        Action::List => list(&cache, args.json),
        Action::Verify { remove } => verify(&cache, *remove, args.json),
        Action::Prune {
            unused_for,
            all,
            dry_run,
        } => {
            let dir = global.cluster.parent().unwrap_or(Path::new("."));
            let lock = Lock::load(&lock::path(dir))?.unwrap_or_default();
            let charts = Locked::load(&Places::of(dir).lock)?;
            let wanted =
                |entry: &Listed| !all && (lock.wants(&entry.name) || charts.wants(&entry.name));
            let unused_for = if *all { Duration::ZERO } else { *unused_for };
            let pruned = cache.prune(unused_for, wanted, *dry_run)?;
            show_pruned(&pruned, *dry_run, args.json)
        }
    }
}

fn add(cache: &Cache, base: &Path, sha256: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut terminal = Terminal::new()?;
    let from = base.file_name().unwrap_or_default().display().to_string();
    let image = source::raw_image(base, sha256, &from, cache, &mut terminal)
        .with_context(|| format!("using the base image {}", base.display()))?;
    terminal.finish();
    match json {
        true => print_json(&json!({ "path": image.path, "sha256": image.digest })),
        false => print_text(format!("{}  {}\n", image.digest, image.path.display())),
    }
}

fn list(cache: &Cache, json: bool) -> anyhow::Result<()> {
    let entries = cache.list()?;
    if json {
        return print_json(&entries.iter().map(value).collect::<Vec<_>>());
    }
    let mut text = String::new();
    for entry in &entries {
        text += &format!(
            "{:13}  {:>9}  {:>9}  {}  {}\n",
            entry.kind,
            mib(entry.bytes),
            days_ago(entry.last_used),
            entry.name,
            entry.from,
        );
    }
    print_text(text)?;
    let sum = entries.iter().map(|entry| entry.bytes).sum();
    eprintln!("{} in {}", mib(sum), cache.dir().display());
    Ok(())
}

fn verify(cache: &Cache, remove: bool, json: bool) -> anyhow::Result<()> {
    let mut terminal = Terminal::new()?;
    let verdicts = cache.verify(&mut terminal)?;
    terminal.finish();
    let is_damaged = |verdict: &&Verdict| verdict.state == State::Damaged;
    let damaged = verdicts.iter().filter(is_damaged).count();
    if remove {
        for verdict in verdicts.iter().filter(is_damaged) {
            cache.remove(&verdict.entry)?;
        }
    }
    if json {
        let rows = verdicts.iter().map(|verdict| {
            let mut row = value(&verdict.entry);
            row["state"] = json!(verdict.state);
            row["removed"] = json!(remove && verdict.state == State::Damaged);
            row
        });
        print_json(&rows.collect::<Vec<_>>())?;
    } else {
        let rows = verdicts.iter().map(|Verdict { entry, state }| {
            let word = match state {
                State::Good => "good",
                State::Damaged if remove => "removed",
                State::Damaged => "damaged",
                State::Unknown => "unknown",
            };
            format!("{word:8}  {:13}  {}\n", entry.kind, entry.name)
        });
        print_text(rows.collect::<String>())?;
    }
    match damaged {
        0 => Ok(()),
        _ if remove => Ok(()),
        _ => Err(Damaged(damaged).into()),
    }
}

fn show_pruned(pruned: &Pruned, dry_run: bool, json: bool) -> anyhow::Result<()> {
    if json {
        let all = |entries: &[Listed]| entries.iter().map(value).collect::<Vec<_>>();
        return print_json(&json!({
            "removed": all(&pruned.removed),
            "in_use": all(&pruned.in_use),
            "locked": all(&pruned.wanted),
            "abandoned_files": pruned.abandoned,
            "freed_bytes": pruned.freed,
            "dry_run": dry_run,
        }));
    }
    let would = if dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for entry in &pruned.removed {
        text += &format!(
            "{would} the {} {}, {}\n",
            entry.kind,
            entry.name,
            mib(entry.bytes)
        );
    }
    for entry in &pruned.in_use {
        text += &format!(
            "kept the {} {}: a running imgbuild uses it\n",
            entry.kind, entry.name
        );
    }
    for entry in &pruned.wanted {
        text += &format!(
            "kept the {} {}: the cluster's lock names it\n",
            entry.kind, entry.name
        );
    }
    if pruned.abandoned > 0 {
        text += &format!("{would} {} files that killed runs left\n", pruned.abandoned);
    }
    print_text(text)?;
    let free = if dry_run {
        "would come free"
    } else {
        "came free"
    };
    eprintln!("{} bytes ({}) {free}", pruned.freed, mib(pruned.freed));
    Ok(())
}

fn value(entry: &Listed) -> Value {
    let Listed {
        kind,
        name,
        path,
        bytes,
        last_used,
        from,
        digest,
    } = entry;
    json!({
        "kind": kind,
        "name": name,
        "path": path,
        "bytes": bytes,
        "last_used": humantime::format_rfc3339_seconds(*last_used).to_string(),
        "from": from,
        "sha256": digest,
    })
}

fn days_ago(time: SystemTime) -> String {
    let days = SystemTime::now()
        .duration_since(time)
        .unwrap_or_default()
        .as_secs()
        / (24 * 3600);
    match days {
        0 => "today".into(),
        1 => "yesterday".into(),
        days => format!("{days} days"),
    }
}

/// Rounded up: what takes something is never shown as nothing.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(Size::MIB))
}
