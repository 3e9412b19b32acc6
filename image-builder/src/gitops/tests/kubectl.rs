//! A second opinion on the plain manifests: kubectl, which needs no cluster for this.
//! Its `kustomize` puts each folder together; its local editing reads workloads into
//! Kubernetes' own types, and leaves out what those have no field for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::cmd::Cmd;

const MANIFESTS: &str = "kube-apps/manifests";

/// Kinds that `kubectl set serviceaccount` knows.
const WORKLOADS: [&str; 5] = ["Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"];

fn kubectl(args: &[&str], path: &Path) -> String {
    let cmd = Cmd::new("kubectl", "run ci/setup").env("KUBECONFIG", "/dev/null");
    let cmd = args.iter().fold(cmd, |cmd, arg| cmd.arg(*arg)).arg(path);
    let output = cmd.run(&[0]).expect("kubectl");
    String::from_utf8(output.stdout).expect("text")
}

fn objects(text: &str) -> Vec<Value> {
    let documents = yaml::documents_of(text, yaml::Whose::Others).expect("YAML");
    documents.iter().map(yaml::Node::to_json).collect()
}

fn name(object: &Value) -> String {
    let words = [
        "/apiVersion",
        "/kind",
        "/metadata/namespace",
        "/metadata/name",
    ];
    let words = words.map(|path| object.pointer(path).and_then(Value::as_str));
    format!("{words:?}")
}

/// The files of each folder that Argo CD applies as it is.
fn folders(tree: &Tree) -> BTreeMap<String, Vec<(String, String)>> {
    let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for path in tree.below(MANIFESTS) {
        let (folder, file) = path.rsplit_once('/').expect("a file in a folder");
        let text = tree.text(path).expect("text");
        let files = folders.entry(folder.to_owned()).or_default();
        files.push((file.to_owned(), text));
    }
    folders
}

#[test]
fn kustomize_puts_every_folder_together_and_has_the_same_objects() {
    let folders = folders(&tree());
    assert!(folders.len() > 15, "{}", folders.len());
    for (folder, files) in folders {
        let dir = tempfile::tempdir().expect("directory");
        let mut list = String::from("resources:\n");
        let mut ours = Vec::new();
        for (file, text) in &files {
            fs::write(dir.path().join(file), text).expect("written");
            list += &format!("- {file}\n");
            ours.extend(objects(text));
        }
        fs::write(dir.path().join("kustomization.yaml"), list).expect("written");
        let mut theirs = objects(&kubectl(&["kustomize"], dir.path()));
        for side in [&mut ours, &mut theirs] {
            side.sort_by_key(name);
        }
        assert_eq!(ours, theirs, "{folder}");
    }
}

#[test]
fn kubernetes_own_types_keep_all_of_every_workload() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("object.json");
    let read = |object: &Value| -> Value {
        fs::write(&file, object.to_string()).expect("written");
        let set = ["set", "serviceaccount", "--local", "-o", "json", "-f"];
        let mut cmd = Cmd::new("kubectl", "run ci/setup").env("KUBECONFIG", "/dev/null");
        for arg in set {
            cmd = cmd.arg(arg);
        }
        let output = cmd.arg(&file).arg("somebody").run(&[0]).expect("kubectl");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let mut seen = 0;
    for (folder, files) in folders(&tree()) {
        for object in files.iter().flat_map(|(_, text)| objects(text)) {
            if !WORKLOADS.contains(&object["kind"].as_str().expect("a kind")) {
                continue;
            }
            let lost = lost(&object, &read(&object), "");
            assert_eq!(lost, Vec::<String>::new(), "{folder}");
            // It is one that notices.
            let mut bad = object.clone();
            bad["spec"]["nonsense"] = Value::Bool(true);
            assert_eq!(self::lost(&bad, &read(&bad), ""), ["/spec/nonsense"]);
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

/// Where `kept` has not what `had` has.
fn lost(had: &Value, kept: &Value, path: &str) -> Vec<String> {
    match (had, kept) {
        (Value::Object(had), Value::Object(kept)) => had
            .iter()
            .flat_map(|(key, had)| {
                let kept = kept.get(key).unwrap_or(&Value::Null);
                lost(had, kept, &format!("{path}/{key}"))
            })
            .collect(),
        (Value::Array(had), Value::Array(kept)) if had.len() == kept.len() => had
            .iter()
            .zip(kept)
            .enumerate()
            .flat_map(|(index, (had, kept))| lost(had, kept, &format!("{path}/{index}")))
            .collect(),
        // What is there without being worth a word: `{}` and `null`.
        (Value::Object(had), Value::Null) if had.is_empty() => Vec::new(),
        _ if had == kept || path.ends_with("/serviceAccountName") => Vec::new(),
        _ => vec![path.to_owned()],
    }
}
