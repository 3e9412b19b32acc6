//! Text becomes an as-written value, with everything said that is wrong with
//! its syntax and shape.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::check::Checker;
use super::problem::Wrong;
use super::schema::{SchemaKind, shared};
use super::shape;

/// The format both files have.
const VERSION: &str = "1";

/// The document as far as it could be read. A file with syntax errors is read
/// too, so that its other mistakes are found in the same run.
pub(crate) fn read<T: DeserializeOwned>(kind: SchemaKind, check: &mut Checker) -> Option<T> {
    let (table, mut errors) = DeTable::parse_recoverable(check.text());
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    // A list that is not closed takes in everything below it, line for line
    // for want of a comma.
    let is_open = errors
        .iter()
        .any(|error| error.message().starts_with("unclosed array,"));
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        check.syntax(&span, syntax(error.message()));
        if is_open && error.message().starts_with("missing comma") {
            check.unread_below(&span);
            break;
        }
    }
    if is_of_another_version(table.get_ref(), check) {
        return None;
    }
    shape::compare(&table, shared(kind), check);
    match T::deserialize(toml::de::Deserializer::from(table)) {
        Ok(written) => Some(written),
        Err(error) => {
            let hint = "write it as docs/CONFIG.md shows";
            check.wrong(
                &error.span().unwrap_or(0..0),
                Wrong::new(error.message(), hint),
            );
            None
        }
    }
}

/// Says so, and nothing else: another version has other keys.
fn is_of_another_version(table: &DeTable<'_>, check: &mut Checker) -> bool {
    let Some(version) = table.get("version") else {
        return false;
    };
    let DeValue::Integer(number) = version.get_ref() else {
        return false;
    };
    let is_other = number.to_string() != VERSION;
    if is_other {
        let message = format!("version {number:.20} is not known to this imgbuild");
        check.wrong(
            &version.span(),
            Wrong::new(message, "write version = 1, or update imgbuild"),
        );
    }
    is_other
}

/// The parser's message with a hint. The line itself is not shown: a private
/// key pasted by mistake is a syntax error too.
fn syntax(message: &str) -> Wrong {
    // "expected nothing" means that the value was complete before this.
    let message = message.trim_end_matches(", expected nothing");
    let hint = match message {
        "duplicate key" => "remove one of the two",
        _ if message.starts_with("missing comma") || message.starts_with("unclosed array,") => {
            "separate by commas, and close the list above with a bracket"
        }
        _ if message.contains("table header") || message.contains("table, expected") => {
            "write [table] or [[table]] alone on its line"
        }
        _ if message.starts_with("invalid float")
            || message.starts_with("invalid integer")
            || message.starts_with("invalid date")
            || message.starts_with("invalid boolean")
            || message.starts_with("unexpected leading zero")
            || message.starts_with("string values must be quoted") =>
        {
            "write text in double quotes, such as name = \"text\""
        }
        _ => "check the quotes, brackets, commas and equals signs",
    };
    Wrong::new(format!("not TOML: {message}"), hint)
}
