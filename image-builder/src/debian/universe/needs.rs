//! What a package asks of the others: who must be there, and who must not.

use super::Universe;
use crate::debian::package::{MultiArch, Package};
use crate::debian::relation::{self, Relation, group_text};

/// What a package asks of the others.
#[derive(Debug, Default)]
pub(in crate::debian) struct Needs {
    pub(in crate::debian) groups: Vec<Group>,
    /// Who must not be there at the same time.
    pub(in crate::debian) conflicts: Vec<Conflict>,
}

/// One dependency: one of these packages must be there.
#[derive(Debug)]
pub(in crate::debian) struct Group {
    /// As it is written.
    pub(in crate::debian) text: String,
    /// Before the package is even unpacked.
    pub(in crate::debian) early: bool,
    /// What would do, the best first.
    pub(in crate::debian) satisfiers: Vec<usize>,
}

/// One relation that keeps packages apart.
#[derive(Debug)]
pub(in crate::debian) struct Conflict {
    /// With the field it stands in.
    pub(in crate::debian) text: String,
    pub(in crate::debian) with: Vec<usize>,
}

impl Universe<'_> {
    /// All that a package asks of the others.
    ///
    /// # Errors
    /// Which of its fields cannot be read.
    pub(in crate::debian) fn needs(&self, id: usize) -> Result<Needs, String> {
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
}

fn parse<'a>(
    package: &Package<'_>,
    field: &str,
    text: Option<&'a str>,
) -> Result<Vec<Vec<Relation<'a>>>, String> {
    let groups = relation::parse(text.unwrap_or_default());
    groups.map_err(|what| format!("{field} of {package}: {what}"))
}
