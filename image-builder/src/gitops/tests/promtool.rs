//! Alerts and dashboards, judged by Prometheus' own promtool: what is asked of it is
//! well-formed, and the alerts of a homelab fire when they should and not before.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::cmd::Cmd;

const ALERTS: &str = "kube-apps/manifests/observability/monitoring/alerts";
const DASHBOARDS: &str = "kube-apps/manifests/observability/monitoring/dashboards";

/// Series, and what they are to raise.
const SCENES: &str = include_str!("alerts.yaml");

fn promtool(args: &[&str], file: &Path) -> Result<(), String> {
    let cmd = args
        .iter()
        .fold(Cmd::new("promtool", "run ci/setup"), |cmd, arg| {
            cmd.arg(*arg)
        });
    let run = cmd.arg(file).run(&[0]);
    run.map(drop).map_err(|error| error.to_string())
}

fn objects(tree: &Tree, folder: &str) -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for path in tree.below(folder) {
        let text = tree.text(path).expect("text");
        let documents = yaml::documents(&text).unwrap_or_else(|_| panic!("{path}"));
        objects.extend(
            documents
                .iter()
                .map(|node| (path.to_owned(), node.to_json())),
        );
    }
    objects
}

/// Each rule object as the file of rules its operator makes of it.
fn rule_files(tree: &Tree, dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (path, object) in objects(tree, ALERTS) {
        assert_eq!(object["kind"], "PrometheusRule", "{path}");
        let name = object["metadata"]["name"].as_str().expect("a name");
        let file = dir.join(format!("{name}.json"));
        let groups = json!({ "groups": object["spec"]["groups"] });
        fs::write(&file, groups.to_string()).expect("written");
        files.push(file);
    }
    files
}

#[test]
fn every_alert_is_a_rule() {
    let dir = tempfile::tempdir().expect("directory");
    let files = rule_files(&tree(), dir.path());
    assert_eq!(files.len(), 4, "{files:?}");
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    for file in &files {
        promtool(&check, file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let bad = dir.path().join("bad.json");
    let rule = json!({ "alert": "Bad", "expr": "rate(a[5m]) >" });
    let groups = json!({ "groups": [{ "name": "bad", "rules": [rule] }] });
    fs::write(&bad, groups.to_string()).expect("written");
    promtool(&check, &bad).expect_err("it is one that notices");
}

#[test]
fn alerts_fire_when_they_should() {
    let dir = tempfile::tempdir().expect("directory");
    rule_files(&tree(), dir.path());
    let file = dir.path().join("scenes.yaml");
    fs::write(&file, SCENES).expect("written");
    promtool(&["test", "rules"], &file).unwrap_or_else(|error| panic!("{error}"));
    fs::write(&file, SCENES.replace("eval_time: 2m", "eval_time: 30s")).expect("written");
    promtool(&["test", "rules"], &file).expect_err("it is one that notices");
}

#[test]
fn every_panel_asks_a_question_that_prometheus_understands() {
    let mut rules = Vec::new();
    for (path, object) in objects(&tree(), DASHBOARDS) {
        let dashboards = object["data"].as_object().expect("dashboards");
        for (name, text) in dashboards {
            let text = text.as_str().expect("JSON");
            let dashboard: Value = serde_json::from_str(text).expect("JSON");
            let before = rules.len();
            questions(&dashboard, &mut |expr| {
                // What Grafana puts in before it asks.
                let expr = ["$__rate_interval", "$__interval", "$__range"]
                    .iter()
                    .fold(expr.to_owned(), |expr, variable| {
                        expr.replace(variable, "5m")
                    });
                rules.push(json!({ "record": format!("panel:{}", rules.len()), "expr": expr }));
            });
            assert!(rules.len() > before, "{path}: {name} asks nothing");
        }
    }
    assert!(rules.len() > 40, "{}", rules.len());
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("panels.json");
    let groups = json!({ "groups": [{ "name": "panels", "rules": rules }] });
    fs::write(&file, groups.to_string()).expect("written");
    // Two panels may ask the same: no lint here.
    promtool(&["check", "rules", "--lint=none"], &file).unwrap_or_else(|error| panic!("{error}"));
}

/// The queries to Prometheus; Loki has its own language.
fn questions(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            let of_loki = value.pointer("/datasource/type") == Some(&json!("loki"));
            match fields.get("expr").and_then(Value::as_str) {
                Some(expr) if !of_loki => found(expr),
                _ => fields.values().for_each(|value| questions(value, found)),
            }
        }
        Value::Array(values) => values.iter().for_each(|value| questions(value, found)),
        _ => {}
    }
}
