//! How `imgbuild build` compares with what anyone could do with standard tools, in the same run on the same disk.
//!
//! A time in seconds says more about the machine than about the program, so every row is a ratio. docs/BENCH.md says what each row
//! compares and why that is fair.

mod added;
mod boot;
mod image;
mod peak;
mod peers;
mod race;
mod release;
mod root;
mod site;
mod table;
mod unpack;
mod write;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use added::Added;
use peers::{Copy, Pipeline, Task};
use race::race;
use site::Site;
use table::{Row, Table};

use crate::cmd::Cmd;

#[derive(Args)]
pub(crate) struct Request {
    /// Rounds that count; one more goes before them to warm the caches up
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these, in place of all
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Runs a command and prints its peak memory in KiB; `bench` calls it
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    peak_of: Option<Vec<OsString>>,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Build,
    Write,
    Unpack,
    Release,
}

/// Goals of issue 2, "Shown by".
const GOAL_COPY: f64 = 1.15;
const GOAL_PIPELINE: f64 = 0.5;
const GOAL_MEMORY_MIB: f64 = 256.0;

/// A node, and how many files of 14 MiB it gets beside what every node gets.
struct Case {
    name: &'static str,
    payload: usize,
}

/// As it is, and with about what K3s weighs.
const CASES: [Case; 2] = [
    Case {
        name: "example node",
        payload: 0,
    },
    Case {
        name: "example node + 70 MiB",
        payload: 5,
    },
];

/// For each node: what it adds to the ready base, then round after round of each way to put the
/// two together.
pub(crate) fn run(request: &Request) -> Result<()> {
    if let Some(command) = &request.peak_of {
        return peak::print_own(command);
    }
    let asked = |part| request.only.is_empty() || request.only.contains(&part);
    let dir = site::clear(workspace())?;
    let mut rows = Vec::new();
    if asked(Part::Build) {
        for (number, case) in CASES.iter().enumerate() {
            let site = Site::prepare(workspace(), &dir, &number.to_string(), case.payload)?;
            rows.extend(compare(case.name, &site, request.rounds)?);
        }
    }
    if asked(Part::Write) {
        match nix::unistd::geteuid().is_root() {
            true => {
                let site = Site::prepare(workspace(), &dir, "write", 0)?;
                let line = site.build();
                Cmd::new(&line[0]).args(&line[1..]).run()?;
                rows.extend(write::rows(&site, request.rounds)?);
            }
            false => say("writing disks is left out: loop devices need root"),
        }
    }
    if asked(Part::Unpack) {
        rows.extend(unpack::rows(workspace(), &dir, request.rounds)?);
    }
    if asked(Part::Release) {
        let site = Site::prepare(workspace(), &dir, "release", 0)?;
        rows.extend(release::rows(&site, request.rounds)?);
    }
    let machine = machine(&dir)?;
    fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
    let table = Table { machine, rows };
    write!(io::stdout(), "{table}").context("printing the table")?;
    let tsv = workspace().join("out/bench.tsv");
    fs::write(&tsv, table.tsv()).with_context(|| format!("writing {}", tsv.display()))
}

fn compare(name: &str, site: &Site, rounds: u32) -> Result<Vec<Row>> {
    say(format_args!("{name}: a first build"));
    let first = peak::of(&site.build())?;
    let ready = site.ready_base()?;
    let added = Added::between(&ready, &site.image(), &site.dir().join("added"))?;
    say(format_args!("{name}: {added}"));

    let task = Task {
        ready: &ready,
        added: &added,
        dir: site.dir(),
    };
    let [ours, copy, pipeline] = race(rounds, [site, &Copy(task), &Pipeline(task)])?;
    added
        .expect_in(&task.image(), &site.dir().join("check"))
        .context("comparing our image, here, with the pipeline's, there")?;
    let again = peak::of(&site.build())?;
    Ok(vec![
        Row::seconds(format!("{name}, beside cp"), ours, copy, GOAL_COPY),
        Row::seconds(
            format!("{name}, beside cp, debugfs, mtools"),
            ours,
            pipeline,
            GOAL_PIPELINE,
        ),
        Row::mib(
            format!("{name}, peak memory"),
            first.max(again),
            GOAL_MEMORY_MIB,
        ),
    ])
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
}

fn say(what: impl std::fmt::Display) {
    eprintln!("bench: {what}");
}

/// What the numbers depend on, in one line.
fn machine(dir: &Path) -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("processor", |rest| {
            rest.trim_start_matches(['\t', ' ', ':'])
        });
    let filesystem = Cmd::new("findmnt")
        .args(["-n", "-o", "FSTYPE", "-T"])
        .arg(dir)
        .read()?;
    let load = read("/proc/loadavg")
        .split(' ')
        .next()
        .unwrap_or("?")
        .to_owned();
    let kernel = read("/proc/sys/kernel/osrelease");
    Ok(format!(
        "{cores} cores ({model}), Linux {}, {} on {}, load {load}",
        kernel.trim(),
        filesystem.trim(),
        dir.display()
    ))
}
