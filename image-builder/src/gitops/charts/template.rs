//! Helm's templates, looked at without Helm: which values they use, which templates and
//! files they include, whether their blocks are closed.

/// What a template's text says, with lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Paths below `.Values`, such as `image.tag`.
    pub(super) values: Vec<(String, usize)>,
    /// Names that are defined.
    pub(super) defined: Vec<String>,
    /// Names that are included.
    pub(super) included: Vec<(String, usize)>,
    /// Files of the chart.
    pub(super) files: Vec<(String, usize)>,
    /// What cannot be rendered at all, and its line.
    pub(super) broken: Option<(String, usize)>,
}

/// Reads a template's text.
pub(super) fn uses(text: &str) -> Uses {
    let mut uses = Uses::default();
    // Where each open block began.
    let mut open: Vec<usize> = Vec::new();
    let mut rest = text;
    let line_of = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    while let Some(begin) = rest.find("{{") {
        let line = line_of(&rest[begin..]);
        let Some(length) = rest[begin..].find("}}") else {
            uses.broken = Some(("a `{{` is not closed".to_owned(), line));
            return uses;
        };
        let inside = &rest[begin + 2..begin + length];
        rest = &rest[begin + length + 2..];
        let action = inside.trim_matches('-').trim();
        if action.starts_with("/*") {
            continue;
        }
        let mut words = action.split_whitespace();
        match words.next().unwrap_or_default() {
            word @ ("if" | "range" | "with" | "define" | "block") => {
                open.push(line);
                if word == "define" || word == "block" {
                    uses.defined
                        .extend(quoted(action).next().map(str::to_owned));
                }
            }
            "end" => {
                let begun = open.pop();
                if begun.is_none() {
                    uses.broken = Some(("an `end` ends nothing".to_owned(), line));
                    return uses;
                }
            }
            _ => {}
        }
        for (at, _) in action.match_indices(".Values.") {
            let path = &action[at + ".Values.".len()..];
            let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
            let path = path[..end.unwrap_or(path.len())].trim_end_matches('.');
            uses.values.push((path.to_owned(), line));
        }
        let named = |word: &str| {
            let names = action.match_indices(word);
            let names = names.filter_map(|(at, _)| quoted(&action[at + word.len()..]).next());
            let names = names.map(|name| (name.to_owned(), line));
            names.collect::<Vec<_>>()
        };
        uses.included.extend(named("include "));
        uses.included.extend(named("template "));
        uses.files.extend(named(".Files.Get "));
    }
    if let Some(line) = open.pop() {
        uses.broken = Some(("this block has no `end`".to_owned(), line));
    }
    uses
}

/// The texts in double quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_uses_is_found() {
        let text = "{{- define \"x.labels\" -}}\n{{ end }}\na: {{ .Values.image.tag | quote }}\n\
                    {{- if $.Values.on }}\nb: {{ include \"x.labels\" . | nindent 4 }}{{ .Files.Get \"f.py\" }}\n{{- end }}\n{{/* .Values.not */}}\n";
        let uses = uses(text);
        assert_eq!(
            uses.values,
            [("image.tag".to_owned(), 3), ("on".to_owned(), 4)]
        );
        assert_eq!(uses.defined, ["x.labels"]);
        assert_eq!(uses.included, [("x.labels".to_owned(), 5)]);
        assert_eq!(uses.files, [("f.py".to_owned(), 5)]);
        assert_eq!(uses.broken, None);
    }

    #[test]
    fn blocks_are_closed() {
        for (text, message, line) in [
            ("a\n{{ if .x }}\nb", "this block has no `end`", 2),
            ("a\n{{ end }}", "an `end` ends nothing", 2),
            ("a\n\n{{ .Values.a", "a `{{` is not closed", 3),
        ] {
            assert_eq!(
                uses(text).broken,
                Some((message.to_owned(), line)),
                "{text}"
            );
        }
    }
}
