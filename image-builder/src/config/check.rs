//! Going through one file: who looks at a value reports here what is wrong
//! with it, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::field::{Field, Span};
use super::problem::{Problem, Problems, Wrong};

/// One file's text, and what was found wrong with it so far.
pub(crate) struct Checker<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Lines that are not TOML. What recovery read from them, or took from
    /// them, is not what the user wrote, so no more is said about those.
    unread: BTreeSet<usize>,
}

/// What was found in all files.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Findings {
    /// Takes over what a checker found beside the value it came to.
    pub(crate) fn add<T>(&mut self, mut check: Checker, value: Option<T>) -> Option<T> {
        if value.is_none() && check.problems.is_empty() {
            // Else a value that serde refuses and the schema allows would be
            // dropped in silence.
            let hint = "this is a mistake in imgbuild: please report it with the file";
            check.wrong(
                &(0..0),
                Wrong::new("the file cannot be used, but nothing is wrong", hint),
            );
        }
        self.problems.append(&mut check.problems);
        self.warnings.append(&mut check.warnings);
        value
    }

    /// The value if no problem was found, else all problems.
    pub(crate) fn settle<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems::of(self.problems)),
        }
    }
}

impl<'a> Checker<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        let (problems, warnings) = Default::default();
        Self {
            path,
            text,
            problems,
            warnings,
            unread: BTreeSet::new(),
        }
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// A line is not TOML. One complaint per line: the next ones are about what
    /// recovery made of the first.
    pub(crate) fn syntax(&mut self, span: &Span, wrong: Wrong) {
        let position = self.position(span);
        if self.unread.insert(position.0) {
            self.problems.push(wrong.at(self.path, position));
        }
    }

    /// None of the lines below could be read.
    pub(crate) fn unread_below(&mut self, span: &Span) {
        let (line, _) = self.position(span);
        self.unread.extend(line..=self.text.lines().count());
    }

    /// What is written there is wrong.
    pub(crate) fn wrong(&mut self, span: &Span, wrong: Wrong) {
        let position = self.position(span);
        if !self.unread.contains(&position.0) {
            self.problems.push(wrong.at(self.path, position));
        }
    }

    /// Something is not there, or not where it belongs. In a file with syntax
    /// errors it may well be: recovery loses keys and table headers.
    pub(crate) fn misplaced(&mut self, span: &Span, wrong: Wrong) {
        if self.unread.is_empty() {
            self.wrong(span, wrong);
        }
    }

    /// Allowed, but hardly meant.
    pub(crate) fn warn(&mut self, span: &Span, wrong: Wrong) {
        self.warnings.push(wrong.at(self.path, self.position(span)));
    }

    /// A problem in a file that this one leads to.
    pub(crate) fn elsewhere(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A value, parsed. `None` if it is absent or wrong, which is then said.
    pub(crate) fn value<T, U>(
        &mut self,
        field: &Field<T>,
        parse: impl FnOnce(&T) -> Result<U, Wrong>,
    ) -> Option<U> {
        match parse(field.get()?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(&field.span(), wrong);
                None
            }
        }
    }

    /// As [`Checker::value`], for a key that may be absent: `Some(None)`.
    pub(crate) fn optional<T, U>(
        &mut self,
        field: &Field<T>,
        parse: impl FnOnce(&T) -> Result<U, Wrong>,
    ) -> Option<Option<U>> {
        if field.is_absent() {
            Some(None)
        } else {
            self.value(field, parse).map(Some)
        }
    }

    /// Every element of a list, parsed; `None` if one of them is wrong.
    pub(crate) fn list<T, U>(
        &mut self,
        field: &Field<Vec<Field<T>>>,
        parse: impl Fn(&T) -> Result<U, Wrong>,
    ) -> Option<Vec<U>> {
        field.get()?;
        all(field.items().iter().map(|item| self.value(item, &parse)))
    }

    /// Remembers that a value was seen; where it was first, if it was before.
    pub(crate) fn seen_before<K: Ord>(
        &self,
        seen: &mut BTreeMap<K, Span>,
        value: K,
        span: &Span,
    ) -> Option<String> {
        let first = seen.get(&value).map(|first| {
            let (line, column) = self.position(first);
            format!("line {line}, column {column}")
        });
        seen.entry(value).or_insert_with(|| span.clone());
        first
    }

    /// Line and column, from 1, of a span's beginning.
    fn position(&self, span: &Span) -> (usize, usize) {
        position(self.text, span.start)
    }
}

/// All the values, if there are all; every one of them is looked at first.
pub(crate) fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let values: Vec<Option<T>> = values.collect();
    values.into_iter().collect()
}

/// Line and column, from 1 and in characters, of a byte of a text.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before
        .rfind('\n')
        .map_or(before, |newline| &before[newline + 1..]);
    // A byte order mark takes no column: editors do not show it.
    let column = line.trim_start_matches('\u{feff}').chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_1() {
        for (text, offset, expected) in [
            ("", 0, (1, 1)),
            ("abc", 2, (1, 3)),
            ("a\nbc", 3, (2, 2)),
            ("a\r\nbc", 4, (2, 2)),
            ("ä = \"ö\"", 5, (1, 5)),
            ("\u{feff}a", 3, (1, 1)),
            ("ab", 99, (1, 3)),
            ("ä", 1, (1, 1)),
        ] {
            assert_eq!(position(text, offset), expected, "{text:?} at {offset}");
        }
    }

    #[test]
    fn unread_lines_and_what_may_be_lost_are_not_complained_about() {
        let mut check = Checker::new(Path::new("f"), "one\ntwo\n");
        let wrong = || Wrong::new("bad", "good");
        check.misplaced(&(0..0), wrong());
        check.syntax(&(4..5), wrong());
        check.syntax(&(6..7), wrong());
        check.wrong(&(5..6), wrong());
        check.misplaced(&(0..0), wrong());
        check.wrong(&(0..1), wrong());
        let lines: Vec<_> = check.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 2, 1]);
    }
}
