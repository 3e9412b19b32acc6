//! `docs/CONFIG.md` says what the schema says. `UPDATE_DOCS=1 cargo test` writes
//! its tables anew.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::config::{SchemaKind, schema};

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
    let text = std::fs::read_to_string(&path).expect("docs/CONFIG.md");
    let mut updated = text.clone();
    for (kind, name) in [
        (SchemaKind::Cluster, "cluster"),
        (SchemaKind::Profile, "profile"),
    ] {
        let (before, rest) = updated
            .split_once(&format!("<!-- {name} -->\n"))
            .expect("a mark");
        let (_, after) = rest.split_once("<!-- end -->\n").expect("a mark");
        updated = format!(
            "{before}<!-- {name} -->\n{}<!-- end -->\n{after}",
            tables(&schema(kind))
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &updated).expect("docs/CONFIG.md");
    } else {
        assert!(
            text == updated,
            "docs/CONFIG.md is not up to date; run UPDATE_DOCS=1 cargo test"
        );
    }
}

/// One section per table of the file.
fn tables(schema: &Value) -> String {
    let mut text = section("At the top", schema);
    for (name, property) in properties(schema) {
        if property["properties"].is_object() {
            text += &section(&format!("`[{name}]`"), property);
        } else if property["items"]["properties"].is_object() {
            text += &section(&format!("`[[{name}]]`"), &property["items"]);
        }
    }
    text
}

fn section(title: &str, schema: &Value) -> String {
    let mut text = format!("\n### {title}\n\n{}\n\n", words(&schema["description"]));
    text += "| key | default | example | meaning |\n| --- | --- | --- | --- |\n";
    for (name, property) in properties(schema) {
        if property["properties"].is_object() || property["items"]["properties"].is_object() {
            continue;
        }
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|key| key == name);
        let default = match &property["default"] {
            _ if required => "required".to_owned(),
            Value::Null => "-".to_owned(),
            value => format!("`{value}`"),
        };
        let example = match &property["examples"][0] {
            Value::Object(table) => {
                let pairs: Vec<_> = table
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            // Long ones, such as keys and hashes, are recognised by their beginning.
            value => match value.to_string() {
                long if long.len() > 60 => format!("{} ...", &long[..24]),
                short => short,
            },
        };
        let meaning = words(&property["description"]) + &variants(property);
        writeln!(text, "| `{name}` | {default} | `{example}` | {meaning} |").expect("to memory");
    }
    text
}

/// What each value of an enumeration means.
fn variants(schema: &Value) -> String {
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    variants
        .map(|one| format!(" `{}`: {}", one["const"], words(&one["description"])))
        .collect()
}

/// The properties, required ones first, in the order of the type; the others
/// by name.
fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let rank = |name: &str| {
        required
            .iter()
            .position(|key| *key == name)
            .unwrap_or(usize::MAX)
    };
    let all = schema["properties"].as_object().into_iter().flatten();
    let mut all: Vec<_> = all
        .map(|(name, property)| (name.as_str(), property))
        .collect();
    all.sort_by_key(|(name, _)| (rank(name), *name));
    all
}

fn words(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
