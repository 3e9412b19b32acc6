//! The first look at a document: does it have the shape its schema says?
//! Unknown and missing keys, and values of the wrong type. What the values say
//! is looked at later.
//!
//! Knows of JSON Schema what our own schemas use, and no more.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::Checker;
use super::field::Span;
use super::nearest::nearest;
use super::problem::{Wrong, names, quoted};

/// Reports where the document differs from the schema.
pub(crate) fn compare(document: &Spanned<DeTable<'_>>, schema: &Value, check: &mut Checker) {
    table(document.get_ref(), &document.span(), schema, "the file", check);
}

/// A table, called `place` in messages.
fn table(table: &DeTable<'_>, span: &Span, schema: &Value, place: &str, check: &mut Checker) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if let Some(known) = property(schema, name) {
            self::value(value, known, name, check);
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

/// The value of the key `name`.
fn value(value: &Spanned<DeValue<'_>>, schema: &Value, name: &str, check: &mut Checker) {
    let span = value.span();
    match (schema["type"].as_str().unwrap_or_default(), value.get_ref()) {
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
                check.wrong(&span, not_one_of(name, text, &allowed));
            }
        }
        ("integer", DeValue::Integer(number)) => {
            let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
            let (min, max) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            if read.is_none() || read < min || max.is_some_and(|max| read > Some(max)) {
                check.wrong(&span, outside(name, number, min, max));
            }
        }
        ("boolean", DeValue::Boolean(_)) => {}
        (_, found) => check.wrong(&span, wrong_type(name, found, schema)),
    }
}

/// An element of the list `name`.
fn element(item: &Spanned<DeValue<'_>>, schema: &Value, name: &str, check: &mut Checker) {
    match item.get_ref() {
        DeValue::Table(inner) if is_table(schema) => {
            table(inner, &item.span(), schema, &format!("[[{name}]]"), check);
        }
        _ => value(item, schema, name, check),
    }
}

fn unknown(name: &str, schema: &Value, place: &str) -> Wrong {
    let known = || schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let hint = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys of {place} are {}", names(known())),
    };
    Wrong::new(format!("unknown key {} in {place}", quoted(name)), hint)
}

fn missing(name: &str, schema: &Value, place: &str) -> Wrong {
    let with = names(strings(&schema["required"]).chain(strings(&schema["items"]["required"])));
    if is_table(schema) {
        Wrong::new(format!("there is no [{name}]"), format!("add a table [{name}] with {with}"))
    } else if is_table(&schema["items"]) {
        Wrong::new(format!("there is no [[{name}]]"), format!("add a table [[{name}]] with {with}"))
    } else {
        let hint = format!("add a line such as {name} = {}", example(schema));
        Wrong::new(format!("{place} has no `{name}`"), hint)
    }
}

fn not_one_of(name: &str, text: &str, allowed: &[&str]) -> Wrong {
    let all: Vec<String> = allowed.iter().map(|allowed| format!("\"{allowed}\"")).collect();
    let hint = match nearest(text, allowed.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", all.join(" or ")),
    };
    Wrong::new(format!("`{name}` cannot be {}", quoted(text)), hint)
}

fn outside(name: &str, number: impl ToString, min: Option<i64>, max: Option<i64>) -> Wrong {
    let (min, max) = (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
    let number: String = number.to_string().chars().take(20).collect();
    let message = format!("`{name}` is {number}, outside {min} to {max}");
    Wrong::new(message, format!("write a number from {min} to {max}"))
}

fn wrong_type(name: &str, found: &DeValue<'_>, schema: &Value) -> Wrong {
    let with_article = |kind: &str| match kind {
        "integer" | "array" => format!("an {kind}"),
        kind => format!("a {kind}"),
    };
    let message = |wanted: &str| {
        format!("`{name}` is {}, not {wanted}", with_article(found.type_str()))
    };
    if is_table(schema) {
        return Wrong::new(message("a table"), format!("write its keys below a line [{name}]"));
    }
    if is_table(&schema["items"]) {
        return Wrong::new(message("a list of tables"), format!("start each with a line [[{name}]]"));
    }
    let wanted = with_article(schema["type"].as_str().unwrap_or_default());
    // The elements of a list share their list's name, but not its example.
    let hint = match schema.get("examples") {
        Some(_) => format!("write {name} = {}", example(schema)),
        None => format!("write {wanted}"),
    };
    Wrong::new(message(&wanted), hint)
}

/// The schema of a table's key.
fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let any_other = schema.get("additionalProperties").filter(|other| other.is_object());
    schema["properties"].get(name).or(any_other)
}

fn is_table(schema: &Value) -> bool {
    schema["type"] == "object"
}

/// The texts that an enumeration allows; none if it is any text.
fn variants(schema: &Value) -> Vec<&str> {
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    strings(&schema["enum"]).chain(documented.filter_map(|one| one["const"].as_str())).collect()
}

/// The schema's first example, which reads the same in JSON and TOML.
fn example(schema: &Value) -> String {
    schema["examples"][0].to_string()
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
