//! What is wrong with a file, said so that it can be put right.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::ssh::is_private;

/// One thing that is wrong, where it is, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, as the caller or another file named it.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: String,
}

/// Everything that is wrong with a cluster file and the files it leads to, in
/// the order of file, line and column. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// These problems, each once.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    /// The problems one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            hint,
        } = self;
        write!(f, "{}:{line}:{column}: {message}; {hint}", file.display())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A problem that does not know yet where it is: what the parser of a single
/// value says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) message: String,
    /// What to write.
    pub(crate) hint: String,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// This problem, with its place.
    pub(crate) fn at(self, file: &Path, (line, column): (usize, usize)) -> Problem {
        let Self { message, hint } = self;
        Problem {
            file: file.to_owned(),
            line,
            column,
            message,
            hint,
        }
    }
}

/// A value from a file as a message shows it: on one line, not endless, and
/// never a private key that was pasted into the wrong place.
pub(crate) fn quoted(value: &str) -> String {
    const LONGEST: usize = 80;
    if is_private(value) {
        return "a private key (not shown)".to_owned();
    }
    let short: String = value.chars().take(LONGEST).collect();
    let dots = if short.len() < value.len() { "..." } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}

/// A file's path as a message shows it.
pub(crate) fn shown(path: &Path) -> String {
    let path = path.to_string_lossy();
    if is_private(&path) {
        quoted(&path)
    } else {
        path.escape_debug().to_string()
    }
}

/// `a`, `b` and `c`, each in back quotes, or a dash for nothing.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "-".to_owned(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_on_one_line_cut_and_without_secrets() {
        assert_eq!(quoted("pi-1"), r#""pi-1""#);
        assert_eq!(quoted("a\n\"b\""), r#""a\n\"b\"""#);
        assert_eq!(
            quoted(&"x".repeat(90)),
            format!("\"{}...\"", "x".repeat(80))
        );
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk";
        assert_eq!(quoted(key), "a private key (not shown)");
    }

    #[test]
    fn problems_come_sorted_once_each_and_as_json() {
        let at = |line| Wrong::new("bad", "good").at(Path::new("a.toml"), (line, 2));
        let problems = Problems::of(vec![at(3), at(1), at(3)]);
        assert_eq!(
            problems.to_string(),
            "a.toml:1:2: bad; good\na.toml:3:2: bad; good"
        );
        let json = serde_json::to_value(&problems).expect("plain data");
        assert_eq!(json[1]["line"], 3);
        assert_eq!(json[0]["file"], "a.toml");
    }
}
