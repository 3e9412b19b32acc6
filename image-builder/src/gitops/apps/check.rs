//! What an Application refers to is there and is permitted.

use std::collections::{BTreeMap, BTreeSet};

use super::generate::Checkout;
use super::project::Project;
use super::{Application, Source};
use crate::config::problem::{Wrong, listed};
use crate::config::{names, nearest};
use crate::gitops::charts::Wanted;
use crate::gitops::complaints::Complaints;
use crate::gitops::kinds::Scope;
use crate::gitops::object::Object;
use crate::gitops::tree::CHARTS;

/// Namespaces that are there before anything is deployed; Argo CD's is made with it.
const THERE: [&str; 5] = [
    "argocd",
    "default",
    "kube-node-lease",
    "kube-public",
    "kube-system",
];

/// The Applications and what they are held against.
pub(in crate::gitops) struct Ground<'t> {
    pub(in crate::gitops) checkout: Checkout<'t>,
    /// The repository everything comes from.
    pub(in crate::gitops) repository: &'t str,
    pub(in crate::gitops) revision: &'t str,
    pub(in crate::gitops) applications: &'t [Application],
    pub(in crate::gitops) projects: &'t [Project],
    pub(in crate::gitops) wanted: &'t Wanted,
}

/// Looks at every Application.
pub(in crate::gitops) fn applications(ground: &Ground<'_>, complaints: &mut Complaints) {
    let mut seen: BTreeMap<&str, &Application> = BTreeMap::new();
    for application in ground.applications {
        let mut wrong = |message: String, hint: String| {
            complaints.add(&application.file, application.at, Wrong::new(message, hint));
        };
        let name = &application.name;
        if let Err(Wrong { message, hint }) = names::label(name, "name for an Application") {
            wrong(message, format!("{hint}: it is the folder's name"));
        }
        if let Some(other) = seen.insert(name, application) {
            let message = format!("two Applications are named {name}");
            let hint = format!(
                "give one of them another name: the other is made by {}",
                other.file
            );
            wrong(message, hint);
        }
        if application.sources.is_empty() {
            wrong(
                format!("the Application {name} has no source"),
                "say where it comes from: spec.source".to_owned(),
            );
        }
        let Some(project) = project(ground, application) else {
            let known = ground.projects.iter().map(|project| project.name.as_str());
            wrong(
                format!(
                    "the Application {name} is of the project {}, which is not there",
                    application.project
                ),
                format!("the projects are {}", listed(known)),
            );
            continue;
        };
        if !project.permits_destination(&application.server, &application.namespace) {
            wrong(
                format!(
                    "the project {} does not let {name} into the namespace {}",
                    project.name, application.namespace
                ),
                destination_hint(project, &application.namespace),
            );
        }
        for source in &application.sources {
            for (message, hint) in source_problems(ground, project, source) {
                wrong(format!("the Application {name} {message}"), hint);
            }
        }
    }
}

/// Looks at what the Applications deploy that is no chart: the objects, with the scope
/// of each that is known.
pub(in crate::gitops) fn objects(
    ground: &Ground<'_>,
    objects: &[(Object, Option<Scope>)],
    complaints: &mut Complaints,
) {
    let made = namespaces(ground, objects);
    for (object, scope) in objects {
        let owner = ground.applications.iter().find(|application| {
            let mut sources = application.sources.iter();
            sources.any(|source| holds(ground.checkout, source, &object.file))
        });
        let Some(owner) = owner else {
            let message = format!("no Application deploys {} {}", object.kind(), object.name());
            let hint = "manifests lie in kube-apps/manifests/SET/NAMESPACE/NAME/";
            complaints.add(&object.file, object.node.at, Wrong::new(message, hint));
            continue;
        };
        let Some(project) = project(ground, owner) else {
            continue;
        };
        let (group, kind) = (object.group(), object.kind());
        let namespace = match object.namespace() {
            "" => owner.namespace.as_str(),
            own => own,
        };
        let mut wrong = |path: &[&str], message: String, hint: String| {
            let place = object.node.place(path.iter().copied());
            complaints.add(&object.file, place, Wrong::new(message, hint));
        };
        match scope {
            Some(Scope::Cluster) if !project.permits_in_cluster(group, kind) => wrong(
                &["kind"],
                format!(
                    "the project {} does not permit {kind}, which is beside all namespaces",
                    project.name
                ),
                format!(
                    "add {{group: \"{group}\", kind: {kind}}} to clusterResourceWhitelist in {}",
                    project.file
                ),
            ),
            Some(Scope::Cluster) if !object.namespace().is_empty() => wrong(
                &["metadata", "namespace"],
                format!("a {kind} is in no namespace"),
                "take `namespace` away".to_owned(),
            ),
            Some(Scope::Namespace) if !project.permits_in_namespace(group, kind) => wrong(
                &["kind"],
                format!("the project {} refuses {kind}", project.name),
                "it belongs into kube-apps/applications or applicationsets".to_owned(),
            ),
            Some(Scope::Namespace) if !project.permits_destination(&owner.server, namespace) => {
                wrong(
                    &["metadata", "namespace"],
                    format!(
                        "the project {} does not let {} into the namespace {namespace}",
                        project.name, owner.name
                    ),
                    destination_hint(project, namespace),
                )
            }
            Some(Scope::Namespace) if !made.contains(namespace) => wrong(
                &["metadata", "namespace"],
                format!("nobody makes the namespace {namespace}"),
                "put a Namespace beside it".to_owned(),
            ),
            _ => {}
        }
    }
}

/// Whether a file of the tree is among what a source deploys.
pub(in crate::gitops) fn holds(checkout: Checkout<'_>, source: &Source, file: &str) -> bool {
    if source.picks {
        return false;
    }
    let inside = |path: &str| checkout.inside(path).unwrap_or_default().to_owned();
    let folder = inside(&source.path);
    let mut values = source.value_files.iter();
    values.any(|path| inside(path) == file)
        || file
            .strip_prefix(&folder)
            .is_some_and(|rest| !folder.is_empty() && rest.starts_with('/'))
}

fn namespaces<'g>(
    ground: &Ground<'g>,
    objects: &'g [(Object, Option<Scope>)],
) -> BTreeSet<&'g str> {
    let by_option = ground.applications.iter();
    let by_option = by_option.filter(|application| application.makes_namespace);
    let by_object = objects
        .iter()
        .filter(|(object, _)| object.kind() == "Namespace");
    by_option
        .map(|application| application.namespace.as_str())
        .chain(by_object.map(|(object, _)| object.name()))
        .chain(THERE)
        .collect()
}

fn project<'g>(ground: &Ground<'g>, application: &Application) -> Option<&'g Project> {
    let mut projects = ground.projects.iter();
    projects.find(|project| project.name == application.project)
}

fn destination_hint(project: &Project, namespace: &str) -> String {
    format!(
        "add {{server: https://kubernetes.default.svc, namespace: {namespace}}} to destinations in {}",
        project.file
    )
}

fn source_problems(
    ground: &Ground<'_>,
    project: &Project,
    source: &Source,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let repository = &source.repository;
    if !project.permits_source(repository) {
        let hint = format!("add it to sourceRepos in {}", project.file);
        let message = format!(
            "comes from {repository}, which the project {} does not permit",
            project.name
        );
        found.push((message, hint));
    }
    if repository != ground.repository {
        // Somebody else's repository cannot be looked into.
        return found;
    }
    if source.revision != ground.revision {
        found.push((
            format!("is of the revision {}", source.revision),
            format!(
                "write targetRevision: {}, as the root does",
                ground.revision
            ),
        ));
    }
    let tree = ground.checkout.tree;
    let Some(path) = ground.checkout.inside(&source.path) else {
        let message = format!(
            "takes {}, which is not in {}/",
            source.path, ground.checkout.folder
        );
        found.push((message, "name a folder of this tree".to_owned()));
        return found;
    };
    if let Some(chart) = path
        .strip_prefix(CHARTS)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        found.extend(chart_problem(ground, chart));
    } else if !tree.has(path) {
        let message = format!("takes {}, which is not there", source.path);
        found.push((message, "make the folder, or mend its name".to_owned()));
    }
    for file in &source.value_files {
        let is_there = ground
            .checkout
            .inside(file)
            .is_some_and(|file| tree.bytes(file).is_some());
        if !is_there {
            let message = format!("takes its values from {file}, which is not there");
            found.push((
                message,
                "make the file; an empty one is all defaults".to_owned(),
            ));
        }
    }
    found
}

/// A chart that is wanted and not vendored yet is known all the same.
fn chart_problem(ground: &Ground<'_>, chart: &str) -> Option<(String, String)> {
    let is_vendored = ground
        .checkout
        .tree
        .has(&format!("{CHARTS}/{chart}/Chart.yaml"));
    if is_vendored || ground.wanted.has(chart) {
        return None;
    }
    let message = format!("is of the chart {chart}, which is neither vendored nor in charts.toml");
    let hint = match nearest(chart, ground.wanted.names()) {
        Some(near) => format!("did you mean {near}?"),
        None => "add it to charts.toml, then run `imgbuild charts vendor`".to_owned(),
    };
    Some((message, hint))
}
