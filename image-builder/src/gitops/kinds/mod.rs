//! What an object may hold: Kubernetes' own kinds by their types, others by the schema
//! of their CustomResourceDefinition.

pub(super) mod builtin;
pub(super) mod crd;
mod known;
pub(super) mod schema;

use super::complaints::Complaints;
use super::object::Object;
use super::yaml::Node;
use crate::config::nearest;
use crate::config::problem::Wrong;

pub use known::Known;

/// Whether objects of a kind lie in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Beside all namespaces.
    Cluster,
    /// In one.
    Namespace,
}

/// Holds an object against what its kind may have; its scope, if the kind is known.
pub(super) fn check(object: &Object, known: &Known, complaints: &mut Complaints) -> Option<Scope> {
    let (version, kind) = (object.api_version(), object.kind());
    if let Some(builtin) = builtin::find(version, kind) {
        for (path, wrong) in builtin.check(&object.node.to_json()) {
            complaints.add(&object.file, place(&object.node, &path), wrong);
        }
        return Some(builtin.scope);
    }
    let Some(crd) = known.find(version, kind) else {
        complaints.add(
            &object.file,
            object.node.place(["kind"]),
            unknown(object, known),
        );
        return None;
    };
    let json = object.node.to_json();
    for (path, wrong) in builtin::metadata(&json) {
        complaints.add(&object.file, place(&object.node, &path), wrong);
    }
    for (path, wrong) in crd.validator().check(&json) {
        complaints.add(&object.file, place(&object.node, &path), wrong);
    }
    Some(crd.scope)
}

/// The place of a path in a document.
pub(super) fn place(node: &Node, path: &[String]) -> (usize, usize) {
    node.place(path.iter().map(String::as_str))
}

fn unknown(object: &Object, known: &Known) -> Wrong {
    let (version, kind) = (object.api_version(), object.kind());
    let message = format!("there is no {kind} of {version} here");
    let kinds = || builtin::kinds().chain(known.kinds());
    let same_kind = kinds().find(|(_, other)| *other == kind);
    let hint = match same_kind {
        Some((other, _)) => format!("write apiVersion: {other}"),
        None => match nearest(kind, kinds().map(|(_, kind)| kind)) {
            Some(near) => format!("did you mean {near}?"),
            None => "put the CustomResourceDefinition beside it, or vendor the chart that \
                     brings it"
                .to_owned(),
        },
    };
    Wrong::new(message, hint)
}
