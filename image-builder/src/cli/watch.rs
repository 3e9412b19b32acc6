//! `imgbuild watch`.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use node_config::report::{Outcome, StageReport, State};
use node_config::{Report, paths};
use serde_json::json;

use super::Global;
use super::terminal::{Interrupts, print_text};
use crate::config::Workspace;
use crate::watch::{Sight, Target, Watcher};

/// Arguments of `imgbuild watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The nodes; all of the cluster file if none is named.
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    /// Seconds until nodes that are not done count as failed.
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    timeout: u64,
    /// Look for a node's page elsewhere than at its address: behind a forwarded port.
    #[arg(long = "page", value_name = "NODE=ADDRESS:PORT", value_parser = page)]
    pages: Vec<(String, SocketAddrV4)>,
    /// Print every change as one line of JSON: the node with its whole report.
    #[arg(long)]
    json: bool,
}

/// Nodes whose first boot did not end, or ended badly: a line each.
#[derive(Debug, thiserror::Error)]
#[error("the first boot is not done{why}:\n  {}", nodes.join("\n  "))]
pub(super) struct NotDone {
    why: &'static str,
    nodes: Vec<String>,
}

/// How long a look at the keyboard and the time may wait.
const TICK: Duration = Duration::from_millis(200);

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let targets = targets(&global.workspace()?, args)?;
    let interrupts = Interrupts::listen()?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut board = Board::new(&targets);
    let watcher = Watcher::start(&targets).context("looking at the nodes")?;
    loop {
        interrupts.check()?;
        if let Some((index, sight)) = watcher.next(TICK) {
            let lines = match args.json {
                true => vec![as_json(&targets[index].name, &sight)],
                false => news(&targets[index].name, board.report(index), &sight),
            };
            board.see(index, sight);
            board.print(&lines)?;
        }
        if board.is_over() {
            return board.verdict("");
        }
        if Instant::now() >= deadline {
            return board.verdict(" in time");
        }
    }
}

fn page(text: &str) -> Result<(String, SocketAddrV4), String> {
    let (node, at) = text.split_once('=').ok_or("write NODE=ADDRESS:PORT")?;
    let at = at
        .parse()
        .map_err(|_| "write NODE=ADDRESS:PORT, such as pi-1=127.0.0.1:8470")?;
    Ok((node.to_owned(), at))
}

fn targets(workspace: &Workspace, args: &Args) -> anyhow::Result<Vec<Target>> {
    let all = || workspace.node_names().map(str::to_owned).collect();
    let names: Vec<String> = match &args.nodes[..] {
        [] => all(),
        names => names.to_vec(),
    };
    for (name, _) in &args.pages {
        workspace.plan(name)?;
    }
    let target = |name: String| {
        let address = workspace.plan(&name)?.node.address.addr();
        let elsewhere = args.pages.iter().find(|(node, _)| *node == name);
        let page = elsewhere.map(|(_, page)| *page);
        anyhow::Ok(Target {
            name,
            page: page.unwrap_or(SocketAddrV4::new(address, paths::PAGE_PORT)),
        })
    };
    names.into_iter().map(target).collect()
}

/// What is known of the nodes, and where it is shown.
struct Board {
    names: Vec<String>,
    /// The last report of each, kept when its page is gone.
    reports: Vec<Option<Report>>,
    nothing: Vec<String>,
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
}

impl Board {
    fn new(targets: &[Target]) -> Self {
        let bars = MultiProgress::with_draw_target(match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        });
        let style = ProgressStyle::with_template("{wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let row = |_: &Target| bars.add(ProgressBar::no_length()).with_style(style.clone());
        Self {
            names: targets.iter().map(|target| target.name.clone()).collect(),
            reports: vec![None; targets.len()],
            nothing: vec![String::new(); targets.len()],
            rows: targets.iter().map(row).collect(),
            bars,
        }
    }

    fn report(&self, index: usize) -> Option<&Report> {
        self.reports[index].as_ref()
    }

    fn see(&mut self, index: usize, sight: Sight) {
        match sight {
            Sight::Report(report) => {
                self.reports[index] = Some(report);
                self.nothing[index].clear();
            }
            Sight::Nothing(why) => self.nothing[index] = why,
        }
        self.rows[index].set_message(self.row(index));
        self.rows[index].tick();
    }

    /// What is printed is data; the rows below it are not.
    fn print(&self, lines: &[String]) -> anyhow::Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.bars.suspend(|| print_text(text))
    }

    /// One node in one line.
    fn row(&self, index: usize) -> String {
        let name = &self.names[index];
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        let words = match (&self.reports[index], self.nothing[index].as_str()) {
            (Some(report), _) if report.state == State::Done => "all done".to_owned(),
            (Some(report), "") => here(report),
            (Some(report), why) => format!("{}; {why}", here(report)),
            (None, why) => why.to_owned(),
        };
        plain(&format!("{name:width$}  {words}"))
    }

    /// Whether nothing is left to wait for.
    fn is_over(&self) -> bool {
        let state = |report: &Option<Report>| report.as_ref().map(|report| report.state);
        self.reports
            .iter()
            .all(|report| matches!(state(report), Some(State::Done | State::Failed)))
    }

    fn verdict(&self, why: &'static str) -> anyhow::Result<()> {
        self.bars.clear().context("clearing the screen")?;
        let done = |report: &Option<Report>| {
            let state = report.as_ref().map(|report| report.state);
            state == Some(State::Done)
        };
        let nodes: Vec<String> = (0..self.names.len())
            .filter(|index| !done(&self.reports[*index]))
            .map(|index| self.row(index))
            .collect();
        match nodes.is_empty() {
            true => Ok(()),
            false => Err(NotDone { why, nodes }.into()),
        }
    }
}

/// Where a node is: the first stage that is not done.
fn here(report: &Report) -> String {
    let mut stages = (1..).zip(&report.stages);
    match stages.find(|(_, stage)| stage.outcome != Outcome::Done) {
        Some((number, stage)) => line(number, report.stages.len(), stage),
        None => "all stages done".to_owned(),
    }
}

fn line(number: usize, total: usize, stage: &StageReport) -> String {
    let StageReport {
        name,
        outcome,
        message,
        ..
    } = stage;
    match message.as_str() {
        "" => format!("{number}/{total} {name} {outcome}"),
        message => format!("{number}/{total} {name} {outcome}: {message}"),
    }
}

/// What is new since the last report, a line each, as the node's console has it.
fn news(name: &str, before: Option<&Report>, sight: &Sight) -> Vec<String> {
    let report = match sight {
        Sight::Report(report) => report,
        // It was done, and its page is gone, as it should be.
        Sight::Nothing(_) if before.is_some_and(|report| report.state == State::Done) => {
            return Vec::new();
        }
        Sight::Nothing(why) => return vec![plain(&format!("{name} {why}"))],
    };
    let same = |index: usize, stage: &StageReport| {
        let before = before.and_then(|report| report.stages.get(index));
        before.is_some_and(|before| {
            before.outcome == stage.outcome && before.message == stage.message
        })
    };
    let total = report.stages.len();
    let stages = report.stages.iter().enumerate();
    let changed = stages
        .filter(|(index, stage)| stage.outcome != Outcome::Pending && !same(*index, stage))
        .map(|(index, stage)| plain(&format!("{name} {}", line(index + 1, total, stage))));
    let mut lines: Vec<String> = changed.collect();
    if report.state == State::Done && before.is_none_or(|before| before.state != State::Done) {
        lines.push(format!("{name} all done"));
    }
    lines
}

fn as_json(name: &str, sight: &Sight) -> String {
    match sight {
        Sight::Report(report) => json!({ "node": name, "report": report }),
        Sight::Nothing(why) => json!({ "node": name, "nothing": why }),
    }
    .to_string()
}

/// Whoever answered may not write to this terminal what it likes.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
