//! The part of Go's templates that an ApplicationSet here needs: values by name, through
//! a few functions. What is not known is an error, as `missingkey=error` asks.

use serde_json::{Map, Value};

/// Fills in every text of a value, keys not.
///
/// # Errors
/// With what cannot be filled in.
pub(in crate::gitops) fn fill(value: &Value, parameters: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill_text(text, parameters)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| fill(item, parameters));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| Ok((key.clone(), fill(value, parameters)?)));
            Value::Object(entries.collect::<Result<Map<_, _>, String>>()?)
        }
        other => other.clone(),
    })
}

/// One text.
pub(in crate::gitops) fn fill_text(text: &str, parameters: &Value) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("a `{{{{` is not closed in `{text}`"))?;
        filled += before;
        filled += &evaluate(inside.trim(), parameters)?;
        rest = after;
    }
    Ok(filled + rest)
}

fn evaluate(pipeline: &str, parameters: &Value) -> Result<String, String> {
    let mut steps = pipeline.split('|').map(str::trim);
    let source = steps.next().unwrap_or_default();
    let mut value = look_up(source, parameters)?;
    for step in steps {
        value = match step {
            "base" => base(&value).to_owned(),
            "dir" => dir(&value).to_owned(),
            "lower" => value.to_lowercase(),
            _ => {
                return Err(format!(
                    "the function `{step}` is not known here; use base, dir or lower"
                ));
            }
        };
    }
    Ok(value)
}

fn look_up(source: &str, parameters: &Value) -> Result<String, String> {
    let Some(path) = source.strip_prefix('.') else {
        return Err(format!(
            "`{source}` is not the name of a parameter, such as .path.basename"
        ));
    };
    let value = path
        .split('.')
        .try_fold(parameters, |value, key| value.get(key));
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(truth)) => Ok(truth.to_string()),
        Some(_) => Err(format!("the parameter `{source}` is no text")),
        None => Err(format!("there is no parameter `{source}`")),
    }
}

/// As Go's `path.Base`.
fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// As Go's `path.Dir`, for paths that are clean.
fn dir(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_filled_in_through_functions() {
        let parameters = json!({
            "set": "home", "count": 2,
            "path": {"path": "a/NS/app", "basename": "app"},
        });
        let fill = |text: &str| fill_text(text, &parameters);
        assert_eq!(fill("x-{{ .set }}-{{.count}}"), Ok("x-home-2".to_owned()));
        assert_eq!(
            fill("{{ .path.path | dir | base | lower }}"),
            Ok("ns".to_owned())
        );
        assert_eq!(fill("plain"), Ok("plain".to_owned()));
        for (text, message) in [
            ("{{ .nothing }}", "there is no parameter `.nothing`"),
            ("{{ .path }}", "the parameter `.path` is no text"),
            ("{{ .set", "a `{{` is not closed in `{{ .set`"),
            (
                "{{ .set | sha }}",
                "the function `sha` is not known here; use base, dir or lower",
            ),
            (
                "{{ set }}",
                "`set` is not the name of a parameter, such as .path.basename",
            ),
        ] {
            assert_eq!(fill(text), Err(message.to_owned()));
        }
    }

    #[test]
    fn every_text_of_a_value_is_filled_in() {
        let filled = fill(&json!({"a": ["{{ .x }}", 1]}), &json!({"x": "y"}));
        assert_eq!(filled, Ok(json!({"a": ["y", 1]})));
    }
}
