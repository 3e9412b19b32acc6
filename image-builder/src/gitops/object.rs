//! A Kubernetes object in a file of the tree.

use std::collections::BTreeSet;

use super::complaints::Complaints;
use super::tree::Tree;
use super::yaml::{self, Node};
use crate::config::problem::Wrong;

/// One document of a manifest.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// The file it stands in, by its path in the tree.
    pub file: String,
    /// All of it.
    pub node: Node,
}

impl Object {
    /// `apps/v1`.
    pub(super) fn api_version(&self) -> &str {
        self.node.text_at(&["apiVersion"])
    }

    /// `apps`; nothing for the core group.
    pub(super) fn group(&self) -> &str {
        self.api_version()
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    /// `Deployment`.
    pub(super) fn kind(&self) -> &str {
        self.node.text_at(&["kind"])
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.node.text_at(&["metadata", "name"])
    }

    /// The namespace it names itself; nothing if it names none.
    pub(super) fn namespace(&self) -> &str {
        self.node.text_at(&["metadata", "namespace"])
    }
}

/// Every object in a folder's YAML files, in the order of files and documents. What
/// cannot be one is said; an object that is there twice too.
pub(super) fn objects(tree: &Tree, folder: &str, complaints: &mut Complaints) -> Vec<Object> {
    let paths: Vec<&str> = tree.below(folder).filter(|path| is_yaml(path)).collect();
    let mut objects = Vec::new();
    for path in paths {
        let text = tree.text(path).unwrap_or_default();
        objects.extend(read(path, &text, complaints));
    }
    let mut seen = BTreeSet::new();
    for object in &objects {
        let key = (
            object.api_version(),
            object.kind(),
            object.namespace(),
            object.name(),
        );
        if !seen.insert(key) {
            let message = format!("{} {} is there twice", object.kind(), object.name());
            let wrong = Wrong::new(message, "keep one of them");
            complaints.add(&object.file, object.node.at, wrong);
        }
    }
    objects
}

/// The objects of one file's text.
pub(super) fn read(path: &str, text: &str, complaints: &mut Complaints) -> Vec<Object> {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err((at, wrong)) => {
            complaints.add(path, at, wrong);
            return Vec::new();
        }
    };
    // A comment above a `---` is a document too, and none.
    let documents = documents.into_iter().filter(|node| !node.is_empty());
    let objects: Vec<Object> = documents
        .map(|node| Object {
            file: path.to_owned(),
            node,
        })
        .collect();
    let (good, bad): (Vec<Object>, Vec<Object>) = objects.into_iter().partition(|object| {
        let has = |text: &str| !text.is_empty();
        has(object.api_version()) && has(object.kind()) && has(object.name())
    });
    for object in bad {
        let wrong = Wrong::new(
            "this is no Kubernetes object",
            "it needs apiVersion, kind and metadata.name, all of them texts",
        );
        complaints.add(path, object.node.at, wrong);
    }
    good
}

pub(super) fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}
