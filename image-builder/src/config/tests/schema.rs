//! The schema describes the files as they are read.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::good;
use crate::config::{SchemaKind, parse_cluster, parse_profile, schema};
use crate::pki::fixture::authorities;

const KINDS: [SchemaKind; 2] = [SchemaKind::Cluster, SchemaKind::Profile];

/// Of each pair of keys that exclude each other, the one to leave out.
const EXCLUDED: [&str; 3] = ["base.file", "files.source", "gitops.commit"];
/// Keys without which something else is wrong, though the schema cannot say it.
const NEEDED: [&str; 6] = [
    "base.url",
    "base.sha256",
    "base.signer",
    "files.content",
    "disk.root",
    "nodes",
];

/// Tables whose keys are the user's to choose.
const NAMED_BY_USERS: [&str; 2] = ["nodes.labels", "source.mirror"];

/// What a document says of a key: nothing, its example or its default.
#[derive(Clone, Copy, PartialEq)]
enum Say {
    Nothing,
    Example,
    Default,
}

/// A document made from a schema: `say` decides about each optional key.
fn document(schema: &Value, path: &str, say: &dyn Fn(&str) -> Say) -> Value {
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let mut table = Map::new();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let say_it = if required.contains(&&Value::from(key.as_str())) {
            Say::Example
        } else {
            say(&path)
        };
        let value = match say_it {
            _ if EXCLUDED.contains(&path.as_str()) => continue,
            Say::Nothing => continue,
            Say::Default => property["default"].clone(),
            Say::Example if property["properties"].is_object() => document(property, &path, say),
            Say::Example if property["items"]["properties"].is_object() => {
                Value::from(vec![document(&property["items"], &path, say)])
            }
            Say::Example => property["examples"][0].clone(),
        };
        if !value.is_null() {
            table.insert(key.clone(), value);
        }
    }
    Value::Object(table)
}

/// What the parser says of a document, or the plan it makes of it.
fn parsed(kind: SchemaKind, document: &Value) -> Result<String, String> {
    let text = toml::to_string(document).expect("no nulls");
    let mut files = good();
    let key = files[Path::new("c/keys/admin.pub")].clone();
    files.insert(PathBuf::from("/home/me/.ssh/id_ed25519.pub"), key);
    let ca = authorities().root.certificate.as_bytes();
    files.insert(PathBuf::from("c/keys/ca.pem"), ca.into());
    let path = Path::new("c/x.toml");
    match kind {
        SchemaKind::Cluster => parse_cluster(&text, path, &files).map(|plan| format!("{plan:?}")),
        SchemaKind::Profile => parse_profile(&text, path, &files).map(|plan| format!("{plan:?}")),
    }
    .map_err(|problems| problems.to_string())
}

/// Every key that holds no table, as `nodes.name`, and whether it is required.
fn keys(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, bool, &Value)) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|name| name == key);
        visit(&path, required, property);
        keys(property, &path, visit);
        keys(&property["items"], &path, visit);
    }
}

#[test]
fn a_document_of_all_examples_is_good() {
    for kind in KINDS {
        let all = document(&schema(kind), "", &|_| Say::Example);
        parsed(kind, &all).expect("every example is good");
    }
}

#[test]
fn required_keys_are_needed_and_the_others_are_not() {
    for kind in KINDS {
        let schema = schema(kind);
        keys(&schema, "", &mut |path, required, _| {
            if EXCLUDED.contains(&path) {
                return;
            }
            let all = document(&schema, "", &|_| Say::Example);
            let without = parsed(kind, &remove(all, path));
            let is_needed = required || NEEDED.contains(&path);
            assert_eq!(without.is_err(), is_needed, "without {path}: {without:?}");
        });
    }
}

#[test]
fn unknown_keys_are_refused_by_the_schema_and_by_us() {
    for kind in KINDS {
        let schema = schema(kind);
        assert_eq!(schema["additionalProperties"], false);
        keys(&schema, "", &mut |path, _, property| {
            for table in [property, &property["items"]] {
                if table["type"] == "object" && !NAMED_BY_USERS.contains(&path) {
                    assert_eq!(table["additionalProperties"], false, "{path}");
                    let all = document(&schema, "", &|_| Say::Example);
                    let said = parsed(kind, &add(all, path)).expect_err("an unknown key");
                    assert!(said.contains("unknown key \"surprise\""), "{path}: {said}");
                }
            }
        });
    }
}

#[test]
fn written_defaults_change_nothing() {
    for kind in KINDS {
        let schema = schema(kind);
        // What is required only together with something else is always written.
        let say = |path: &str, rest| {
            let needed = NEEDED.contains(&path) || path.starts_with("users.ssh_key_files");
            if needed { Say::Example } else { rest }
        };
        let short = parsed(
            kind,
            &document(&schema, "", &|path| say(path, Say::Nothing)),
        );
        let long = parsed(
            kind,
            &document(&schema, "", &|path| say(path, Say::Default)),
        );
        assert_eq!(short.expect("good"), long.expect("good"));
    }
}

#[test]
fn every_key_is_described_and_has_an_example() {
    for kind in KINDS {
        keys(&schema(kind), "", &mut |path, _, property| {
            assert!(
                property["description"].is_string(),
                "{path} has no description"
            );
            let is_table =
                property["properties"].is_object() || property["items"]["properties"].is_object();
            assert!(
                is_table || !property["examples"][0].is_null(),
                "{path} has no example"
            );
        });
    }
}

fn remove(mut document: Value, path: &str) -> Value {
    at(&mut document, path, &mut |table, key| {
        table.remove(key);
    });
    document
}

/// Adds an unknown key to the table at a path.
fn add(mut document: Value, path: &str) -> Value {
    at(
        &mut document,
        &format!("{path}.surprise"),
        &mut |table, key| {
            table.insert(key.to_owned(), Value::from(1));
        },
    );
    document
}

fn at(document: &mut Value, path: &str, change: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    let document = match document {
        Value::Array(items) => &mut items[0],
        other => other,
    };
    let table = document.as_object_mut().expect("a table");
    match path.split_once('.') {
        Some((first, rest)) => at(&mut table[first], rest, change),
        None => change(table, path),
    }
}
