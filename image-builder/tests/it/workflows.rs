//! The workflows: what their schema allows, nothing of a step's work in them, and no
//! more permissions than they say they need.

use std::fs;
use std::path::{Path, PathBuf};

use imgbuild::cmd::Cmd;
use serde_json::{Value, json};

/// PyYAML reads the key `on` as "true" (YAML 1.1), GitHub does not.
const TO_JSON: &str = "
import json, sys, yaml
workflow = yaml.safe_load(open(sys.argv[1]))
workflow['on'] = workflow.pop(True)
print(json.dumps(workflow))
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn workflows() -> Vec<(String, Value)> {
    let folder = repository().join(".github/workflows");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("workflows") {
        let path = entry.expect("an entry").path();
        let python = Cmd::new("python3", "run ci/setup").arg("-c").arg(TO_JSON);
        let output = python.arg(&path).run(&[0]).expect("YAML");
        let name = path.file_name().expect("a name").to_string_lossy();
        found.push((
            name.into_owned(),
            serde_json::from_slice(&output.stdout).expect("JSON"),
        ));
    }
    assert_eq!(found.len(), 4, "check, image, release, charts");
    found
}

fn schema() -> jsonschema::Validator {
    let path = repository().join("ci/upstream/schemas/github-workflow.json");
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("schema")).expect("JSON");
    jsonschema::options().build(&schema).expect("a schema")
}

fn jobs(workflow: &Value) -> impl Iterator<Item = &Value> {
    workflow["jobs"].as_object().expect("jobs").values()
}

#[test]
fn they_are_what_their_schema_allows() {
    let schema = schema();
    for (name, workflow) in workflows() {
        let errors: Vec<_> = schema
            .iter_errors(&workflow)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        // The schema is one that notices.
        let mut bad = workflow.clone();
        bad["job"] = bad["jobs"].take();
        assert!(!schema.is_valid(&bad), "{name}");
        let mut bad = workflow;
        bad["permissions"] = json!({ "contents": "everything" });
        assert!(!schema.is_valid(&bad), "{name}");
    }
}

#[test]
fn actions_are_pinned_and_steps_call_what_anybody_can_run() {
    for (name, workflow) in workflows() {
        for step in jobs(&workflow).flat_map(|job| job["steps"].as_array().expect("steps")) {
            if let Some(uses) = step["uses"].as_str() {
                let commit = uses.split_once('@').map_or("", |(_, commit)| commit);
                let is_hex = commit.bytes().all(|digit| digit.is_ascii_hexdigit());
                assert!(commit.len() == 40 && is_hex, "{name}: {uses}");
                continue;
            }
            let run = step["run"].as_str().expect("uses or run");
            let ours = ["ci/", ".ci/run", "make "]
                .iter()
                .any(|start| run.starts_with(start));
            assert!(ours && !run.contains('\n'), "{name}: {run}");
            if let Some(script) = run
                .split_whitespace()
                .next()
                .filter(|word| word.contains('/'))
            {
                assert!(repository().join(script).is_file(), "{name}: {script}");
            }
        }
    }
}

#[test]
fn nobody_may_more_than_he_needs() {
    for (name, workflow) in workflows() {
        assert_eq!(
            workflow["permissions"],
            json!({ "contents": "read" }),
            "{name}"
        );
        assert!(workflow["concurrency"]["group"].is_string(), "{name}");
        for job in jobs(&workflow) {
            assert!(
                job["timeout-minutes"].is_u64(),
                "{name}: a job may run for six hours"
            );
            let text = job.to_string();
            let signs = text.contains("secrets.");
            let writes = job["permissions"]["contents"] == "write";
            assert!(
                !(signs && writes),
                "{name}: the key is where something is published"
            );
        }
    }
}
