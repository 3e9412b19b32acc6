//! Whether what lies in the repository is what was taken for what is wanted. Without
//! a network: this is what CI runs at every push.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{Limits, walk};
use super::lock::{Locked, Vendored};
use super::meta::Meta;
use super::tree::Tree;
use super::vendor::leftovers;
use super::wanted::Wanted;
use super::{ChartsError, Places, Version};
use crate::config::{Disk, Files as _};
use crate::source::Cache;

/// Longest `Chart.yaml`: Helm takes no longer file.
const META: u64 = 5 << 20;

/// How deep charts lie in charts; the deepest known lies two deep.
const DEEPEST: usize = 16;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The chart.
    pub chart: String,
    /// What is wrong with it, and what to do.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.chart, self.why)
    }
}

/// Compares the list, the lock and the folders. With the cache, in which archives
/// may still be, edited files can be named.
///
/// # Errors
/// When one of them cannot be read; nothing is compared then.
pub fn check(places: &Places, cache: Option<&Cache>) -> Result<Vec<Finding>, ChartsError> {
    let wanted = Wanted::load(&places.wanted)?;
    let locked = Locked::load(&places.lock)?;
    let mut findings = Vec::new();
    let mut find = |chart: &str, why: String| {
        findings.push(Finding {
            chart: chart.to_owned(),
            why,
        });
    };
    for chart in &wanted.charts {
        match locked.get(&chart.name) {
            None => find(
                &chart.name,
                "is wanted and was never taken; run `imgbuild charts vendor`".into(),
            ),
            Some(vendored) => {
                if let Some(why) = vendored.misses(chart) {
                    find(&chart.name, format!("{why}; run `imgbuild charts vendor`"));
                }
            }
        }
    }
    for vendored in &locked.charts {
        let name = &vendored.name;
        if !wanted.charts.iter().any(|chart| chart.name == *name) {
            find(name, "is no longer in charts.toml; run `imgbuild charts vendor`, which takes its folder away".into());
        }
        let folder = places.charts.join(name);
        match Tree::of(&folder).map_err(ChartsError::file("reading", &folder))? {
            None => find(
                name,
                format!(
                    "{} is not there; run `imgbuild charts vendor`",
                    folder.display()
                ),
            ),
            Some(tree) if tree.hash() != vendored.tree => {
                find(name, edited(vendored, &tree, cache))
            }
            Some(_) => {
                if let Err(why) = complete(&folder, name, &vendored.version) {
                    find(name, why);
                }
            }
        }
    }
    for path in leftovers(&places.charts)? {
        find(
            &path.display().to_string(),
            "was left by a run that was killed; `imgbuild charts vendor` takes it away".into(),
        );
    }
    Ok(findings)
}

/// Reads an unpacked chart: it must be this one, and every chart it needs must be in
/// it, since whoever renders it has no network.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn complete(folder: &Path, name: &str, version: &str) -> Result<Meta, String> {
    let meta = inside(folder, 0)?;
    let same = Version::parse(&meta.version).zip(Version::parse(version));
    if meta.name != name || same.is_none_or(|(one, other)| one != other) {
        return Err(format!(
            "its Chart.yaml is that of {} {}",
            meta.name, meta.version
        ));
    }
    Ok(meta)
}

fn inside(folder: &Path, depth: usize) -> Result<Meta, String> {
    let read = |name: &str| match Disk.read(&folder.join(name), META) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("reading its {name}: {error}")),
    };
    let bytes = read("Chart.yaml")?.ok_or("it has no Chart.yaml")?;
    let mut meta = Meta::parse(&bytes)?;
    if let Some(bytes) = read("requirements.yaml")? {
        meta.add_requirements(&bytes)?;
    }
    if depth == DEEPEST {
        return Err(format!(
            "its charts lie more than {DEEPEST} deep in each other"
        ));
    }
    for needed in &meta.dependencies {
        let below = folder.join("charts").join(needed);
        if below.is_dir() {
            inside(&below, depth + 1)
                .map_err(|why| format!("the chart {needed:?} in it: {why}"))?;
        } else if !is_packed(folder, needed) {
            return Err(format!(
                "it needs the chart {needed:?}, which is not in it: without a network it cannot be rendered"
            ));
        }
    }
    Ok(meta)
}

/// Whether a chart lies in another as an archive, which Helm reads as well.
fn is_packed(folder: &Path, needed: &str) -> bool {
    let Ok(names) = Disk.list(&folder.join("charts")) else {
        return false;
    };
    let mut names = names.iter().filter_map(|name| {
        name.strip_suffix(".tgz")?
            .strip_prefix(needed)?
            .strip_prefix('-')
    });
    names.any(|version| Version::parse(version).is_some())
}

/// What was changed, in words.
fn edited(vendored: &Vendored, tree: &Tree, cache: Option<&Cache>) -> String {
    let advice =
        "put what you need into values, then run `imgbuild charts vendor --replace-edited`";
    let archived = cache.and_then(|cache| archived(vendored, cache));
    let what = match &archived {
        Some(archived) => {
            let paths = archived.differences(tree);
            let (first, rest) = paths.split_at(paths.len().min(5));
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "these files are not as they were taken: {}{more}",
                first.join(", ")
            )
        }
        None => "its files are not as they were taken; `git log` says what changed".into(),
    };
    format!("{what}; {advice}")
}

/// The files as they are in the archive, if that is in the cache and right.
fn archived(vendored: &Vendored, cache: &Cache) -> Option<Tree> {
    let path: PathBuf = super::vendor::cached(cache, &vendored.url, &vendored.sha256);
    let tree = walk(
        File::open(path).ok()?,
        &vendored.name,
        &Limits::default(),
        |_, _| Ok(()),
    )
    .ok()?;
    (tree.hash() == vendored.tree).then_some(tree)
}

/// Whether a folder is there.
pub(super) fn exists(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok()
}
