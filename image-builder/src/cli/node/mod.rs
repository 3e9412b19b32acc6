//! `imgbuild node`.

mod add;
mod list;
mod replace;
mod retire;
mod show;

use std::fs;

use anyhow::Context as _;
use clap::Subcommand;

use super::Global;
use crate::config::{self, Draft, Workspace};
use crate::edit::{self, EditError};
use crate::sink::SinkError;

pub(super) use retire::LastServer;

/// Arguments of `imgbuild node`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write one more node into the cluster file; nothing changes for the others.
    Add(add::Args),
    /// List the cluster's nodes.
    List(list::Args),
    /// Show one node: address, disk, ids.
    Show(show::Args),
    /// Say what it takes to put a node onto other hardware, and do what can be
    /// done here.
    Replace(replace::Args),
    /// Take a node out of the cluster file, and say what is to be done in the
    /// cluster first.
    Retire(retire::Args),
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Add(args) => add::run(global, args),
        Action::List(args) => list::run(global, args),
        Action::Show(args) => show::run(global, args),
        Action::Replace(args) => replace::run(global, args),
        Action::Retire(args) => retire::run(global, args),
    }
}

/// A changed cluster file, checked and not written yet.
struct Changed<'a> {
    global: &'a Global,
    text: String,
    /// The cluster as it will be.
    after: Workspace,
}

/// Changes the cluster file's text and checks what came of it. Nothing is written.
fn change<'a>(
    global: &'a Global,
    before: &Workspace,
    edit: impl FnOnce(&str) -> Result<String, EditError>,
) -> anyhow::Result<Changed<'a>> {
    let path = &global.cluster;
    let old = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let text = edit(&old)?;
    let mut draft = Draft::default();
    draft.0.insert(path.clone(), text.clone().into_bytes());
    let after = config::load_from(path, &global.profiles(), &draft).inspect_err(|_| {
        eprintln!("nothing is changed: the cluster file would have problems");
    })?;
    for warning in after.warnings() {
        let is_new = |new: &config::Problem| {
            let old = before.warnings().iter();
            old.clone().all(|old| old.message != new.message)
        };
        if is_new(warning) {
            eprintln!("warning: {warning}");
        }
    }
    Ok(Changed {
        global,
        text,
        after,
    })
}

impl Changed<'_> {
    fn write(self) -> Result<Workspace, SinkError> {
        let path = &self.global.cluster;
        edit::replace(path, &self.text).map_err(|error| SinkError::Write(path.clone(), error))?;
        Ok(self.after)
    }
}

/// Prints what to do, in order.
fn tell(steps: &[String]) {
    for (index, step) in steps.iter().enumerate() {
        eprintln!("  {}. {step}", index + 1);
    }
}
