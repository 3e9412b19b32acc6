//! The GitOps tree: whether what Argo CD would make of it is what is meant.
//!
//! Nothing is rendered and no cluster is asked: objects are held against their types and
//! schemas, values against the charts' own, ApplicationSets are expanded, and everything
//! that is referred to has to be there and permitted. Pure but for [`Tree::read`].

mod apps;
mod charts;
mod complaints;
#[doc(hidden)]
pub mod fuzzing;
mod kinds;
mod object;
mod rules;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::config::problem::{Wrong, listed};
use crate::config::{ClusterFile, Problems, nearest};
use apps::check::{Ground, holds};
use apps::generate::Checkout;
use apps::project::Project;
use charts::{Wanted, values};
use complaints::Complaints;
use kinds::Scope;
use object::Object;
use rules::{addresses, images, secrets};
use tree::{APPLICATIONS, APPS, BOOTSTRAP, MANIFESTS, OWN_CHARTS, SETS, VALUES};

pub use apps::{Application, Source};
pub use charts::Shelf;
pub use kinds::Known;
pub use tree::Tree;

/// The file that says which sets run.
const SETS_FILE: &str = "kube-apps/sets.yaml";
/// The Application that everything else comes from.
const ROOT: &str = "root";

/// What a tree is held against beside itself.
#[derive(Debug)]
pub struct Against<'t> {
    /// The cluster it is for, if there is a cluster file.
    pub cluster: Option<&'t ClusterFile>,
    /// Custom kinds; those of the tree are added.
    pub known: Known,
    /// Where charts lie beside the tree's own vendored ones.
    pub shelves: &'t [Shelf<'t>],
}

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Every Application of every set, by name.
    pub applications: Vec<Listed>,
    /// What could not be looked at, and why: sentences.
    pub notes: Vec<String>,
    /// What is wrong; nothing if nothing is.
    pub problems: Option<Problems>,
}

/// An Application, and whether its set is one of those that run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The Application.
    pub application: Application,
    /// Whether Argo CD makes it, as the tree is.
    pub runs: bool,
}

/// Looks at everything in a tree, sets that do not run included.
pub fn check(tree: &Tree, against: Against<'_>) -> Checked {
    let mut complaints = Complaints::default();
    let mut notes = Vec::new();
    let known = against.known.with(tree);
    let control: Vec<Object> = [BOOTSTRAP, APPLICATIONS, SETS]
        .iter()
        .flat_map(|folder| control_objects(tree, folder, &mut complaints))
        .collect();
    let root = root(&control, &mut complaints);
    let checkout = Checkout {
        tree,
        folder: &root.folder,
    };
    match_cluster(&root, against.cluster, &mut complaints);

    // What runs first, then everything: an optional set that is wrong is wrong today.
    let running: BTreeSet<String> = apps::expand(&control, checkout, &mut complaints)
        .into_iter()
        .map(|application| application.name)
        .collect();
    let whole = with_every_set(tree, &mut complaints);
    let checkout = Checkout {
        tree: &whole,
        ..checkout
    };
    let mut applications = apps::expand(&control, checkout, &mut complaints);
    applications.sort();

    for object in &control {
        kinds::check(object, &known, &mut complaints);
    }
    let objects: Vec<(Object, Option<Scope>)> = object::objects(tree, MANIFESTS, &mut complaints)
        .into_iter()
        .map(|object| {
            let scope = kinds::check(&object, &known, &mut complaints);
            (object, scope)
        })
        .collect();

    let projects = Project::all(&control);
    let wanted = Wanted::read(tree, &mut complaints);
    let ground = Ground {
        checkout,
        repository: &root.repository,
        revision: &root.revision,
        applications: &applications,
        projects: &projects,
        wanted: &wanted,
    };
    apps::check::applications(&ground, &mut complaints);
    apps::check::objects(&ground, &objects, &mut complaints);
    chart_values(&ground, against.shelves, &mut notes, &mut complaints);
    charts::own::check(tree, &mut complaints);

    let pools = {
        let objects: Vec<Object> = objects.iter().map(|(object, _)| object.clone()).collect();
        let pools = addresses::pools(&objects, &mut complaints);
        match_pools(&pools, &objects, against.cluster, &mut complaints);
        pools
    };
    let mut asked = Vec::new();
    for (file, document) in documents(tree) {
        images::check(&file, &document, &mut complaints);
        secrets::check(&file, &document, &mut complaints);
        asked.extend(addresses::asked(&file, &document, &mut complaints));
    }
    let runs = |file: &str| {
        let owns = |application: &&Application| {
            let mut sources = application.sources.iter();
            sources.any(|source| holds(checkout, source, file))
        };
        let owner = applications.iter().find(owns);
        owner.is_some_and(|owner| running.contains(&owner.name))
    };
    addresses::check(&asked, &pools, runs, &mut complaints);

    let listed = applications.into_iter().map(|application| Listed {
        runs: running.contains(&application.name),
        application,
    });
    Checked {
        applications: listed.collect(),
        notes,
        problems: complaints.into_problems(tree),
    }
}

/// Objects of Argo CD's own; values among them are no objects.
fn control_objects(tree: &Tree, folder: &str, complaints: &mut Complaints) -> Vec<Object> {
    let paths: Vec<&str> = tree
        .below(folder)
        .filter(|path| object::is_yaml(path) && !path.ends_with("-values.yaml"))
        .collect();
    let texts = paths.into_iter().map(|path| (path, tree.text(path)));
    texts
        .flat_map(|(path, text)| object::read(path, &text.unwrap_or_default(), complaints))
        .collect()
}

/// Where everything comes from.
#[derive(Debug, Default)]
struct Root {
    repository: String,
    revision: String,
    /// The tree's folder in the repository.
    folder: String,
    file: String,
    at: (usize, usize),
}

fn root(control: &[Object], complaints: &mut Complaints) -> Root {
    let found = control
        .iter()
        .find(|object| object.kind() == "Application" && object.name() == ROOT);
    let Some(root) = found else {
        let file = format!("{BOOTSTRAP}/root.yaml");
        let message = "there is no Application named root, which makes all others";
        let hint = "`imgbuild init` in an empty folder shows one";
        complaints.add(&file, (1, 1), Wrong::new(message, hint));
        return Root::default();
    };
    let spec = root.node.get("spec");
    let sources = spec.and_then(|spec| spec.get("sources"));
    let first = sources.and_then(|sources| sources.items().first());
    let source = first.or_else(|| spec.and_then(|spec| spec.get("source")));
    let text = |key: &str| source.map_or("", |source| source.text_at(&[key]));
    let folder = text("path").strip_suffix(BOOTSTRAP).unwrap_or_default();
    Root {
        repository: text("repoURL").to_owned(),
        revision: text("targetRevision").to_owned(),
        folder: folder.trim_end_matches('/').to_owned(),
        file: root.file.clone(),
        at: root.node.at,
    }
}

/// The cluster file says where the tree is, too; the node is told what that says.
fn match_cluster(root: &Root, cluster: Option<&ClusterFile>, complaints: &mut Complaints) {
    let Some(gitops) = cluster.and_then(|cluster| cluster.gitops.as_ref()) else {
        return;
    };
    for (what, ours, theirs) in [
        ("repository", &root.repository, &gitops.repository),
        ("revision", &root.revision, &gitops.revision),
        ("path", &root.folder, &gitops.path),
    ] {
        if ours != theirs {
            let message =
                format!("the root is of {what} \"{ours}\", the cluster file says \"{theirs}\"");
            let hint = "make them the same: in all Applications, or in [gitops]";
            complaints.add(&root.file, root.at, Wrong::new(message, hint));
        }
    }
}

fn match_pools(
    pools: &[crate::plan::Pool],
    objects: &[Object],
    cluster: Option<&ClusterFile>,
    complaints: &mut Complaints,
) {
    let (Some(cluster), Some(place)) = (
        cluster,
        objects
            .iter()
            .find(|object| object.kind() == "IPAddressPool"),
    ) else {
        return;
    };
    let at = place.node.place(["spec", "addresses"]);
    for pool in pools {
        if let Some(wrong) = cluster.pool_overlap(*pool) {
            complaints.add(&place.file, at, wrong);
        }
    }
    let said = cluster.gitops.as_ref().and_then(|gitops| gitops.pool);
    if let Some(said) = said
        && !pools.contains(&said)
    {
        let message = format!("no pool is {said}, which the cluster file says");
        let hint = "make them the same: here, or [gitops] pool";
        complaints.add(&place.file, at, Wrong::new(message, hint));
    }
}

/// The tree with every set running that there is a folder of.
fn with_every_set(tree: &Tree, complaints: &mut Complaints) -> Tree {
    let sets: BTreeSet<String> = [VALUES, OWN_CHARTS, MANIFESTS]
        .iter()
        .flat_map(|folder| {
            let inside = tree.below(folder).filter_map(|path| {
                let (set, rest) = path[folder.len() + 1..].split_once('/')?;
                (!rest.is_empty()).then(|| set.to_owned())
            });
            inside.collect::<Vec<_>>()
        })
        .collect();
    let text = tree.text(SETS_FILE).unwrap_or_default();
    if let Ok(document) = yaml::document(&text) {
        for item in document.items() {
            let set = item.text_at(&["set"]);
            if !sets.contains(set) {
                let known = || sets.iter().map(String::as_str);
                let hint = match nearest(set, known()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the sets are {}", listed(known())),
                };
                let message = format!("there is nothing in the set \"{set}\"");
                complaints.add(SETS_FILE, item.at, Wrong::new(message, hint));
            }
        }
    }
    let every: String = sets.iter().map(|set| format!("- set: {set}\n")).collect();
    tree.with(SETS_FILE, every.into_bytes())
}

/// The values of somebody else's charts.
fn chart_values(
    ground: &Ground<'_>,
    shelves: &[Shelf<'_>],
    notes: &mut Vec<String>,
    complaints: &mut Complaints,
) {
    let tree = ground.checkout.tree;
    let mut all: Vec<Shelf<'_>> = vec![(tree, tree::CHARTS)];
    all.extend(shelves);
    for application in ground.applications {
        for source in &application.sources {
            let path = ground.checkout.inside(&source.path).unwrap_or_default();
            let Some(chart) = path
                .strip_prefix(tree::CHARTS)
                .and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            let defaults = charts::defaults(&all, chart);
            if defaults.is_none() {
                notes.push(format!(
                    "the values of {} are not looked at: its chart {chart} is not vendored yet \
                     (`imgbuild charts vendor`)",
                    application.name
                ));
            }
            for file in &source.value_files {
                let file = ground.checkout.inside(file).unwrap_or_default();
                let text = tree.text(file).unwrap_or_default();
                match (yaml::document(&text), &defaults) {
                    (Err((at, wrong)), _) => complaints.add(file, at, wrong),
                    (Ok(document), Some(defaults)) => {
                        for (path, wrong) in values::check(&document, defaults) {
                            complaints.add(file, kinds::place(&document, &path), wrong);
                        }
                    }
                    (Ok(_), None) => {}
                }
            }
        }
    }
}

/// Every YAML document of the tree that is the tree's own: not vendored, no template.
fn documents(tree: &Tree) -> Vec<(String, yaml::Node)> {
    let own = tree.paths().filter(|path| {
        object::is_yaml(path)
            && (path.starts_with(APPS) || path.starts_with(BOOTSTRAP))
            && !path.starts_with(tree::CHARTS)
            && !path.contains("/templates/")
    });
    own.flat_map(|path| {
        let text = tree.text(path).unwrap_or_default();
        let documents = yaml::documents(&text).unwrap_or_default();
        documents.into_iter().map(|node| (path.to_owned(), node))
    })
    .collect()
}
