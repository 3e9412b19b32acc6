//! Several ways to the same result, in turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::say;
use crate::cmd::Cmd;

/// One way to make an image.
pub(super) trait Contestant {
    /// What it makes; removed before every run, and that is not timed.
    fn outputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What else is done before every run and not timed.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Makes it; durable on the disk when this returns.
    fn run(&self) -> Result<()>;
}

/// A line of bash, which fails when any program in it does.
pub(super) struct Script {
    pub(super) text: String,
    pub(super) outputs: Vec<PathBuf>,
}

impl Contestant for Script {
    fn outputs(&self) -> Vec<PathBuf> {
        self.outputs.clone()
    }

    fn run(&self) -> Result<()> {
        Cmd::new("bash")
            .args(["-o", "pipefail", "-c", &self.text])
            .run()
    }
}

/// The median time of each in seconds. In turns instead of one after the other: a machine that is slow for a minute is slow for all of
/// them. The first round warms up and does not count.
pub(super) fn race<const N: usize>(
    rounds: u32,
    contestants: [&dyn Contestant; N],
) -> Result<[f64; N]> {
    let mut times = [const { Vec::new() }; N];
    for round in 0..=rounds {
        let mut shown = Vec::new();
        for (contestant, times) in contestants.iter().zip(&mut times) {
            let seconds = time(*contestant)?;
            shown.push(format!("{seconds:.3} s"));
            if round > 0 {
                times.push(seconds);
            }
        }
        say(format_args!(
            "round {round} of {rounds}: {}",
            shown.join(", ")
        ));
    }
    Ok(times.map(median))
}

fn time(contestant: &dyn Contestant) -> Result<f64> {
    for output in contestant.outputs() {
        remove(&output).with_context(|| format!("removing {}", output.display()))?;
    }
    contestant.prepare()?;
    // Nobody waits for what another one left to be written.
    Cmd::new("sync").run()?;
    let start = Instant::now();
    contestant.run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// The middle one, or what lies between the two in the middle.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let (low, high) = (
        times.get((times.len().saturating_sub(1)) / 2),
        times.get(times.len() / 2),
    );
    low.zip(high)
        .map_or(f64::NAN, |(low, high)| (low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
