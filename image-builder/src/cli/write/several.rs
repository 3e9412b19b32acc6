//! One disk or several, each with a thread and a bar of its own.

use std::sync::Arc;
use std::thread;

use super::report;
use super::{Args, Task};
use crate::cli::terminal::{Interrupts, Terminal};
use crate::flash::{Content, Disk, Failed, Options, Outcome, Target, flash};
use crate::write::{eject, reread};

/// Writes all of them. One that fails does not stop the others; the first
/// failure is the result.
pub(super) fn write(
    tasks: Vec<Task>,
    options: Options,
    args: &Args,
    interrupts: Interrupts,
) -> anyhow::Result<()> {
    let names: Vec<String> = tasks.iter().map(|task| task.what.clone()).collect();
    let terminals = Terminal::several(&names, &interrupts);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = tasks
            .into_iter()
            .zip(terminals)
            .map(|(task, terminal)| scope.spawn(move || one(task, terminal, options, args)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let several = results.len() > 1;
    let mut first = None;
    for (name, result) in names.iter().zip(results) {
        if let Err(error) = result {
            // The last words of a run are one error; the others are said here.
            match first {
                None => first = Some(error),
                Some(_) => eprintln!("error: {name}: {error:#}"),
            }
        }
    }
    match first {
        Some(error) if several => Err(error.context("not every disk was written")),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn one(task: Task, mut terminal: Terminal, options: Options, args: &Args) -> anyhow::Result<()> {
    let Task {
        what,
        device,
        disk,
        content,
        access,
    } = task;
    let result = on_disk(disk, &content, options, &mut terminal);
    terminal.finish();
    let outcome = result.map_err(|failed| {
        let place = format!("writing {what} to {}", device.path.display());
        anyhow::Error::from(failed).context(place)
    })?;
    let ejected = match args.no_eject {
        true => reread(&device),
        false => eject(&device),
    };
    report::show(
        &what,
        &device,
        &outcome,
        access.as_ref(),
        ejected,
        args.json,
    )
}

/// The disk is closed when this returns, so that it can be let go.
fn on_disk(
    disk: Disk,
    content: &Arc<Content>,
    options: Options,
    terminal: &mut Terminal,
) -> Result<Outcome, Failed> {
    let target: Arc<dyn Target> = Arc::new(disk);
    flash(content, &target, options, terminal)
}
