//! `imgbuild charts`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Global;
use super::network::Network;
use super::terminal::{Terminal, print_json, print_text};
use crate::charts::{
    self, Chart, ChartsError, Edited, Finding, Job, News, Outcome, Places, Source, Wanted,
};
use crate::edit;
use crate::fetch::Client;
use crate::plan;

/// Arguments of `imgbuild charts`.
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
    /// Unpack what charts.toml wants into kube-apps/charts, and write charts.lock.
    Vendor {
        /// Replace vendored charts also where somebody changed something in them.
        #[arg(long)]
        replace_edited: bool,
        #[command(flatten)]
        network: Network,
    },
    /// Tell whether kube-apps/charts holds what is wanted and locked, unchanged and
    /// complete. Needs no network.
    Check,
    /// Show which charts have newer versions; with names, write those into
    /// charts.toml.
    Update {
        /// Charts to update.
        names: Vec<String>,
        #[command(flatten)]
        network: Network,
    },
}

/// The charts are not what the lock says.
#[derive(Debug, thiserror::Error)]
#[error("the charts are not as they should be: {0} findings above")]
pub(super) struct NotAsLocked(usize);

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let dir = global.cluster.parent().unwrap_or(Path::new(""));
    let places = Places::of(dir);
    match &args.action {
        Action::Vendor {
            replace_edited,
            network,
        } => {
            let edited = match replace_edited {
                true => Edited::Replace,
                false => Edited::Refuse,
            };
            vendor(global, &places, edited, network, args.json)
        }
        Action::Check => check(global, &places, args.json),
        Action::Update { names, network } => update(global, &places, names, network, args.json),
    }
}

fn vendor(
    global: &Global,
    places: &Places,
    edited: Edited,
    network: &Network,
    json: bool,
) -> anyhow::Result<()> {
    let (client, cache) = (client(global, network)?, global.cache()?);
    let source = Source {
        client: &client,
        cache: &cache,
    };
    let mut terminal = Terminal::new()?;
    let job = Job {
        places,
        source,
        edited,
    };
    let outcomes = charts::vendor(job, &mut terminal)?;
    terminal.finish();
    for outcome in &outcomes {
        eprintln!("{}", words(outcome));
    }
    match outcomes.is_empty() {
        true => eprintln!("all charts are here already"),
        false => eprintln!(
            "{} is written; commit it with the charts",
            places.lock.display()
        ),
    }
    match json {
        true => print_json(&outcomes.iter().map(outcome_value).collect::<Vec<_>>()),
        false => Ok(()),
    }
}

fn check(global: &Global, places: &Places, json: bool) -> anyhow::Result<()> {
    // Without one, edited files are not named; that is no reason to fail.
    let cache = global.cache().ok();
    let findings = charts::check(places, cache.as_ref())?;
    match json {
        true => {
            let rows = findings
                .iter()
                .map(|Finding { chart, why }| json!({ "chart": chart, "why": why }));
            print_json(&rows.collect::<Vec<_>>())?;
        }
        false => print_text(
            findings
                .iter()
                .map(|finding| format!("{finding}\n"))
                .collect::<String>(),
        )?,
    }
    match findings.len() {
        0 => {
            eprintln!("the charts are as they are locked");
            Ok(())
        }
        count => Err(NotAsLocked(count).into()),
    }
}

fn update(
    global: &Global,
    places: &Places,
    names: &[String],
    network: &Network,
    json: bool,
) -> anyhow::Result<()> {
    let wanted = Wanted::load(&places.wanted)?;
    let asked = asked(&wanted, names)?;
    let (client, cache) = (client(global, network)?, global.cache()?);
    let source = Source {
        client: &client,
        cache: &cache,
    };
    let mut terminal = Terminal::new()?;
    let news = charts::news(&asked, source, &mut terminal)?;
    terminal.finish();
    match json {
        true => print_json(&news.iter().map(news_value).collect::<Vec<_>>())?,
        false => print_text(news.iter().map(news_line).collect::<String>())?,
    }
    match names.is_empty() {
        true => Ok(()),
        false => write(places, &news),
    }
}

/// The charts that were named, or all of them.
fn asked<'a>(wanted: &'a Wanted, names: &[String]) -> Result<Vec<&'a Chart>, ChartsError> {
    if names.is_empty() {
        return Ok(wanted.charts.iter().collect());
    }
    let find = |name: &String| {
        let mut charts = wanted.charts.iter();
        let found = charts.find(|chart| chart.name == *name);
        found.ok_or_else(|| ChartsError::Unknown(name.clone()))
    };
    names.iter().map(find).collect()
}

/// Writes the newer versions into the list.
fn write(places: &Places, news: &[News]) -> anyhow::Result<()> {
    let path = &places.wanted;
    let what = || format!("changing {}", path.display());
    let mut text = fs::read_to_string(path).with_context(what)?;
    let newer = news
        .iter()
        .filter_map(|news| Some((&news.name, news.newer.as_ref()?)));
    let mut count = 0;
    for (name, version) in newer {
        text = edit::set_chart_version(&text, name, version.as_str())?;
        count += 1;
    }
    if count == 0 {
        eprintln!("there is nothing newer");
        return Ok(());
    }
    edit::replace(path, &text).with_context(what)?;
    eprintln!(
        "{} is changed; `imgbuild charts vendor` takes the new charts",
        path.display()
    );
    Ok(())
}

/// With the settings of the cluster file, if there is one: charts are also kept
/// where no node is.
fn client(global: &Global, network: &Network) -> anyhow::Result<Client> {
    Ok(match global.cluster.exists() {
        true => network.client(global.workspace()?.source())?,
        false => network.client(&plan::Source::default())?,
    })
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Added(name, version) => format!("+ {name} {version}"),
        Outcome::Changed(name, old, new) if old.as_str() == new.as_str() => {
            format!("~ {name} {new}: made anew")
        }
        Outcome::Changed(name, old, new) => format!("~ {name} {old} -> {new}"),
        Outcome::Removed(name) => format!("- {name}"),
        Outcome::Kept(name) => {
            format!("  {name} is no longer wanted, but was edited: it is left to you")
        }
    }
}

fn outcome_value(outcome: &Outcome) -> Value {
    let (what, name, old, new) = match outcome {
        Outcome::Added(name, new) => ("added", name, None, Some(new)),
        Outcome::Changed(name, old, new) => ("changed", name, Some(old), Some(new)),
        Outcome::Removed(name) => ("removed", name, None, None),
        Outcome::Kept(name) => ("kept", name, None, None),
    };
    json!({
        "chart": name,
        "outcome": what,
        "from": old.map(|version| version.as_str()),
        "to": new.map(|version| version.as_str()),
    })
}

fn news_line(news: &News) -> String {
    let News {
        name,
        wanted,
        newer,
        app_version,
        is_deprecated,
    } = news;
    let mut line = match newer {
        Some(newer) => format!("{name:24} {wanted:>12} -> {newer}"),
        None => format!("{name:24} {wanted:>12}"),
    };
    if let Some(version) = app_version {
        line += &format!(" (of {version})");
    }
    if *is_deprecated {
        line += "  deprecated: its publisher gave it up";
    }
    line + "\n"
}

fn news_value(news: &News) -> Value {
    let News {
        name,
        wanted,
        newer,
        app_version,
        is_deprecated,
    } = news;
    json!({
        "chart": name,
        "wanted": wanted.as_str(),
        "newer": newer.as_ref().map(|version| version.as_str()),
        "app_version": app_version,
        "deprecated": is_deprecated,
    })
}
