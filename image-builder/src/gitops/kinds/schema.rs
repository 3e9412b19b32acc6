//! JSON schemas: those of charts as they are, those of CustomResourceDefinitions after
//! they were made strict.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::builtin::At;
use crate::config::problem::Wrong;

/// A schema that values can be held against.
#[derive(Debug)]
pub(in crate::gitops) struct Schema(Validator);

impl Schema {
    /// A schema of draft 7, as Helm reads them.
    ///
    /// # Errors
    /// When it is none, or refers to another file.
    pub(in crate::gitops) fn draft7(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options();
        let validator = options.with_draft(Draft::Draft7).build(schema);
        validator.map(Self).map_err(|error| error.to_string())
    }

    /// What is wrong with a value.
    pub(in crate::gitops) fn check(&self, value: &Value) -> Vec<At> {
        let errors = self.0.iter_errors(value);
        errors
            .map(|error| {
                let path = error.instance_path().as_str();
                let path = path.split('/').skip(1);
                let path = path.map(|key| key.replace("~1", "/").replace("~0", "~"));
                let message = error.to_string();
                let message = match message.char_indices().nth(LONGEST) {
                    Some((end, _)) => format!("{}...", &message[..end]),
                    None => message,
                };
                let wrong = Wrong::new(message, "write what the schema allows");
                (path.collect(), wrong)
            })
            .collect()
    }
}

/// A message holds the value it is about, which may be long.
const LONGEST: usize = 300;

/// The schema of a version of a CustomResourceDefinition (`openAPIV3Schema`), as a
/// strict JSON schema: a table with `properties` has no others unless it says so. The
/// API server prunes these, which is to lose them in silence.
pub(in crate::gitops) fn strict(schema: &Value) -> Value {
    let mut strict = closed(schema);
    if let Some(top) = strict.as_object_mut() {
        let properties = top.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            for key in ["apiVersion", "kind"] {
                properties.insert(key.to_owned(), json!({"type": "string"}));
            }
            // Held against its type elsewhere.
            properties.insert("metadata".to_owned(), json!({"type": "object"}));
        }
    }
    strict
}

/// What is kept of a schema: words for people are most of it, and a CEL rule is the API
/// server's to judge.
fn closed(schema: &Value) -> Value {
    let Value::Object(table) = schema else {
        return schema.clone();
    };
    let is = |key: &str| table.get(key) == Some(&Value::Bool(true));
    let mut kept = Map::new();
    for (key, value) in table {
        let value = match key.as_str() {
            "properties" => each(value, closed),
            "items" | "additionalProperties" => closed(value),
            // A flag within a pattern is Go's, and no pattern of JSON Schema.
            "pattern"
                if value
                    .as_str()
                    .is_some_and(|pattern| pattern.contains("(?i)")) =>
            {
                continue;
            }
            // These only add conditions; the keys are named outside of them.
            "allOf" | "anyOf" | "oneOf" | "not" | "required" | "type" | "enum" | "pattern"
            | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "minLength"
            | "maxLength" | "minItems" | "maxItems" | "uniqueItems" | "multipleOf"
            | "minProperties" | "maxProperties" => value.clone(),
            _ => continue,
        };
        kept.insert(key.clone(), value);
    }
    // Draft 4, which this is of, says "exclusive" by a word beside the limit.
    for (word, limit) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match kept.remove(word) {
            Some(Value::Bool(true)) => {
                if let Some(value) = kept.remove(limit) {
                    kept.insert(word.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) | None => {}
            Some(other) => drop(kept.insert(word.to_owned(), other)),
        }
    }
    if is("x-kubernetes-int-or-string") {
        kept.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if is("nullable")
        && let Some(kind) = kept.remove("type")
    {
        let mut kinds = match kind {
            Value::Array(kinds) => kinds,
            kind => vec![kind],
        };
        kinds.push(json!("null"));
        kept.insert("type".to_owned(), Value::Array(kinds));
        if let Some(Value::Array(allowed)) = kept.get_mut("enum") {
            allowed.push(Value::Null);
        }
    }
    if is("x-kubernetes-embedded-resource")
        && let Some(Value::Object(properties)) = kept.get_mut("properties")
    {
        for key in ["apiVersion", "kind", "metadata"] {
            properties.entry(key).or_insert_with(|| json!({}));
        }
    }
    let is_open =
        kept.contains_key("additionalProperties") || is("x-kubernetes-preserve-unknown-fields");
    if kept.contains_key("properties") && !is_open {
        kept.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Value::Object(kept)
}

fn each(table: &Value, change: impl Fn(&Value) -> Value) -> Value {
    let entries = table.as_object().into_iter().flatten();
    Value::Object(
        entries
            .map(|(key, value)| (key.clone(), change(value)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schema: &Value, value: &Value) -> Vec<String> {
        let schema = Schema::draft7(schema).expect("a schema");
        let found = schema.check(value).into_iter();
        found
            .map(|(path, wrong)| format!("/{}: {}", path.join("/"), wrong.message))
            .collect()
    }

    #[test]
    fn a_strict_schema_refuses_what_the_api_server_would_prune() {
        let schema = strict(&json!({
            "type": "object", "description": "words",
            "properties": {
                "spec": {
                    "type": "object", "required": ["a"],
                    "properties": {
                        "a": {"type": "string", "enum": ["x"], "default": "x"},
                        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                        "maybe": {"type": "string", "nullable": true},
                        "more": {"minimum": 1, "exclusiveMinimum": true, "type": "integer"},
                        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"b": {"type": "string"}}},
                        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                    },
                },
            },
        }));
        let object = |spec: Value| json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
        let good = json!({"a": "x", "port": "http", "maybe": null, "more": 2, "open": {"c": 1}, "map": {"k": 1}});
        assert_eq!(said(&schema, &object(good)), [] as [&str; 0]);
        for (spec, expected) in [
            (json!({}), "/spec: \"a\" is a required property"),
            (json!({"a": "y"}), "/spec/a: \"y\" is not one of"),
            (
                json!({"a": "x", "b": 1}),
                "/spec: Additional properties are not allowed ('b' was unexpected)",
            ),
            (json!({"a": "x", "port": true}), "/spec/port: true is not"),
            (
                json!({"a": "x", "more": 1}),
                "/spec/more: 1 is less than or equal to",
            ),
            (
                json!({"a": "x", "map": {"k": "v"}}),
                "/spec/map/k: \"v\" is not of type",
            ),
            (
                json!({"a": "x", "open": {"b": 1}}),
                "/spec/open/b: 1 is not of type",
            ),
        ] {
            let said = said(&schema, &object(spec));
            assert!(
                said.iter().any(|line| line.starts_with(expected)),
                "{expected}: {said:?}"
            );
        }
    }

    #[test]
    fn a_schema_that_needs_the_network_is_refused() {
        let schema = json!({"$ref": "https://example.org/schema.json"});
        assert!(Schema::draft7(&schema).is_err());
    }
}
