//! Values for somebody else's chart: every key must be one that the chart has. Helm
//! takes any, and a mistyped one does nothing, in silence.

use serde_json::Value;

use super::Defaults;
use crate::config::nearest;
use crate::config::problem::Wrong;
use crate::gitops::kinds::builtin::At;
use crate::gitops::kinds::schema::Schema;
use crate::gitops::yaml::{Kind, Node};

/// Tables whose defaults are not all there is: the chart copies whatever stands in them
/// into a file of the program. The chart's own documentation says so of each.
const OPEN: [&str; 9] = [
    // argo-cd: ConfigMaps, key by key.
    "configs.cm",
    "configs.params",
    "configs.rbac",
    "configs.ssh",
    // grafana: its ini file, section by section.
    "grafana.ini",
    // ingress-nginx: its ConfigMap.
    "controller.config",
    // loki: sections of its own file.
    "loki.limits_config",
    "loki.commonConfig",
    "loki.storage_config",
];

/// What is wrong with values for a chart.
pub(in crate::gitops) fn check(values: &Node, defaults: &Defaults) -> Vec<At> {
    let mut found = Vec::new();
    keys(values, defaults, &mut Vec::new(), &mut found);
    if let Some(schema) = &defaults.schema {
        match Schema::draft7(schema) {
            // As Helm does: against the defaults with ours laid over them.
            Ok(schema) => {
                let mut whole = defaults.values.to_json();
                lay_over(&mut whole, values.to_json());
                found.extend(schema.check(&whole));
            }
            Err(error) => {
                let message = format!("the chart's values.schema.json is none: {error}");
                let hint = "vendor the chart again, or another version of it";
                found.push((Vec::new(), Wrong::new(message, hint)));
            }
        }
    }
    found
}

/// Tables key by key, everything else as a whole; null takes a key away.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match (value, below.get_mut(&key)) {
                    (Value::Null, _) => drop(below.remove(&key)),
                    (value, Some(under)) => lay_over(under, value),
                    (value, None) => drop(below.insert(key, value)),
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn keys(values: &Node, defaults: &Defaults, path: &mut Vec<String>, found: &mut Vec<At>) {
    for (key, _, value) in values.entries() {
        path.push(key.clone());
        match (defaults.inner.get(key), defaults.values.get(key)) {
            // Charts in it see them too.
            _ if key == "global" => {}
            (Some(Some(inner)), own) => within_inner(value, inner, own, path, found),
            // A chart in it that is not here.
            (Some(None), _) => {}
            (None, own) => one(value, own, &defaults.values, defaults, path, found),
        }
        path.pop();
    }
}

/// Keys of a chart in a chart: the outer one may add some.
fn within_inner(
    values: &Node,
    inner: &Defaults,
    own: Option<&Node>,
    path: &[String],
    found: &mut Vec<At>,
) {
    let mut by_inner = Vec::new();
    keys(values, inner, &mut Vec::new(), &mut by_inner);
    for (below, wrong) in by_inner {
        let names: Vec<&str> = below.iter().map(String::as_str).collect();
        if own.and_then(|own| own.at_path(&names)).is_none() {
            found.push((path.iter().cloned().chain(below).collect(), wrong));
        }
    }
}

fn one(
    value: &Node,
    default: Option<&Node>,
    siblings: &Node,
    defaults: &Defaults,
    path: &mut Vec<String>,
    found: &mut Vec<At>,
) {
    let Some(default) = default else {
        let key = &path[path.len() - 1];
        if !is_in_a_comment(key, siblings, &defaults.text) {
            let message = format!("the chart has no key `{}`", path.join("."));
            let known = siblings.entries().iter().map(|(key, ..)| key.as_str());
            let hint = match nearest(key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "take it away; `values.yaml` of the chart has what there is".to_owned(),
            };
            found.push((path.clone(), Wrong::new(message, hint)));
        }
        return;
    };
    // `resources` is Kubernetes' own table wherever it stands.
    let is_open = OPEN.contains(&path.join(".").as_str())
        || path.last().is_some_and(|key| key == "resources");
    // An empty default is free-form from there on, and so is what a list holds.
    if default.is_empty() || is_open {
        return;
    }
    match (&value.kind, &default.kind) {
        (Kind::Table(entries), Kind::Table(_)) => {
            for (key, _, value) in entries {
                path.push(key.clone());
                one(value, default.get(key), default, defaults, path, found);
                path.pop();
            }
        }
        (Kind::Table(_), Kind::Scalar(_)) => {
            let message = format!(
                "`{}` is a single value in the chart, not a table",
                path.join(".")
            );
            found.push((path.clone(), Wrong::new(message, "mend the indentation")));
        }
        (Kind::Scalar(value), Kind::Table(_)) if !value.is_null() => {
            let message = format!(
                "`{}` is a table in the chart, not a single value",
                path.join(".")
            );
            found.push((path.clone(), Wrong::new(message, "write its keys below it")));
        }
        _ => {}
    }
}

/// Whether the chart's `values.yaml` shows a key in a comment of the same table: charts
/// do that with what has no default.
fn is_in_a_comment(key: &str, siblings: &Node, text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    // From the table's first key to where the text is less indented.
    let (first, column) = match siblings.entries().first() {
        Some((_, at, _)) => (at.0, at.1 - 1),
        None => (1, 0),
    };
    let begin = lines[..first.saturating_sub(1).min(lines.len())]
        .iter()
        .rposition(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
        .map_or(0, |above| above + 1);
    let block = lines.iter().skip(begin).take_while(|line| {
        let content = line.trim_start();
        content.is_empty() || content.starts_with('#') || indent(line) >= column
    });
    let shows = |line: &str| {
        let comment = line.trim_start().trim_start_matches('#').trim_start();
        line.trim_start().starts_with('#')
            && indent(line) == column
            && comment
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
    };
    block.into_iter().any(|line| shows(line))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::gitops::charts::defaults;
    use crate::gitops::tree::Tree;
    use crate::gitops::yaml;

    const CHART: &str = "\
image:
  repository: a
  # tag: latest
  # -- digest of it
  # digest: sha256
free: {}
none:
list: [a]
flag: true
deep:
  er:
    key: 1
# loose: 1
";

    fn said(values: &str) -> Vec<String> {
        let files = [
            ("c/x/values.yaml", CHART),
            (
                "c/x/Chart.yaml",
                "dependencies: [{name: sub, alias: s}, {name: far}]",
            ),
            ("c/x/charts/sub/values.yaml", "a: 1\n"),
            (
                "c/x/values.schema.json",
                r#"{"required": ["list"], "properties": {"flag": {"type": "boolean"}}}"#,
            ),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let tree = Tree::of(Path::new("t"), files);
        let defaults = defaults(&[(&tree, "c")], "x").expect("a chart");
        let found = check(&yaml::document(values).expect("YAML"), &defaults);
        let lines = found.into_iter();
        lines
            .map(|(path, wrong)| format!("{}: {}; {}", path.join("."), wrong.message, wrong.hint))
            .collect()
    }

    #[test]
    fn keys_that_the_chart_has_are_good() {
        let good = "image: {repository: b, tag: v1, digest: d}\nfree: {any: 1}\nnone: {any: 1}\nlist: []\n\
                    flag: false\ndeep: {er: {key: 2}}\nloose: 1\ns: {a: 2}\nfar: {any: 1}\nglobal: {any: 1}\n";
        assert_eq!(said(good), [] as [&str; 0]);
    }

    #[test]
    fn keys_that_it_has_not_are_named() {
        for (values, expected) in [
            (
                "imag: {}",
                "imag: the chart has no key `imag`; did you mean `image`?",
            ),
            (
                "image: {tags: v}",
                "image.tags: the chart has no key `image.tags`; take it away; `values.yaml` of the chart has what there is",
            ),
            (
                "deep: {er: {tag: v}}",
                "deep.er.tag: the chart has no key `deep.er.tag`; take it away; `values.yaml` of the chart has what there is",
            ),
            (
                "deep: {key: 1}",
                "deep.key: the chart has no key `deep.key`; take it away; `values.yaml` of the chart has what there is",
            ),
            (
                "flag: {a: 1}",
                "flag: `flag` is a single value in the chart, not a table; mend the indentation",
            ),
            (
                "deep: 1",
                "deep: `deep` is a table in the chart, not a single value; write its keys below it",
            ),
            (
                "s: {b: 1}",
                "s.b: the chart has no key `b`; did you mean `a`?",
            ),
            (
                "list: null",
                ": \"list\" is a required property; write what the schema allows",
            ),
            (
                "flag: 1",
                "flag: 1 is not of type \"boolean\"; write what the schema allows",
            ),
        ] {
            let said = said(values);
            assert!(said.contains(&expected.to_owned()), "{expected}\n{said:?}");
        }
    }
}
