//! The recipe: what is wanted becomes folders in the repository. Nothing there is
//! touched before every archive is here, right and unpacked; then each folder is
//! replaced as a whole, and the lock says so.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use super::archive::{Limits, unpack};
use super::check::{complete, exists};
use super::lock::{Locked, Vendored};
use super::resolve::{ARCHIVE, Found, Source, resolve};
use super::tree::Tree;
use super::wanted::{Chart, Wanted};
use super::{ChartsError, Places, Version};
use crate::fetch;
use crate::io::scratch;
use crate::progress::Progress;
use crate::source::Cache;

/// Archives downloaded at the same time.
const PARALLEL: usize = 4;

/// What to vendor, and by what means.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The lists and the folders.
    pub places: &'a Places,
    /// Where charts come from.
    pub source: Source<'a>,
    /// What becomes of folders in which somebody changed something.
    pub edited: Edited,
}

/// What becomes of a vendored folder that is not as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It stays, and nothing is vendored.
    Refuse,
    /// It is replaced.
    Replace,
}

/// What was done about a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was not here: its version.
    Added(String, Version),
    /// It was here: the version there was, and the one there is.
    Changed(String, Version, Version),
    /// It is taken away.
    Removed(String),
    /// Nobody wants it any more, but somebody changed it: it is theirs now.
    Kept(String),
}

/// Vendors what is wanted. Empty: all of it was here already.
///
/// # Errors
/// [`ChartsError`] or [`crate::fetch::FetchError`] in the chain. The folders are as
/// they were then, or some of them, and the lock with them, are already new.
pub fn vendor(job: Job<'_>, progress: &mut dyn Progress) -> anyhow::Result<Vec<Outcome>> {
    let Job {
        places,
        source,
        edited,
    } = job;
    let wanted = Wanted::load(&places.wanted)?;
    let mut locked = Locked::load(&places.lock)?;
    let reading = ChartsError::file("making", &places.charts);
    fs::create_dir_all(&places.charts).map_err(reading)?;
    let _alone = alone(&places.charts)?;
    for path in leftovers(&places.charts)? {
        fs::remove_dir_all(&path).map_err(ChartsError::file("removing", &path))?;
    }

    let missing = missing(&wanted, &locked, places)?;
    let archives = archives(&missing, &locked, source, progress)?;
    let downloads: Vec<_> = archives
        .iter()
        .map(|found| download(source.cache, found))
        .collect();
    let sizes = source.client.download_all(&downloads, PARALLEL, progress)?;
    let mut ready = Vec::new();
    for ((chart, found), ((_, path), fetched)) in missing
        .iter()
        .zip(archives)
        .zip(downloads.iter().zip(sizes))
    {
        progress.step(&format!("unpacking {}", chart.title()), None);
        progress.advance(0)?;
        let one = open(chart, found, path, fetched.size, places)?;
        may_be_replaced(&one, &locked, places, edited)?;
        ready.push(one);
    }

    let mut outcomes = Vec::new();
    for Ready { folder, vendored } in ready {
        put(folder, &places.charts, &vendored.name)?;
        outcomes.extend(outcome(&vendored, locked.get(&vendored.name)));
        locked.put(vendored);
        // Each at once: a run that is killed now leaves no folder that looks edited.
        locked.save(&places.lock)?;
    }
    outcomes.extend(remove_unwanted(&wanted, &mut locked, places)?);
    if !exists(&places.lock) {
        locked.save(&places.lock)?;
    }
    Ok(outcomes)
}

/// Where an archive is in the cache.
pub(super) fn cached(cache: &Cache, url: &str, sha256: &str) -> PathBuf {
    crate::lock::cached(cache, url, sha256)
}

/// Folders that killed runs left.
pub(super) fn leftovers(charts: &Path) -> Result<Vec<PathBuf>, ChartsError> {
    let failed = ChartsError::file("reading", charts);
    let entries = match fs::read_dir(charts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(&failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(&failed)?;
        if entry.file_name().to_str().is_some_and(scratch::is_name) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A chart that is unpacked beside its place.
struct Ready {
    folder: TempDir,
    vendored: Vendored,
}

/// Keeps other runs out of the folder; the kernel lets go of it when we die.
fn alone(charts: &Path) -> Result<File, ChartsError> {
    let open = File::open(charts).map_err(ChartsError::file("opening", charts))?;
    match open.try_lock() {
        Ok(()) => Ok(open),
        Err(TryLockError::WouldBlock) => Err(ChartsError::Folder {
            path: charts.into(),
            why: "is being changed by another imgbuild; wait until that is done".into(),
        }),
        Err(TryLockError::Error(error)) => Err(ChartsError::file("locking", charts)(error)),
    }
}

/// The charts whose folders are not what they should be.
fn missing<'a>(
    wanted: &'a Wanted,
    locked: &Locked,
    places: &Places,
) -> Result<Vec<&'a Chart>, ChartsError> {
    let mut missing = Vec::new();
    for chart in &wanted.charts {
        let folder = places.charts.join(&chart.name);
        let tree = Tree::of(&folder).map_err(ChartsError::file("reading", &folder))?;
        let is_right = locked.get(&chart.name).is_some_and(|entry| {
            entry.misses(chart).is_none() && tree.is_some_and(|tree| tree.hash() == entry.tree)
        });
        if !is_right {
            missing.push(chart);
        }
    }
    Ok(missing)
}

/// The archives of these charts, in their order: the locked ones, if they are still
/// wanted, without asking anybody.
fn archives(
    missing: &[&Chart],
    locked: &Locked,
    source: Source<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<Found>> {
    let kept = |chart: &Chart| {
        let entry = locked
            .get(&chart.name)
            .filter(|entry| entry.misses(chart).is_none())?;
        Some(Found {
            version: Version::parse(&entry.version)?,
            url: entry.url.clone(),
            sha256: entry.sha256.clone(),
            size: Some(entry.size),
            digest_from: entry.digest_from.clone(),
            oci: entry.oci.clone(),
        })
    };
    let unknown: Vec<&Chart> = missing
        .iter()
        .copied()
        .filter(|chart| kept(chart).is_none())
        .collect();
    let mut resolved = resolve(&unknown, source, progress)?.into_iter();
    for chart in &unknown {
        if let Some(known) = chart.known.as_ref().filter(|known| known.is_hearsay) {
            progress.note(&format!(
                "{}: the publisher names the same sha256 as {}; `unconfirmed` may go from charts.toml",
                chart.title(),
                known.from
            ));
        }
    }
    let archives = missing
        .iter()
        .map(|chart| kept(chart).or_else(|| resolved.next()));
    Ok(archives.flatten().collect())
}

fn download(cache: &Cache, found: &Found) -> (fetch::Wanted, PathBuf) {
    let wanted = fetch::Wanted {
        url: found.url.clone(),
        sha256: Some(found.sha256.clone()),
        size: found.size,
        limit: ARCHIVE,
    };
    (wanted, cached(cache, &found.url, &found.sha256))
}

/// Unpacks an archive beside its place, and makes sure that it is the chart.
fn open(
    chart: &Chart,
    found: Found,
    archive: &Path,
    size: u64,
    places: &Places,
) -> anyhow::Result<Ready> {
    let failed = ChartsError::file("making a folder in", &places.charts);
    let folder = scratch::folder(&places.charts).map_err(failed)?;
    let file = File::open(archive).with_context(|| format!("opening {}", archive.display()))?;
    let tree = unpack(file, &chart.name, folder.path(), &Limits::default()).map_err(|source| {
        ChartsError::Archive {
            chart: chart.title(),
            source,
        }
    })?;
    let meta = complete(folder.path(), &chart.name, chart.version.as_str()).map_err(|why| {
        ChartsError::Chart {
            chart: chart.title(),
            why,
        }
    })?;
    let Found {
        version: _,
        url,
        sha256,
        size: _,
        digest_from,
        oci,
    } = found;
    let vendored = Vendored {
        name: chart.name.clone(),
        repository: chart.repository.to_string(),
        version: meta.version,
        app_version: meta.app_version,
        url,
        sha256,
        size,
        digest_from,
        files: tree.0.len() as u64,
        tree: tree.hash(),
        oci,
    };
    Ok(Ready { folder, vendored })
}

/// Refuses to take away what is not ours, or was changed.
fn may_be_replaced(
    one: &Ready,
    locked: &Locked,
    places: &Places,
    edited: Edited,
) -> Result<(), ChartsError> {
    let Vendored {
        name, tree: new, ..
    } = &one.vendored;
    let folder = places.charts.join(name);
    let Some(tree) = Tree::of(&folder).map_err(ChartsError::file("reading", &folder))? else {
        return Ok(());
    };
    let why = match locked.get(name) {
        _ if tree.hash() == *new => return Ok(()),
        None => "was not put there by imgbuild; give your own chart another name, or take it away",
        Some(entry) if entry.tree == tree.hash() || edited == Edited::Replace => return Ok(()),
        Some(_) => "was edited; put what you need into values, then say --replace-edited",
    };
    Err(ChartsError::Folder {
        path: folder,
        why: why.into(),
    })
}

/// Puts a folder in its place; the one that was there goes. Both have a name of
/// ours for a moment: a run that is killed then leaves what the next one takes away,
/// and that one makes the chart again out of the cache.
fn put(new: TempDir, charts: &Path, name: &str) -> Result<(), ChartsError> {
    let place = charts.join(name);
    let aside = take_away(charts, name)?;
    let path = new.keep();
    fs::rename(&path, &place).map_err(ChartsError::file("moving a chart to", &place))?;
    match aside {
        Some(aside) => aside
            .close()
            .map_err(ChartsError::file("removing the old", &place)),
        None => Ok(()),
    }
}

/// Moves a folder out of its place, into one that goes with the value.
fn take_away(charts: &Path, name: &str) -> Result<Option<TempDir>, ChartsError> {
    let place = charts.join(name);
    if !exists(&place) {
        return Ok(None);
    }
    let failed = ChartsError::file("moving away", &place);
    let aside = scratch::folder(charts).map_err(&failed)?;
    fs::rename(&place, aside.path().join(name)).map_err(failed)?;
    Ok(Some(aside))
}

fn remove_unwanted(
    wanted: &Wanted,
    locked: &mut Locked,
    places: &Places,
) -> Result<Vec<Outcome>, ChartsError> {
    let is_unwanted =
        |entry: &&Vendored| !wanted.charts.iter().any(|chart| chart.name == entry.name);
    let unwanted: Vec<Vendored> = locked.charts.iter().filter(is_unwanted).cloned().collect();
    let mut outcomes = Vec::new();
    for Vendored { name, tree, .. } in unwanted {
        let folder = places.charts.join(&name);
        let now = Tree::of(&folder).map_err(ChartsError::file("reading", &folder))?;
        outcomes.push(match now {
            Some(now) if now.hash() != tree => Outcome::Kept(name.clone()),
            _ => {
                if let Some(aside) = take_away(&places.charts, &name)? {
                    aside
                        .close()
                        .map_err(ChartsError::file("removing", &folder))?;
                }
                Outcome::Removed(name.clone())
            }
        });
        locked.remove(&name);
        locked.save(&places.lock)?;
    }
    Ok(outcomes)
}

fn outcome(new: &Vendored, old: Option<&Vendored>) -> Option<Outcome> {
    let version = Version::parse(&new.version)?;
    Some(match old.and_then(|old| Version::parse(&old.version)) {
        Some(old) => Outcome::Changed(new.name.clone(), old, version),
        None => Outcome::Added(new.name.clone(), version),
    })
}
