//! The most memory a command had, its own children included.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

use crate::cmd::Cmd;

/// Peak resident memory of a command in MiB, the largest of its processes (getrusage(2), `ru_maxrss`).
///
/// The kernel keeps one such number for all children a process ever had, so a process that has had none asks: this program again.
pub(super) fn of(line: &[PathBuf]) -> Result<f64> {
    let this = std::env::current_exe().context("finding this program")?;
    let said = Cmd::new(this)
        .args(["bench", "--peak-of"])
        .args(line)
        .read()?;
    let kib: f64 = said
        .trim()
        .parse()
        .with_context(|| format!("reading the peak memory in {said:?}"))?;
    Ok(kib / 1024.0)
}

/// The other half: runs the command and prints its peak in KiB.
pub(super) fn print_own(line: &[OsString]) -> Result<()> {
    let Some((program, args)) = line.split_first() else {
        bail!("--peak-of needs a command")
    };
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .status();
    let status = status.with_context(|| format!("starting {}", program.display()))?;
    if !status.success() {
        bail!("{} failed ({status})", program.display());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking for the memory used")?;
    writeln!(std::io::stdout(), "{}", usage.max_rss()).context("printing it")
}
