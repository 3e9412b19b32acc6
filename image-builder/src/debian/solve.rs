//! From needs to a choice: Debian's rules given to `resolvo`, a SAT solver that
//! tries candidates in the order it is told. Everything installed stays, at its
//! version unless something needs a newer one; what was asked for comes first.

mod explain;

use std::cell::RefCell;

use anyhow::bail;
use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache, StringId,
    UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use super::universe::{Group, Universe};

/// What must be installed.
#[derive(Debug)]
pub(super) struct Solution {
    /// By their number, which follows the sources; nothing that is installed.
    pub(super) added: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// Finds what `wanted` needs.
///
/// # Errors
/// Why there is no solution, in words.
pub(super) fn solve(universe: &Universe<'_>, wanted: &[usize]) -> anyhow::Result<Solution> {
    let rules = Rules::new(universe, certain(universe, wanted));
    let mut requirements = Vec::new();
    for &package in wanted {
        let text = universe.package(package).name.to_owned();
        requirements.push(
            rules
                .set(universe.slot_of(package), vec![package], text)
                .into(),
        );
    }
    let mut notes = Vec::new();
    for (slot, members) in universe.slots().iter().enumerate() {
        let Some(&first) = members
            .first()
            .filter(|&&id| universe.package(id).installed)
        else {
            continue;
        };
        let name = universe.package(first).name.to_owned();
        requirements.push(rules.set(slot, members.clone(), name).into());
        notes.extend(unmet(universe, first));
    }
    let mut solver = Solver::new(rules);
    let mut added = match solver.solve(Problem::new().requirements(requirements)) {
        Ok(chosen) => chosen.into_iter().map(number).collect::<Vec<_>>(),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            bail!(explain::explain(
                &conflict.graph(&solver),
                solver.provider()
            ))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => bail!("resolving the packages was stopped"),
    };
    added.retain(|&id| !universe.package(id).installed);
    added.sort_unstable();
    notes.extend(upgrades(universe, &added));
    Ok(Solution { added, notes })
}

/// What comes with `wanted` whatever is chosen: dependencies that leave no
/// choice, and theirs. Of alternatives it is as good as installed.
fn certain(universe: &Universe<'_>, wanted: &[usize]) -> Vec<usize> {
    let mut certain = wanted.to_vec();
    let mut at = 0;
    while let Some(&id) = certain.get(at) {
        at += 1;
        // What cannot be read is found again, and said, by the solver.
        let groups = universe.needs(id).map(|needs| needs.groups);
        for group in groups.unwrap_or_default() {
            if let [only] = group.satisfiers[..]
                && !certain.contains(&only)
            {
                certain.push(only);
            }
        }
    }
    certain
}

/// Dependencies of an installed package that the image does not satisfy: they
/// were so before, and are none of our work.
fn unmet(universe: &Universe<'_>, id: usize) -> Vec<String> {
    let groups = universe
        .needs(id)
        .map(|needs| needs.groups)
        .unwrap_or_default();
    let unmet = groups.iter().filter(|group| !is_met(universe, group));
    let package = universe.package(id);
    let note = |group: &Group| {
        format!(
            "{package} is installed without `{}`, which it needs",
            group.text
        )
    };
    unmet.map(note).collect()
}

fn is_met(universe: &Universe<'_>, group: &Group) -> bool {
    let best = group.satisfiers.first();
    best.is_some_and(|&best| universe.package(best).installed)
}

/// What of the image is replaced by a newer version, and for whose sake.
fn upgrades(universe: &Universe<'_>, added: &[usize]) -> Vec<String> {
    let mut notes = Vec::new();
    for &id in added {
        let Some(old) = universe.installed_beside(id) else {
            continue;
        };
        let asks = |&by: &usize| {
            let groups = universe.needs(by).ok()?.groups;
            let group = groups
                .into_iter()
                .find(|group| group.satisfiers.contains(&id) && !group.satisfiers.contains(&old))?;
            Some(format!("{} needs {}", universe.package(by), group.text))
        };
        let reason = added.iter().find_map(asks);
        let reason = reason.unwrap_or_else(|| "something new cannot stand beside it".to_owned());
        let (new, old) = (universe.package(id), &universe.package(old).version);
        notes.push(format!(
            "the image's {} {old} is upgraded to {}: {reason}",
            new.name, new.version
        ));
    }
    notes
}

/// Debian's rules as the solver asks for them.
struct Rules<'u> {
    universe: &'u Universe<'u>,
    certain: Vec<usize>,
    sets: RefCell<Vec<Set>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    texts: RefCell<Vec<String>>,
}

/// Some packages of one slot.
struct Set {
    slot: usize,
    members: Vec<usize>,
    /// The relation this stands for.
    text: String,
}

impl<'u> Rules<'u> {
    fn new(universe: &'u Universe<'u>, certain: Vec<usize>) -> Self {
        Self {
            universe,
            certain,
            sets: RefCell::default(),
            unions: RefCell::default(),
            texts: RefCell::default(),
        }
    }

    fn set(&self, slot: usize, members: Vec<usize>, text: String) -> VersionSetId {
        let set = Set {
            slot,
            members,
            text,
        };
        VersionSetId(push(&self.sets, set))
    }

    /// The slot that nothing is in, for dependencies nobody satisfies.
    fn nothing(&self) -> usize {
        self.universe.slots().len()
    }

    /// A group as one set for each slot: first what is there or comes anyway,
    /// then in the group's order.
    fn requirement(&self, group: Group) -> Requirement {
        let mut slots: Vec<(usize, Vec<usize>)> = Vec::new();
        for id in group.satisfiers {
            let slot = self.universe.slot_of(id);
            match slots.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, members)) => members.push(id),
                None => slots.push((slot, vec![id])),
            }
        }
        slots.sort_by_key(|(_, members)| {
            let comes =
                |id: &usize| self.universe.package(*id).installed || self.certain.contains(id);
            !members.iter().any(comes)
        });
        let set = |(slot, members)| self.set(slot, members, group.text.clone());
        let sets: Vec<VersionSetId> = slots.into_iter().map(set).collect();
        match sets[..] {
            [] => self.set(self.nothing(), Vec::new(), group.text).into(),
            [one] => one.into(),
            _ => VersionSetUnionId(push(&self.unions, sets)).into(),
        }
    }

    /// A conflict as what is left of each slot it touches.
    fn constraints(&self, with: &[usize], text: &str) -> Vec<VersionSetId> {
        let mut slots: Vec<usize> = with.iter().map(|&id| self.universe.slot_of(id)).collect();
        slots.sort_unstable();
        slots.dedup();
        let left = |slot: usize| {
            let mut left = self.universe.slots()[slot].clone();
            left.retain(|id| !with.contains(id));
            self.set(slot, left, text.to_owned())
        };
        slots.into_iter().map(left).collect()
    }

    fn text_of(&self, requirement: Requirement) -> String {
        let set = match requirement {
            Requirement::Single(set) => set,
            // All sets of a union stand for the same relation.
            Requirement::Union(union) => self.unions.borrow()[union.0 as usize][0],
        };
        self.text_of_set(set)
    }

    fn text_of_set(&self, set: VersionSetId) -> String {
        self.sets.borrow()[set.0 as usize].text.clone()
    }
}

/// The package behind the solver's number for it.
fn number(id: SolvableId) -> usize {
    id.into_raw() as usize
}

fn push<T>(list: &RefCell<Vec<T>>, value: T) -> u32 {
    let mut list = list.borrow_mut();
    list.push(value);
    // One for each relation of the packages looked at: some ten thousand.
    (list.len() - 1) as u32
}

impl DependencyProvider for Rules<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let members = &sets[set.0 as usize].members;
        let is_meant = |&id: &SolvableId| members.contains(&number(id)) != inverse;
        candidates.iter().copied().filter(is_meant).collect()
    }

    async fn get_candidates(&self, slot: NameId) -> Option<Candidates> {
        let members = self.universe.slots().get(slot.into_raw() as usize)?;
        let candidates = members
            .iter()
            .map(|&id| SolvableId::from_raw(id as u32))
            .collect();
        Some(Candidates {
            candidates,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, packages: &mut [SolvableId]) {
        // What is installed has the lower number.
        packages.sort_unstable_by_key(|id| id.into_raw());
    }

    async fn get_dependencies(&self, id: SolvableId) -> Dependencies {
        let needs = match self.universe.needs(number(id)) {
            Ok(needs) => needs,
            Err(what) => return Dependencies::Unknown(StringId(push(&self.texts, what))),
        };
        let is_installed = self.universe.package(number(id)).installed;
        let ours = |group: &Group| !is_installed || is_met(self.universe, group);
        let groups = needs.groups.into_iter().filter(ours);
        let conflicts = needs.conflicts.iter();
        Dependencies::Known(KnownDependencies {
            requirements: groups.map(|group| self.requirement(group).into()).collect(),
            constrains: conflicts
                .flat_map(|conflict| self.constraints(&conflict.with, &conflict.text))
                .collect(),
        })
    }
}

impl Interner for Rules<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, id: SolvableId) -> impl std::fmt::Display + '_ {
        self.universe.package(number(id))
    }

    fn display_name(&self, slot: NameId) -> impl std::fmt::Display + '_ {
        let members = self.universe.slots().get(slot.into_raw() as usize);
        let first = members.and_then(|members| members.first());
        first.map_or("nothing", |&id| self.universe.package(id).name)
    }

    fn display_version_set(&self, set: VersionSetId) -> impl std::fmt::Display + '_ {
        self.text_of_set(set)
    }

    fn display_string(&self, text: StringId) -> impl std::fmt::Display + '_ {
        self.texts.borrow()[text.0 as usize].clone()
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(self.sets.borrow()[set.0 as usize].slot as u32)
    }

    fn solvable_name(&self, id: SolvableId) -> NameId {
        NameId::from_raw(self.universe.slot_of(number(id)) as u32)
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[union.0 as usize].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no relation of Debian's is conditional, and none was made")
    }
}
