//! The first look at a document: does it have the shape its schema says?
//! Unknown and missing keys, and values of the wrong type. What the values say
//! is looked at later.
//!
//! Knows of JSON Schema what our own schemas use, and no more.

use std::collections::BTreeSet;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::Checker;
use super::field::Span;
use super::nearest::nearest;
use super::problem::{Wrong, listed, quoted};

/// Reports where the document differs from the schema.
pub(crate) fn compare(document: &Spanned<DeTable<'_>>, schema: &Value, check: &mut Checker) {
    table(
        document.get_ref(),
        &document.span(),
        schema,
        "the file",
        check,
    );
}

/// A table, called `place` in messages.
fn table(table: &DeTable<'_>, span: &Span, schema: &Value, place: &str, check: &mut Checker) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if let Some(known) = property(schema, name) {
            self::value(value, known, name, &format!("`{name}`"), check);
        } else {
            check.misplaced(&key.span(), unknown(name, schema, place));
        }
    }
    for name in strings(&schema["required"]) {
        if !table.contains_key(name) {
            check.misplaced(span, missing(name, &schema["properties"][name], place));
        }
    }
}

/// The value of the key `name`, or an entry of its list; `what` says which.
fn value(
    value: &Spanned<DeValue<'_>>,
    schema: &Value,
    name: &str,
    what: &str,
    check: &mut Checker,
) {
    let span = value.span();
    match (kind(schema), value.get_ref()) {
        ("object", DeValue::Table(inner)) => {
            table(inner, &span, schema, &format!("[{name}]"), check);
        }
        ("array", DeValue::Array(items)) => {
            for item in items.iter() {
                element(item, &schema["items"], name, check);
            }
        }
        ("string", DeValue::String(text)) => {
            let allowed = variants(schema);
            if !allowed.is_empty() && !allowed.contains(&text.as_ref()) {
                check.wrong(&span, not_one_of(what, text, &allowed));
            }
        }
        ("integer", DeValue::Integer(number)) => {
            let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
            let (min, max) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            if read.is_none() || read < min || max.is_some_and(|max| read > Some(max)) {
                check.wrong(&span, outside(what, number, min, max));
            }
        }
        ("boolean", DeValue::Boolean(_)) => {}
        (_, found) => check.wrong(&span, wrong_type(name, what, found, schema)),
    }
}

/// An element of the list `name`.
fn element(item: &Spanned<DeValue<'_>>, schema: &Value, name: &str, check: &mut Checker) {
    match item.get_ref() {
        DeValue::Table(inner) if is_table(schema) => {
            table(inner, &item.span(), schema, &format!("[[{name}]]"), check);
        }
        _ => value(item, schema, name, &format!("an entry of `{name}`"), check),
    }
}

fn unknown(name: &str, schema: &Value, place: &str) -> Wrong {
    let hint = match nearest(name, known_keys(schema)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys of {place} are {}", listed(known_keys(schema))),
    };
    Wrong::new(format!("unknown key {} in {place}", quoted(name)), hint)
}

fn missing(name: &str, schema: &Value, place: &str) -> Wrong {
    if is_table(schema) {
        let hint = format!("add a table [{name}] with {}", wanted_keys(schema));
        Wrong::new(format!("there is no [{name}]"), hint)
    } else if is_table(&schema["items"]) {
        let hint = format!(
            "add a table [[{name}]] with {}",
            wanted_keys(&schema["items"])
        );
        Wrong::new(format!("there is no [[{name}]]"), hint)
    } else {
        let hint = format!("add a line such as {name} = {}", example(schema));
        Wrong::new(format!("{place} has no `{name}`"), hint)
    }
}

/// What a table needs, or what it may have if it needs nothing by name.
fn wanted_keys(schema: &Value) -> String {
    let required: Vec<&str> = strings(&schema["required"]).collect();
    if required.is_empty() {
        format!("some of {}", listed(known_keys(schema)))
    } else {
        listed(required)
    }
}

fn not_one_of(what: &str, text: &str, allowed: &[&str]) -> Wrong {
    let allowed: Vec<String> = allowed.iter().map(|text| format!("\"{text}\"")).collect();
    let hint = format!("write {}", allowed.join(" or "));
    Wrong::new(format!("{what} cannot be {}", quoted(text)), hint)
}

fn outside(what: &str, number: impl ToString, min: Option<i64>, max: Option<i64>) -> Wrong {
    let (min, max) = (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
    let number: String = number.to_string().chars().take(20).collect();
    let message = format!("{what} is {number}, outside {min} to {max}");
    Wrong::new(message, format!("write a number from {min} to {max}"))
}

fn wrong_type(name: &str, what: &str, found: &DeValue<'_>, schema: &Value) -> Wrong {
    let found = with_article(found.type_str());
    let (wanted, hint) = if is_table(schema) {
        (
            "a table".to_owned(),
            format!("write its keys below a line [{name}]"),
        )
    } else if is_table(&schema["items"]) {
        (
            "a list of tables".to_owned(),
            format!("start each with a line [[{name}]]"),
        )
    } else {
        let wanted = with_article(kind(schema));
        let hint = match schema.get("examples") {
            Some(_) => format!("write {name} = {}", example(schema)),
            None => format!("write {wanted}"),
        };
        (wanted, hint)
    };
    Wrong::new(format!("{what} is {found}, not {wanted}"), hint)
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// The JSON type of a value; an enumeration's is that of its variants.
fn kind(schema: &Value) -> &str {
    let own = schema["type"].as_str();
    own.or(schema["oneOf"][0]["type"].as_str())
        .unwrap_or_default()
}

/// The schema of a table's key.
fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let any_other = schema
        .get("additionalProperties")
        .filter(|other| other.is_object());
    schema["properties"].get(name).or(any_other)
}

/// In one order, whatever serde_json keeps its tables in.
fn known_keys(schema: &Value) -> BTreeSet<&str> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect()
}

fn is_table(schema: &Value) -> bool {
    schema["type"] == "object"
}

/// The texts that an enumeration allows; none if it is any text.
fn variants(schema: &Value) -> Vec<&str> {
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    strings(&schema["enum"])
        .chain(documented.filter_map(|one| one["const"].as_str()))
        .collect()
}

/// The schema's first example, which reads the same in JSON and TOML.
fn example(schema: &Value) -> String {
    schema["examples"][0].to_string()
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
