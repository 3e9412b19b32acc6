//! Installs the package files that the image carries, with dpkg alone: no
//! network, no sources. dpkg's own record says what is done; the files go when
//! all is well.
//!
//! One call for all of them, for some need each other (dmsetup and
//! libdevmapper1.02.1). What a cut left unfinished dpkg finishes itself, once it
//! is asked to.

mod files;
mod installed;
mod progress;
mod trouble;

use std::time::Duration;

use node_config::package::refusal;
use node_config::{NodeConfig, Package};

use self::installed::Installed;
use self::progress::Progress;
use super::{Look, Stage, StageError, Tell};
use crate::system::{Command, System, SystemError};

/// Before everything that needs a package, K3s above all; after what can make
/// the disk bigger, and after the network: this may take minutes, and whoever
/// wants to see why must be able to log in.
pub(crate) struct Packages;

/// A stuck script of a package is noticed, and a slow one is not cut: a new
/// initramfs alone takes minutes on an emulated machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// dpkg, with its progress among what it writes to stdout. By a descriptor of
/// its own: dpkg closes the one it is given to the packages' scripts, and one that
/// prints a word without a stdout fails.
const DPKG: &str = "exec dpkg --status-fd 3 \"$@\" 3>&1";

/// What dpkg would ask, answered: the default where there is one, else the
/// file that is there stays. What the builder baked is kept.
const ANSWERS: [&str; 2] = ["--force-confdef", "--force-confold"];

impl Stage for Packages {
    fn name(&self) -> &'static str {
        "packages"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let all = &node.packages;
        if all.is_empty() {
            return Ok(Look::Done("the image carries none".into()));
        }
        let missing = missing(all, sys)?;
        if !missing.is_empty() {
            let (some, all) = (missing.len(), all.len());
            let names = names(&missing);
            return Ok(Look::ToDo(format!(
                "{some} of {all} packages are not installed: {names}"
            )));
        }
        let unfinished = audit(sys)?;
        if !unfinished.is_empty() {
            return Ok(Look::ToDo(format!(
                "dpkg has unfinished work: {unfinished}"
            )));
        }
        if files::any_left(all, sys)? {
            return Ok(Look::ToDo("all are installed, their files are left".into()));
        }
        Ok(Look::Done(format!("all {} are installed", all.len())))
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let wanted = missing(&node.packages, sys)?;
        files::verify(&wanted, sys)?;
        // What a cut left, ours or not. It cannot finish a package whose files
        // were cut, nor one that needs such a package.
        let finished = dpkg(
            sys,
            &["--configure", "--pending"],
            Progress::new(tell, None),
        );
        if wanted.is_empty() {
            finished?;
        }
        install(&node.packages, sys, tell)?;
        let unfinished = audit(sys)?;
        if !unfinished.is_empty() {
            let words = format!("dpkg has unfinished work: {unfinished}");
            return Err(StageError::Retry(words));
        }
        // dpkg syncs what it unpacks; the packages' scripts sync nothing.
        sys.sync()?;
        files::remove(&node.packages, sys)
    }
}

/// Installs until nothing is missing, or dpkg gets no further. More than once,
/// because dpkg unpacks everything before it sets anything up: a package that
/// must find another one set up (Pre-Depends) is left out the first time.
fn install(all: &[Package], sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
    let mut left = missing(all, sys)?;
    while !left.is_empty() {
        let paths: Vec<String> = left.iter().map(|package| files::path(package)).collect();
        let mut args = vec!["--refuse-downgrade", "--install"];
        args.extend(paths.iter().map(String::as_str));
        let result = dpkg(sys, &args, Progress::new(tell, Some(left.len())));
        let still = missing(all, sys)?;
        if still.len() >= left.len() {
            result?;
            let names = names(&still);
            return Err(StageError::Retry(format!(
                "dpkg found no fault and did not install {names}"
            )));
        }
        left = still;
    }
    Ok(())
}

/// The packages that are not there, in their order.
fn missing<'a>(all: &'a [Package], sys: &dyn System) -> Result<Vec<&'a Package>, StageError> {
    let installed = Installed::ask(sys)?;
    let refused = all
        .iter()
        .map(|package| (package.name.as_str(), package.version.as_str()))
        .chain(installed.each())
        .find_map(|(name, version)| refusal(name, version));
    match refused {
        Some(why) => Err(StageError::Fatal(why.into())),
        None => Ok(all.iter().filter(|p| !installed.has(p)).collect()),
    }
}

/// What dpkg finds unfinished or broken, in its words; empty when all is well.
fn audit(sys: &dyn System) -> Result<String, SystemError> {
    let words = sys.run(&Command::new("dpkg", &["--audit"]))?;
    Ok(words.trim().to_string())
}

fn dpkg(sys: &dyn System, args: &[&str], mut progress: Progress<'_>) -> Result<(), StageError> {
    let result = sys.follow(&command(args), &mut |line| progress.hear(line));
    result
        .map(drop)
        .map_err(|error| trouble::of_dpkg(error, progress.error()))
}

fn command(args: &[&str]) -> Command {
    let mut dpkg = Command::new("sh", &[&["-c", DPKG, "dpkg"], &ANSWERS[..], args].concat());
    dpkg.limit = LIMIT;
    dpkg
}

/// The first few names: a report has one line.
fn names(packages: &[&Package]) -> String {
    const SHOWN: usize = 5;
    let shown = packages.iter().take(SHOWN).map(|p| p.name.as_str());
    let shown = shown.collect::<Vec<_>>().join(", ");
    match packages.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
