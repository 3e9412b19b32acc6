//! Debian's control format (deb822(5)) as far as apt's and dpkg's files use it:
//! stanzas of fields, parted by empty lines. Nothing is copied, for an index
//! has 56 MB; every field knows its line.

/// One stanza.
#[derive(Debug, Clone)]
pub(super) struct Stanza<'a> {
    /// Line of its first field, counted from 1.
    pub(super) line: usize,
    fields: Vec<Field<'a>>,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'a str,
    /// Everything behind the colon, with the lines that continue it.
    raw: &'a str,
    /// Where that is in the text.
    start: usize,
    /// Counted from 1.
    pub(super) line: usize,
}

/// What is no stanza.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Malformed {
    /// Counted from 1.
    pub(super) line: usize,
    what: &'static str,
}

impl<'a> Stanza<'a> {
    /// The field of this name, whatever its case; the first where it is twice.
    pub(super) fn field(&self, name: &str) -> Option<Field<'a>> {
        let is = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name);
        self.fields.iter().find(is).copied()
    }

    /// The field's value, if it is there and not empty.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        let field = self.field(name)?;
        Some(field.raw.trim()).filter(|value| !value.is_empty())
    }

    /// Whether the field says yes.
    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.value(name).is_some_and(is_yes)
    }
}

impl<'a> Field<'a> {
    /// Its lines without the blanks around them and without comments.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let lines = self.raw.lines();
        lines.filter(|line| !line.starts_with('#')).map(str::trim)
    }

    /// Its words.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lines().flat_map(str::split_whitespace)
    }
}

/// What apt takes for yes (apt-pkg/contrib/strutl.cc, `StringToBool`).
pub(super) fn is_yes(word: &str) -> bool {
    const YES: &[&str] = &["yes", "true", "with", "on", "enable", "1"];
    YES.iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

/// What apt takes for no.
pub(super) fn is_no(word: &str) -> bool {
    const NO: &[&str] = &["no", "false", "without", "off", "disable", "0"];
    NO.iter().any(|no| word.eq_ignore_ascii_case(no))
}

/// The stanzas of a text, one by one. Lines that start with `#` are comments.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = Result<Stanza<'_>, Malformed>> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 0,
    };
    std::iter::from_fn(move || reader.stanza().transpose())
}

struct Reader<'a> {
    text: &'a str,
    /// Offset of the line to come.
    at: usize,
    /// Lines read.
    line: usize,
}

impl<'a> Reader<'a> {
    fn stanza(&mut self) -> Result<Option<Stanza<'a>>, Malformed> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        while let Some((start, line)) = self.next_line() {
            if line.trim().is_empty() {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            if line.starts_with('#') {
                continue;
            }
            let end = start + line.len();
            let malformed = |what| Malformed {
                line: self.line,
                what,
            };
            if line.starts_with([' ', '\t']) {
                let field = fields.last_mut().ok_or_else(|| {
                    malformed("it starts with a blank, but there is no field it could continue")
                })?;
                field.raw = &self.text[field.start..end];
                continue;
            }
            let (name, _) = line
                .split_once(':')
                .ok_or_else(|| malformed("it has no colon, so it is no field"))?;
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(malformed("what is before its colon is no name of a field"));
            }
            fields.push(Field {
                name,
                raw: &line[name.len() + 1..],
                start: start + name.len() + 1,
                line: self.line,
            });
        }
        Ok(fields
            .first()
            .map(|first| first.line)
            .map(|line| Stanza { line, fields }))
    }

    /// The next line without its end, and its offset.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let start = self.at;
        let len = rest.find('\n').unwrap_or(rest.len());
        self.at = (start + len + 1).min(self.text.len());
        self.line += 1;
        Some((start, &rest[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_have_fields_with_lines() {
        let text =
            "\n# a comment\nPackage: a\nDepends: b,\n# inside\n c (>= 1)\n\n\nPackage:  d \r\n";
        let all: Vec<_> = stanzas(text).collect::<Result<_, _>>().expect("stanzas");
        assert_eq!(all.len(), 2);
        let depends = all[0].field("depends").expect("whatever its case");
        assert_eq!((all[0].line, depends.line), (3, 4));
        assert_eq!(depends.lines().collect::<Vec<_>>(), ["b,", "c (>= 1)"]);
        assert_eq!(depends.words().count(), 4);
        assert_eq!(all[1].value("Package"), Some("d"));
        assert_eq!(all[1].value("Depends"), None);
    }

    #[test]
    fn what_is_no_stanza_is_named_by_its_line() {
        for (text, line) in [
            ("A: b\nno field\n", 2),
            (" continues: nothing\n", 1),
            ("A: b\n\n: c\n", 3),
            ("a name: c\n", 1),
        ] {
            let error = stanzas(text).find_map(Result::err).expect(text);
            assert_eq!(error.line, line, "{text}");
        }
    }
}
