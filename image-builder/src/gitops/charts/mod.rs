//! Charts: somebody else's, whose values are held against theirs, and the tree's own.

pub(super) mod own;
mod template;
pub(super) mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use super::complaints::Complaints;
use super::tree::{Tree, WANTED};
use super::yaml::{self, Node, Whose};
use crate::config::problem::Wrong;

/// What a chart takes: its own values, and those of the charts in it.
#[derive(Debug)]
pub(super) struct Defaults {
    /// `values.yaml`, as text for what stands in its comments.
    text: String,
    values: Node,
    schema: Option<Value>,
    /// Charts in it, by the key their values are below.
    inner: BTreeMap<String, Option<Defaults>>,
}

/// Where charts lie: a tree, and the folder in it.
pub type Shelf<'t> = (&'t Tree, &'t str);

/// A chart's defaults from the first shelf that has them.
pub(super) fn defaults(shelves: &[Shelf<'_>], chart: &str) -> Option<Defaults> {
    let mut shelves = shelves.iter();
    shelves.find_map(|(tree, folder)| read(tree, &format!("{folder}/{chart}")))
}

fn read(tree: &Tree, folder: &str) -> Option<Defaults> {
    let text = tree.text(&format!("{folder}/values.yaml"))?;
    let values = others(&text)?;
    let schema = tree.text(&format!("{folder}/values.schema.json"));
    let chart = tree
        .text(&format!("{folder}/Chart.yaml"))
        .unwrap_or_default();
    let chart = others(&chart);
    let needed = chart
        .iter()
        .flat_map(|chart| match chart.get("dependencies") {
            Some(list) => list.items(),
            None => &[],
        });
    let inner = needed.map(|needed| {
        let name = needed.text_at(&["name"]);
        let key = match needed.text_at(&["alias"]) {
            "" => name,
            alias => alias,
        };
        (
            key.to_owned(),
            read(tree, &format!("{folder}/charts/{name}")),
        )
    });
    Some(Defaults {
        inner: inner.collect(),
        schema: schema.and_then(|schema| serde_json::from_str(&schema).ok()),
        // Istio's charts keep theirs below a key that nobody is to set.
        values: match values.get("_internal_defaults_do_not_set") {
            Some(inner) => inner.clone(),
            None => values,
        },
        text,
    })
}

/// The first document of somebody else's file; an empty file is an empty table.
fn others(text: &str) -> Option<Node> {
    let mut documents = yaml::documents_of(text, Whose::Others).ok()?;
    match documents.is_empty() {
        true => yaml::document("").ok(),
        false => Some(documents.remove(0)),
    }
}

/// How many things a template uses, for the fuzzer.
pub(super) fn used(template: &str) -> usize {
    let uses = template::uses(template);
    uses.values.len() + uses.defined.len() + uses.included.len() + uses.files.len()
}

/// The charts that `charts.toml` wants.
#[derive(Debug, Default)]
pub(super) struct Wanted(Vec<String>);

impl Wanted {
    /// Reads the names only: the rest is for who vendors.
    pub(super) fn read(tree: &Tree, complaints: &mut Complaints) -> Self {
        let Some(text) = tree.text(WANTED) else {
            return Self::default();
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                let hint = "`imgbuild charts check` says more";
                complaints.add(WANTED, (1, 1), Wrong::new(error.message(), hint));
                return Self::default();
            }
        };
        let charts = table.get("chart").and_then(toml::Value::as_array);
        let names = charts.into_iter().flatten();
        let names = names.filter_map(|chart| chart.get("name")?.as_str());
        Self(names.map(str::to_owned).collect())
    }

    pub(super) fn has(&self, chart: &str) -> bool {
        self.names().any(|name| name == chart)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
