//! All packages that a resolution is about, and what Debian's rules say about
//! any two of them. Knows nothing of how a solution is found.

use std::collections::HashMap;

use anyhow::{Context as _, anyhow};
use debversion::Version;

use super::Deb;
use super::index::Indices;
use super::installed::Installed;
use super::package::{File, MultiArch, Package};
use super::relation::{self, Operator, Relation, group_text};
use super::release::INSTALLED_PRIORITY;

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

/// What a package asks of the others.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) groups: Vec<Group>,
    /// Who must not be there at the same time.
    pub(super) conflicts: Vec<Conflict>,
}

/// One dependency: one of these packages must be there.
#[derive(Debug)]
pub(super) struct Group {
    /// As it is written.
    pub(super) text: String,
    /// Before the package is even unpacked.
    pub(super) early: bool,
    /// What would do, the best first.
    pub(super) satisfiers: Vec<usize>,
}

/// One relation that keeps packages apart.
#[derive(Debug)]
pub(super) struct Conflict {
    /// With the field it stands in.
    pub(super) text: String,
    pub(super) with: Vec<usize>,
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
        let native = universe.architecture;
        let is_native = |package: &Package<'_>| [native, "all"].contains(&package.architecture);
        let mut best: HashMap<&str, usize> = HashMap::new();
        let mut has: HashMap<&str, &Version> = HashMap::new();
        for package in universe
            .packages
            .iter()
            .filter(|package| is_native(package))
        {
            has.insert(package.name, &package.version);
        }
        let rank = |package: &Package<'a>| package.file.as_ref().map_or(0, |file| file.priority);
        let mut offers: Vec<Package<'a>> = Vec::new();
        for offer in indices.packages {
            if let Some(version) = has.get(offer.name)
                && (offer.version <= **version || rank(&offer) < INSTALLED_PRIORITY)
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
                    if (rank(&offer), &offer.version) > (rank(known), &known.version) {
                        offers[at] = offer;
                    }
                }
            }
        }
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

    /// All that a package asks of the others.
    ///
    /// # Errors
    /// Which of its fields cannot be read.
    pub(super) fn needs(&self, id: usize) -> Result<Needs, String> {
        let package = &self.packages[id];
        let mut needs = Needs::default();
        for (field, text, early) in [
            ("Pre-Depends", package.pre_depends, true),
            ("Depends", package.depends, false),
        ] {
            for group in parse(package, field, text)? {
                needs.groups.push(Group {
                    text: group_text(&group),
                    early,
                    satisfiers: self.satisfiers(id, &group),
                });
            }
        }
        // `Replaces` says only whose files win; it keeps nothing apart.
        for (field, text) in [("Conflicts", package.conflicts), ("Breaks", package.breaks)] {
            for relation in parse(package, field, text)?.into_iter().flatten() {
                needs.conflicts.push(Conflict {
                    text: format!("{field}: {relation}"),
                    with: self.opponents(id, &relation),
                });
            }
        }
        needs.conflicts.push(Conflict {
            text: "the same name for another architecture, not fit to stand beside it".to_owned(),
            with: self.strangers(id),
        });
        needs.conflicts.retain(|conflict| !conflict.with.is_empty());
        Ok(needs)
    }

    /// Who satisfies a group for a package: what is installed first, then in
    /// the order of the group; of a name's providers the more important first.
    fn satisfiers(&self, id: usize, group: &[Relation<'_>]) -> Vec<usize> {
        let mut all: Vec<usize> = Vec::new();
        for relation in group {
            let named = self
                .by_name
                .get(relation.name)
                .into_iter()
                .flatten()
                .copied();
            let named = named.filter(|&other| relation.admits(&self.packages[other].version));
            let provided = self.provided.get(relation.name).into_iter().flatten();
            let provided =
                provided.filter(|(_, version)| relation.admits_provided(version.as_ref()));
            let mut provided: Vec<usize> = provided.map(|(other, _)| *other).collect();
            provided.sort_by_key(|&other| {
                let Package {
                    essential,
                    importance,
                    name,
                    ..
                } = &self.packages[other];
                (!*essential, *importance, *name, other)
            });
            let fits = |&other: &usize| self.architecture_fits(id, relation, other);
            for other in named.chain(provided).filter(fits) {
                if !all.contains(&other) {
                    all.push(other);
                }
            }
        }
        all.sort_by_key(|&other| !self.packages[other].installed);
        all
    }

    /// Whether a package of another's architecture may satisfy a relation of
    /// this one (wiki.ubuntu.com/MultiarchSpec).
    fn architecture_fits(&self, id: usize, relation: &Relation<'_>, other: usize) -> bool {
        let (from, to) = (&self.packages[id], &self.packages[other]);
        if to.multi_arch == MultiArch::Foreign {
            return true;
        }
        let wanted = match relation.arch {
            Some("any") => return to.multi_arch == MultiArch::Allowed,
            Some("native") => self.architecture,
            Some(named) => named,
            None => self.architecture_of(from),
        };
        self.architecture_of(to) == wanted
    }

    /// Whom a relation of `Conflicts` or `Breaks` means.
    fn opponents(&self, id: usize, relation: &Relation<'_>) -> Vec<usize> {
        let named = self.by_name.get(relation.name).into_iter().flatten();
        let named = named.filter(|&&other| relation.admits(&self.packages[other].version));
        let provided = self.provided.get(relation.name).into_iter().flatten();
        let provided = provided.filter(|(_, version)| relation.admits_provided(version.as_ref()));
        let mut all: Vec<usize> = named.copied().chain(provided.map(|(id, _)| *id)).collect();
        all.retain(|&other| {
            let of = relation.arch.is_none_or(|arch| {
                arch == "any" || arch == self.architecture_of(&self.packages[other])
            });
            // A package is never its own enemy: that is how one says "only one
            // that provides this". And what stands together already does.
            of && self.slot_of[other] != self.slot_of[id] && !self.stand_together(id, other)
        });
        all
    }

    /// Packages of the same name for other architectures that cannot be there
    /// beside this one: only `Multi-Arch: same` can, in the same version.
    fn strangers(&self, id: usize) -> Vec<usize> {
        let package = &self.packages[id];
        let named = self
            .by_name
            .get(package.name)
            .into_iter()
            .flatten()
            .copied();
        let is_stranger = |&other: &usize| {
            let beside = &self.packages[other];
            let both = package.multi_arch == MultiArch::Same
                && beside.multi_arch == MultiArch::Same
                && package.version == beside.version;
            self.slot_of[other] != self.slot_of[id] && !both && !self.stand_together(id, other)
        };
        named.filter(is_stranger).collect()
    }

    fn stand_together(&self, one: usize, other: usize) -> bool {
        self.packages[one].installed && self.packages[other].installed
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

fn parse<'a>(
    package: &Package<'_>,
    field: &str,
    text: Option<&'a str>,
) -> Result<Vec<Vec<Relation<'a>>>, String> {
    let groups = relation::parse(text.unwrap_or_default());
    groups.map_err(|what| format!("{field} of {package}: {what}"))
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
