//! Which .deb files an image needs so that packages can be installed on the
//! node, offline: what the image has, what its sources offer, and the smallest
//! set that satisfies Debian's rules (Debian Policy 7) without removing
//! anything. Nothing is run and nothing is changed: the image is only read, and
//! the network is behind [`Repository`].

mod fetch;
mod index;
mod installed;
mod inventory;
mod keys;
mod order;
mod package;
mod refused;
mod relation;
mod release;
mod solve;
mod sources;
mod stanza;
mod universe;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;

use crate::config::nearest;
use crate::overlay::{BaseView, Part};
use index::Indices;
use installed::Installed;
pub use installed::STATUS;
pub use inventory::{InstalledPackage, inventory, parse_inventory};
use universe::Universe;

/// The world outside, as apt would see it.
pub trait Repository {
    /// What is at an address.
    ///
    /// # Errors
    /// When it cannot be read, or has more than `limit` bytes.
    fn get(&self, url: &str, limit: u64) -> anyhow::Result<Vec<u8>>;

    /// The text of an `InRelease` that a key of these keyrings, binary or
    /// armored, has signed; nothing that the signature does not cover.
    ///
    /// # Errors
    /// When there is no such signature.
    fn verified(&self, inrelease: &[u8], keyrings: &[Vec<u8>]) -> anyhow::Result<String>;
}

/// The packages to install, and what the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// In an order fit for installation: what is depended on comes first.
    pub packages: Vec<Deb>,
    /// In full sentences, without a period.
    pub notes: Vec<String>,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// The package's name.
    pub name: String,
    /// Its version, as Debian writes it.
    pub version: String,
    /// The image's architecture, or `all`.
    pub architecture: String,
    /// Where the file is.
    pub url: String,
    /// In bytes.
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Asked for, not only depended on.
    pub wanted: bool,
}

/// Finds the packages that `wanted` needs beside what the image has. `at` is
/// the time at which the repositories' signatures must hold.
///
/// # Errors
/// When the image's sources cannot be used, a package is unknown, or no choice
/// of versions satisfies all relations without removing something.
pub fn resolve(
    base: &dyn BaseView,
    wanted: &[String],
    repository: &dyn Repository,
    at: OffsetDateTime,
) -> anyhow::Result<Resolution> {
    let (found, mut notes) = with_universe(base, repository, at, |universe, addresses| {
        let wanted = find(universe, wanted)?;
        let solution = solve::solve(universe, &wanted)?;
        for &package in wanted.iter().chain(&solution.added) {
            refused::check(universe.package(package))?;
        }
        let packages = order::order(universe, &solution.added)
            .into_iter()
            .map(|package| universe.deb(package, addresses, wanted.contains(&package)))
            .collect::<anyhow::Result<_>>()?;
        Ok((packages, solution.notes))
    })?;
    let (packages, solved) = found;
    notes.extend(preferences(base)?);
    notes.extend(solved);
    Ok(Resolution { packages, notes })
}

/// What the sources of `base` offer under names that `is_wanted` takes and the image
/// has not, without what any of it needs: for files that are looked into, not
/// installed. Sorted by name.
///
/// # Errors
/// When the image's sources cannot be used.
pub fn offers(
    base: &dyn BaseView,
    is_wanted: &dyn Fn(&str) -> bool,
    repository: &dyn Repository,
    at: OffsetDateTime,
) -> anyhow::Result<Vec<Deb>> {
    let (offers, _) = with_universe(base, repository, at, |universe, addresses| {
        let names = universe.names().into_iter().filter(|name| is_wanted(name));
        names
            .filter_map(|name| universe.native(name))
            .filter(|&package| !universe.package(package).installed)
            .map(|package| universe.deb(package, addresses, true))
            .collect()
    })?;
    Ok(offers)
}

/// Calls `look` with all that the image has and its sources offer, and where the
/// files of that are. Gives notes of the sources besides.
fn with_universe<T>(
    base: &dyn BaseView,
    repository: &dyn Repository,
    at: OffsetDateTime,
    look: impl FnOnce(&Universe<'_>, &[String]) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<String>)> {
    let status = installed::read_status(base)?;
    let installed = Installed::parse(&status)?;
    let sources = sources::read(base)?;
    let fetched = fetch::indices(&sources, base, installed.architecture, repository, at)?;
    let indices = Indices::parse(&fetched.indices, installed.architecture)?;
    let universe = Universe::new(installed, indices)?;
    let found = look(&universe, &fetched.addresses)?;
    Ok((found, fetched.notes))
}

/// The packages of these names: what the image has, else the best offer.
fn find(universe: &Universe<'_>, wanted: &[String]) -> anyhow::Result<Vec<usize>> {
    let mut found = Vec::new();
    for name in wanted {
        let package = match universe.native(name) {
            Some(package) => package,
            None => bail!(unknown(universe, name)),
        };
        if !found.contains(&package) {
            found.push(package);
        }
    }
    Ok(found)
}

fn unknown(universe: &Universe<'_>, name: &str) -> String {
    let providers = universe.providers(name);
    if !providers.is_empty() {
        let providers = providers.join(", ");
        return format!(
            "`{name}` is no package of its own; ask for one that provides it: {providers}"
        );
    }
    let hint = match nearest(name, universe.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "look for its name in the repositories, or add a source that has it".to_owned(),
    };
    format!("no source of the image has a package `{name}`; {hint}")
}

/// apt's pins are not evaluated; where there are some, the user must know.
fn preferences(base: &dyn BaseView) -> anyhow::Result<Option<String>> {
    const FILE: &str = "/etc/apt/preferences";
    const PARTS: &str = "/etc/apt/preferences.d";
    let parts = base.list(Part::Root, PARTS);
    let parts = parts.with_context(|| format!("listing {PARTS} of the image"))?;
    let has_file = base
        .kind(Part::Root, FILE)
        .with_context(|| format!("looking at {FILE}"))?;
    let name = match (has_file, parts.first()) {
        (Some(_), _) => FILE.to_owned(),
        (None, Some(part)) => format!("{PARTS}/{part}"),
        (None, None) => return Ok(None),
    };
    Ok(Some(format!(
        "{name} is not evaluated: versions are chosen without its pins"
    )))
}
