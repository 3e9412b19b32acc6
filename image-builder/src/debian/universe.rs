//! All packages that a resolution is about, and what Debian's rules say about
//! any two of them. Knows nothing of how a solution is found.

mod needs;

use std::collections::HashMap;

use anyhow::{Context as _, anyhow};
use debversion::Version;

use super::Deb;
use super::index::Indices;
use super::installed::Installed;
use super::package::{File, Package};
use super::relation::Operator;
use super::release::INSTALLED_PRIORITY;

pub(super) use needs::Group;

/// What is installed, and of each name on offer the one version apt would take.
#[derive(Debug)]
pub(super) struct Universe<'a> {
    architecture: &'a str,
    packages: Vec<Package<'a>>,
    /// By package: which slot it is in.
    slot_of: Vec<usize>,
    /// Packages of one name and architecture, of which one can be there at a
    /// time: what is installed, then what is offered.
    slots: Vec<Vec<usize>>,
    /// Never walked, so that no result depends on its order.
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Who provides a name, and in which version. Never walked either.
    provided: HashMap<&'a str, Vec<(usize, Option<Version>)>>,
}

impl<'a> Universe<'a> {
    /// Of equal versions the first source's is taken, and never one that is
    /// older than what is installed.
    ///
    /// # Errors
    /// When a `Provides` cannot be read.
    pub(super) fn new(installed: Installed<'a>, indices: Indices<'a>) -> anyhow::Result<Self> {
        let mut universe = Self {
            architecture: installed.architecture,
            packages: installed.packages,
            slot_of: Vec::new(),
            slots: Vec::new(),
            by_name: HashMap::new(),
            provided: HashMap::new(),
        };
        let mut offers = candidates(&universe, indices);
        universe.packages.append(&mut offers);
        universe.connect()?;
        Ok(universe)
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let mut slots: HashMap<(&str, &str), usize> = HashMap::new();
        for (id, package) in self.packages.iter().enumerate() {
            let key = (package.name, self.architecture_of(package));
            let slot = *slots.entry(key).or_insert(self.slots.len());
            if slot == self.slots.len() {
                self.slots.push(Vec::new());
            }
            self.slots[slot].push(id);
            self.slot_of.push(slot);
            self.by_name.entry(package.name).or_default().push(id);
            let provided = package.provided();
            let provided = provided.map_err(|what| anyhow!("{what}"));
            for one in provided.with_context(|| format!("reading what {package} provides"))? {
                let version = match one.version {
                    Some((Operator::Equal, version)) => Some(version),
                    // Debian Policy 7.5 knows no other provided versions.
                    Some(_) => continue,
                    None => None,
                };
                self.provided
                    .entry(one.name)
                    .or_default()
                    .push((id, version));
            }
        }
        Ok(())
    }

    pub(super) fn package(&self, id: usize) -> &Package<'a> {
        &self.packages[id]
    }

    /// A package for a message that has to tell it from its like.
    pub(super) fn label(&self, id: usize) -> String {
        let package = &self.packages[id];
        let mut label = package.name.to_owned();
        let architecture = self.architecture_of(package);
        if architecture != self.architecture {
            label += &format!(":{architecture}");
        }
        label += &format!(" {}", package.version);
        if package.installed {
            label += " (installed)";
        }
        label
    }

    pub(super) fn slot_of(&self, id: usize) -> usize {
        self.slot_of[id]
    }

    pub(super) fn slots(&self) -> &[Vec<usize>] {
        &self.slots
    }

    /// What is installed in the place a package would take.
    pub(super) fn installed_beside(&self, id: usize) -> Option<usize> {
        let slot = &self.slots[self.slot_of[id]];
        slot.iter()
            .copied()
            .find(|&other| self.packages[other].installed)
    }

    /// What the image has of a name, else what is offered.
    pub(super) fn native(&self, name: &str) -> Option<usize> {
        let named = self.by_name.get(name)?;
        let is_native =
            |id: &&usize| self.architecture_of(&self.packages[**id]) == self.architecture;
        named.iter().find(is_native).copied()
    }

    /// The names of all packages, sorted.
    pub(super) fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.packages.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of packages that provide a name, sorted.
    pub(super) fn providers(&self, name: &str) -> Vec<&'a str> {
        let provided = self.provided.get(name).into_iter().flatten();
        let mut names: Vec<&str> = provided.map(|(id, _)| self.packages[*id].name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// `all` counts as the image's own (Debian Policy 5.6.8, MultiarchSpec).
    fn architecture_of<'p>(&self, package: &'p Package<'a>) -> &'p str
    where
        'a: 'p,
    {
        match package.architecture {
            "all" => self.architecture,
            other => other,
        }
    }

    /// What is needed to fetch a package and to know it again.
    ///
    /// # Errors
    /// When it is installed, so that there is no file of it.
    pub(super) fn deb(&self, id: usize, addresses: &[String], wanted: bool) -> anyhow::Result<Deb> {
        let package = &self.packages[id];
        let file = package.file.as_ref();
        let File {
            path,
            size,
            sha256,
            source,
            ..
        } = file.with_context(|| format!("{package} is installed and has no file"))?;
        Ok(Deb {
            name: package.name.to_owned(),
            version: package.version.to_string(),
            architecture: package.architecture.to_owned(),
            url: format!("{}{}", addresses[*source], encoded(path)),
            size: *size,
            sha256: sha256.to_ascii_lowercase(),
            wanted,
        })
    }
}

/// Of each name the version apt would take, where that is no older than what is
/// installed.
fn candidates<'a>(image: &Universe<'a>, indices: Indices<'a>) -> Vec<Package<'a>> {
    let mut installed: HashMap<&str, &Version> = HashMap::new();
    for package in &image.packages {
        if image.architecture_of(package) == image.architecture {
            installed.insert(package.name, &package.version);
        }
    }
    let priority = |offer: &Package<'a>| offer.file.as_ref().map_or(0, |file| file.priority);
    let mut best: HashMap<&str, usize> = HashMap::new();
    let mut offers: Vec<Package<'a>> = Vec::new();
    for offer in indices.packages {
        if let Some(&version) = installed.get(offer.name)
            && (offer.version <= *version || priority(&offer) < INSTALLED_PRIORITY)
        {
            continue;
        }
        match best.get(offer.name) {
            None => {
                best.insert(offer.name, offers.len());
                offers.push(offer);
            }
            Some(&at) => {
                let known = &offers[at];
                if (priority(&offer), &offer.version) > (priority(known), &known.version) {
                    offers[at] = offer;
                }
            }
        }
    }
    offers
}

/// A file name for a URL: what would end the path or is no character of a URL
/// is written as `%` and two digits (RFC 3986 2.1).
fn encoded(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !b"%#?\"<>\\^`{|}".contains(&byte) => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}
