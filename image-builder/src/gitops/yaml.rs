//! YAML with places: every value knows its line, so that a complaint can name it.
//!
//! Read as YAML 1.2; Kubernetes' own reader is of YAML 1.1. What the two read
//! differently (`yes`, `0644`) is refused, so that it does not matter.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::config::problem::Wrong;

/// Deeper than anything anybody writes, and than no stack.
const DEEPEST: usize = 128;
/// More values than the largest chart's defaults; aliases repeat what they name.
const MOST: usize = 1 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Line and column, from 1.
    pub at: (usize, usize),
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Null, a truth value, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A table, in the file's order: key, its place, value.
    Table(Vec<(String, (usize, usize), Node)>),
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The tree's own: what two readers read differently is refused.
    Own,
    /// Somebody else's, who will not change it: that is taken as text.
    Others,
}

/// A complaint and its place.
pub(super) type Complaint = ((usize, usize), Wrong);

/// Every document of a text.
///
/// # Errors
/// With the first thing that is no YAML, or that two readers of YAML would read
/// differently.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Complaint> {
    documents_of(text, Whose::Own)
}

/// As [`documents`], for a file that is somebody's.
///
/// # Errors
/// With the first thing that is no YAML.
pub(super) fn documents_of(text: &str, whose: Whose) -> Result<Vec<Node>, Complaint> {
    let mut reader = Reader {
        whose,
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        values: 0,
    };
    let mut documents = Vec::new();
    loop {
        match reader.event()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(_), _) => {
                let (event, at) = reader.event()?;
                documents.push(reader.node(event, at, 0)?);
            }
            _ => {}
        }
    }
}

/// The only document of a text; an empty text is an empty table.
///
/// # Errors
/// As [`documents`], and when there are several.
pub(super) fn document(text: &str) -> Result<Node, Complaint> {
    let mut documents = documents(text)?;
    match documents.len() {
        0 => Ok(Node {
            at: (1, 1),
            kind: Kind::Table(Vec::new()),
        }),
        1 => Ok(documents.remove(0)),
        _ => {
            let hint = "keep the first and take the others away";
            let wrong = Wrong::new("there is more than one document in this file", hint);
            Err((documents[1].at, wrong))
        }
    }
}

impl Node {
    /// The value of a key, if this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(name, ..)| name == key)
            .map(|(.., value)| value)
    }

    /// The value at a path of keys.
    pub(super) fn at_path(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The text at a path of keys; nothing if there is none.
    pub(super) fn text_at(&self, path: &[&str]) -> &str {
        self.at_path(path).and_then(Node::text).unwrap_or_default()
    }

    /// The entries, if this is a table.
    pub(super) fn entries(&self) -> &[(String, (usize, usize), Node)] {
        match &self.kind {
            Kind::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The items, if this is a list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Scalar(value) => value.is_null(),
            Kind::List(items) => items.is_empty(),
            Kind::Table(entries) => entries.is_empty(),
        }
    }

    /// The same as JSON.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Table(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, _, value)| (key.clone(), value.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Where a path of keys and indices (a JSON pointer's segments) leads, or as far as
    /// it does: the key's place, not the value's.
    pub(super) fn place<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> (usize, usize) {
        let (mut node, mut at) = (self, self.at);
        for segment in path {
            let entry = node.entries().iter().find(|(key, ..)| key == segment);
            let next = match (entry, segment.parse::<usize>()) {
                (Some((_, place, value)), _) => Some((value, *place)),
                (None, Ok(index)) => node.items().get(index).map(|item| (item, item.at)),
                (None, Err(_)) => None,
            };
            match next {
                Some((value, place)) => (node, at) = (value, place),
                None => break,
            }
        }
        at
    }
}

struct Reader<'t> {
    whose: Whose,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: BTreeMap<usize, (Node, usize)>,
    values: usize,
}

impl<'t> Reader<'t> {
    fn event(&mut self) -> Result<(Event<'t>, (usize, usize)), Complaint> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, (span.start.line(), span.start.col() + 1))),
            Some(Err(error)) => {
                let at = (error.marker().line(), error.marker().col() + 1);
                let message = format!("this is not YAML: {}", error.info());
                Err((
                    at,
                    Wrong::new(message, "mend the line, or the one above it"),
                ))
            }
            None => Ok((Event::StreamEnd, (1, 1))),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        at: (usize, usize),
        depth: usize,
    ) -> Result<Node, Complaint> {
        let before = self.values;
        self.count(1, at)?;
        if depth > DEEPEST {
            let wrong = Wrong::new("this is nested too deeply", "take some levels out");
            return Err((at, wrong));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() && self.whose == Whose::Own {
                    let wrong = Wrong::new("tags are not used here", "take the `!` word out");
                    return Err((at, wrong));
                }
                let value = match style {
                    ScalarStyle::Plain => match (plain(&text), self.whose) {
                        (Err(wrong), Whose::Own) => return Err((at, wrong)),
                        (Err(_), Whose::Others) => Value::String(text.into_owned()),
                        (Ok(value), _) => value,
                    },
                    _ => Value::String(text.into_owned()),
                };
                (Kind::Scalar(value), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.table(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    let wrong = Wrong::new("this repeats what is not finished", "write it out");
                    return Err((at, wrong));
                };
                self.count(size, at)?;
                return Ok(Node { at, ..node });
            }
            _ => (Kind::Scalar(Value::Null), 0),
        };
        let node = Node { at, kind };
        if anchor != 0 {
            let size = self.values - before;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Complaint> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Kind::List(items)),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Kind, Complaint> {
        let mut entries: Vec<(String, (usize, usize), Node)> = Vec::new();
        let mut seen = BTreeMap::new();
        loop {
            let (event, at) = match self.event()? {
                (Event::MappingEnd | Event::StreamEnd, _) => return Ok(Kind::Table(entries)),
                next => next,
            };
            let key = self.node(event, at, depth + 1)?;
            let key = match key.kind {
                Kind::Scalar(Value::String(text)) => text,
                Kind::Scalar(value) => value.to_string(),
                _ => {
                    let wrong = Wrong::new("a key is a list or a table", "write a word");
                    return Err((at, wrong));
                }
            };
            if let Some(line) = seen.insert(key.clone(), at.0) {
                let message = format!("the key `{key}` is there already, in line {line}");
                return Err((at, Wrong::new(message, "keep one of them")));
            }
            let (event, value_at) = self.event()?;
            let value = self.node(event, value_at, depth + 1)?;
            if key == "<<" {
                let message = "merge keys are not for Kubernetes: its reader has none";
                return Err((at, Wrong::new(message, "write the keys out")));
            }
            entries.push((key, at, value));
        }
    }

    fn count(&mut self, more: usize, at: (usize, usize)) -> Result<(), Complaint> {
        self.values = self.values.saturating_add(more);
        if self.values > MOST {
            let wrong = Wrong::new("there are too many values in this file", "split it");
            return Err((at, wrong));
        }
        Ok(())
    }
}

/// A scalar without quotes: the core schema of YAML 1.2 (section 10.3), without what
/// YAML 1.1 reads as something else.
fn plain(text: &str) -> Result<Value, Wrong> {
    let otherwise = |as_what: &str| {
        let message = format!("`{text}` is {as_what} to some readers of YAML");
        Err(Wrong::new(
            message,
            format!("write \"{text}\", or what is meant"),
        ))
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    match text.to_ascii_lowercase().as_str() {
        "yes" | "no" | "on" | "off" | "y" | "n" => return otherwise("a truth value"),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits && digits.len() > 1 && digits.starts_with('0') {
        return otherwise("an octal number");
    }
    if all_digits && let Ok(number) = text.trim_start_matches('+').parse::<i64>() {
        return Ok(Value::from(number));
    }
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if is_number && let Ok(number) = text.parse::<f64>() {
        let number = Number::from_f64(number).map(Value::Number);
        return Ok(number.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    Ok(Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        document(text).expect("YAML").to_json()
    }

    fn complaint(text: &str) -> (usize, usize, String) {
        let ((line, column), wrong) = documents(text).expect_err("a mistake");
        (line, column, wrong.message)
    }

    #[test]
    fn scalars_are_what_kubernetes_takes_them_for() {
        let text = "a: 1\nb: -2.5\nc: true\nd: null\ne: \"1\"\nf: 1.2.3\ng: |\n  x\n  y\nh: 10m\ni: 1e3\nj: .5\nk: .\n";
        let expected = json!({
            "a": 1, "b": -2.5, "c": true, "d": null, "e": "1", "f": "1.2.3", "g": "x\ny\n",
            "h": "10m", "i": 1000.0, "j": 0.5, "k": ".",
        });
        assert_eq!(read(text), expected);
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for (text, message) in [
            ("a: yes", "`yes` is a truth value to some readers of YAML"),
            ("a: Off", "`Off` is a truth value to some readers of YAML"),
            (
                "a: 0644",
                "`0644` is an octal number to some readers of YAML",
            ),
            ("a: 1\na: 2", "the key `a` is there already, in line 1"),
            (
                "a: &x 1\n<<: *x",
                "merge keys are not for Kubernetes: its reader has none",
            ),
            ("a: !!binary x", "tags are not used here"),
        ] {
            assert_eq!(complaint(text).2, message);
        }
        let (line, _, message) = complaint("a: 1\n b: 2\n");
        assert!(
            line >= 1 && message.starts_with("this is not YAML: "),
            "{message}"
        );
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = document("a:\n  - b: 1\n    c: 2\n").expect("YAML");
        assert_eq!(node.place(["a", "0", "c"]), (3, 5));
        assert_eq!(node.place(["a", "0", "nowhere"]), (2, 5));
        assert_eq!(node.place(["a", "7"]), (1, 1));
    }

    #[test]
    fn aliases_repeat_and_do_not_explode() {
        assert_eq!(read("a: &x [1]\nb: *x"), json!({"a": [1], "b": [1]}));
        let mut bomb = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n".to_owned();
        for level in 1..12 {
            let above = level - 1;
            let list = vec![format!("*a{above}"); 9].join(", ");
            bomb += &format!("a{level}: &a{level} [{list}]\n");
        }
        assert_eq!(complaint(&bomb).2, "there are too many values in this file");
        let deep = "[".repeat(1000);
        assert!(documents(&deep).is_err());
    }

    #[test]
    fn a_file_may_hold_several_documents_or_none() {
        assert_eq!(
            documents("a: 1\n---\nb: 2\n---\n# nothing\n")
                .expect("YAML")
                .len(),
            3
        );
        assert_eq!(read(""), json!({}));
        assert!(document("a: 1\n---\nb: 2\n").is_err());
    }
}
