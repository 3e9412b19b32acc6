//! Charts of the tree's own, as far as they can be judged without Helm.

use std::collections::BTreeSet;

use serde_json::Value;

use super::template::{Uses, uses};
use crate::config::nearest;
use crate::config::problem::{Wrong, listed};
use crate::gitops::complaints::Complaints;
use crate::gitops::kinds::{place, schema::Schema};
use crate::gitops::tree::{OWN_CHARTS, Tree};
use crate::gitops::yaml::{self, Kind, Node};

/// What Chart.yaml may say (docs: Helm, "The Chart.yaml File").
const KEYS: [&str; 17] = [
    "annotations",
    "apiVersion",
    "appVersion",
    "condition",
    "dependencies",
    "deprecated",
    "description",
    "home",
    "icon",
    "keywords",
    "kubeVersion",
    "maintainers",
    "name",
    "sources",
    "tags",
    "type",
    "version",
];

/// Looks at every chart of the tree's own.
pub(in crate::gitops) fn check(tree: &Tree, complaints: &mut Complaints) {
    let charts: Vec<&str> = tree
        .below(OWN_CHARTS)
        .filter_map(|path| path.strip_suffix("/Chart.yaml"))
        .filter(|folder| !folder.contains("/charts/"))
        .collect();
    for folder in charts {
        chart(tree, folder, complaints);
    }
}

fn chart(tree: &Tree, folder: &str, complaints: &mut Complaints) {
    let file = format!("{folder}/Chart.yaml");
    if let Some(chart) = read(tree, &file, complaints) {
        about(&chart, folder, &file, complaints);
    }
    let file = format!("{folder}/values.yaml");
    let Some(values) = read(tree, &file, complaints) else {
        return;
    };
    if let Some(text) = tree.text(&format!("{folder}/values.schema.json")) {
        let schema: Result<Value, _> = serde_json::from_str(&text);
        let schema = schema.map_err(|error| error.to_string());
        match schema.and_then(|schema| Schema::draft7(&schema)) {
            Ok(schema) => {
                for (path, wrong) in schema.check(&values.to_json()) {
                    complaints.add(&file, place(&values, &path), wrong);
                }
            }
            Err(error) => {
                let message = format!("this is no JSON schema: {error}");
                let file = format!("{folder}/values.schema.json");
                complaints.add(&file, (1, 1), Wrong::new(message, "mend it"));
            }
        }
    }
    templates(tree, folder, &values, complaints);
}

fn about(chart: &Node, folder: &str, file: &str, complaints: &mut Complaints) {
    let mut wrong = |key: &str, message: String, hint: &str| {
        complaints.add(file, chart.place([key]), Wrong::new(message, hint));
    };
    for (key, ..) in chart.entries() {
        if !KEYS.contains(&key.as_str()) {
            let hint = match nearest(key, KEYS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", listed(KEYS)),
            };
            wrong(key, format!("Chart.yaml has no key `{key}`"), &hint);
        }
    }
    let text = |key: &str| chart.text_at(&[key]);
    if text("apiVersion") != "v2" {
        wrong(
            "apiVersion",
            "the chart is not of Helm 3".to_owned(),
            "write apiVersion: v2",
        );
    }
    let name = folder.rsplit('/').next().unwrap_or_default();
    if text("name") != name {
        let message = format!("the chart's name is not its folder's, {name}");
        wrong(
            "name",
            message,
            "make them the same: the release is named after the folder",
        );
    }
    if !is_version(text("version")) {
        let hint = "write three numbers, such as 0.1.0, in quotes if YAML takes it for one";
        wrong("version", "the chart has no version".to_owned(), hint);
    }
}

/// `1.2.3`, and what SemVer allows behind it.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(is_number)
}

fn templates(tree: &Tree, folder: &str, values: &Node, complaints: &mut Complaints) {
    let all: Vec<(&str, Uses)> = tree
        .below(&format!("{folder}/templates"))
        .filter(|path| !path.ends_with(".txt"))
        .map(|path| (path, uses(&tree.text(path).unwrap_or_default())))
        .collect();
    let defined: BTreeSet<&str> = all
        .iter()
        .flat_map(|(_, uses)| uses.defined.iter().map(String::as_str))
        .collect();
    let mut used = BTreeSet::new();
    for (file, uses) in &all {
        let mut wrong = |line: usize, message: String, hint: String| {
            complaints.add(file, (line, 1), Wrong::new(message, hint));
        };
        if let Some((message, line)) = &uses.broken {
            wrong(
                *line,
                message.clone(),
                "Helm would render none of it".to_owned(),
            );
        }
        for (path, line) in &uses.values {
            let keys: Vec<&str> = path.split('.').collect();
            if values.at_path(&keys).is_none() {
                let message = format!("values.yaml has no `{path}`");
                wrong(*line, message, "add it there, or mend the name".to_owned());
            }
            used.insert(path.as_str());
        }
        for (name, line) in &uses.included {
            if !defined.contains(name.as_str()) {
                let message = format!("no template defines \"{name}\"");
                let hint = format!(
                    "those that are defined are {}",
                    listed(defined.iter().copied())
                );
                wrong(*line, message, hint);
            }
        }
        for (path, line) in &uses.files {
            if tree.bytes(&format!("{folder}/{path}")).is_none() {
                let message = format!("the chart has no file {path}");
                wrong(*line, message, "Helm puts nothing in its place".to_owned());
            }
        }
    }
    unused(
        values,
        &mut Vec::new(),
        &used,
        &format!("{folder}/values.yaml"),
        complaints,
    );
}

/// A value that no template uses does nothing when somebody sets it.
fn unused(
    values: &Node,
    path: &mut Vec<String>,
    used: &BTreeSet<&str>,
    file: &str,
    complaints: &mut Complaints,
) {
    for (key, at, value) in values.entries() {
        path.push(key.clone());
        let name = path.join(".");
        let is_used =
            (1..=path.len()).any(|length| used.contains(path[..length].join(".").as_str()));
        let leads_on = matches!(&value.kind, Kind::Table(entries) if !entries.is_empty());
        if !is_used && leads_on {
            unused(value, path, used, file, complaints);
        } else if !is_used {
            let message = format!("no template uses `{name}`");
            complaints.add(file, *at, Wrong::new(message, "take it away"));
        }
        path.pop();
    }
}

fn read(tree: &Tree, file: &str, complaints: &mut Complaints) -> Option<Node> {
    let text = tree.text(file).unwrap_or_default();
    match yaml::document(&text) {
        Ok(node) => Some(node),
        Err((at, wrong)) => {
            complaints.add(file, at, wrong);
            None
        }
    }
}
