//! The readers of outside texts, one by one, as the fuzzer calls them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::complaints::Complaints;
use super::rules::{addresses, images, secrets};
use super::{Known, Tree, apps, charts, kinds, object, yaml};

/// Every document of a YAML text as JSON; nothing if it is refused.
pub fn documents(text: &str) -> Option<Vec<Value>> {
    let documents = yaml::documents(text).ok()?;
    Some(documents.iter().map(yaml::Node::to_json).collect())
}

/// The problems of a manifest, in order.
pub fn manifest(text: &str) -> Vec<String> {
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::embedded);
    let mut complaints = Complaints::default();
    for object in object::read("manifest.yaml", text, &mut complaints) {
        kinds::check(&object, &KNOWN, &mut complaints);
        images::check(&object.file, &object.node, &mut complaints);
        secrets::check(&object.file, &object.node, &mut complaints);
        addresses::asked(&object.file, &object.node, &mut complaints);
    }
    let problems = complaints.into_problems(&Tree::default());
    let problems = problems.iter().flat_map(|all| all.iter());
    problems.map(ToString::to_string).collect()
}

/// An ApplicationSet's template, filled in.
pub fn template(text: &str) -> Result<String, String> {
    let parameters = json!({"set": "s", "path": {"path": "a/b/c", "basename": "c"}});
    apps::fill_text(text, &parameters)
}

/// How many things a chart's template uses.
pub fn chart(text: &str) -> usize {
    charts::used(text)
}
