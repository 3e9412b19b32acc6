//! Relations between packages: `a | b (>= 1), c:any` (Debian Policy 7.1).

use std::cmp::Ordering;
use std::fmt;

use debversion::Version;

/// One package a relation names, and which versions of it are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    pub(super) name: &'a str,
    /// What stands behind a colon: `any`, `native` or an architecture.
    pub(super) arch: Option<&'a str>,
    pub(super) version: Option<(Operator, Version)>,
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

/// The groups of a relation field: all of them are meant, and of each group
/// one. An empty group does not occur.
///
/// # Errors
/// What cannot be read, in words.
pub(super) fn parse(text: &str) -> Result<Vec<Vec<Relation<'_>>>, String> {
    text.split(',')
        .map(str::trim)
        // A comma at the end is common in hand-written fields.
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(|one| parse_one(one.trim())).collect())
        .collect()
}

fn parse_one(text: &str) -> Result<Relation<'_>, String> {
    let unclear = || format!("`{text}` is no relation to a package");
    let (target, version) = match text.split_once('(') {
        None => (text, None),
        Some((target, rest)) => {
            let inside = rest.strip_suffix(')').ok_or_else(unclear)?.trim();
            (
                target.trim(),
                Some(parse_version(inside).ok_or_else(unclear)?),
            )
        }
    };
    let (name, arch) = match target.split_once(':') {
        None => (target, None),
        Some((name, arch)) => (name, Some(arch)),
    };
    if !is_word(name) || !arch.is_none_or(is_word) {
        return Err(unclear());
    }
    Ok(Relation {
        name,
        arch,
        version,
    })
}

fn parse_version(text: &str) -> Option<(Operator, Version)> {
    let at = text.find(|c| !matches!(c, '<' | '=' | '>'))?;
    let (operator, version) = text.split_at(at);
    let operator = match operator {
        "<<" => Operator::Earlier,
        // A single angle is the old way to write the inclusive ones.
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return None,
    };
    Some((operator, version.trim().parse().ok()?))
}

/// Letters, digits and what else names of packages and architectures have.
fn is_word(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    !word.is_empty() && word.chars().all(fits)
}

impl Relation<'_> {
    /// Whether this version of the named package is meant.
    pub(super) fn admits(&self, version: &Version) -> bool {
        let Some((operator, bound)) = &self.version else {
            return true;
        };
        let order = version.cmp(bound);
        match operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }

    /// Whether a provided name is meant. One without a version answers only
    /// relations without one (Debian Policy 7.5).
    pub(super) fn admits_provided(&self, version: Option<&Version>) -> bool {
        match version {
            Some(version) => self.admits(version),
            None => self.version.is_none(),
        }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(arch) = self.arch {
            write!(f, ":{arch}")?;
        }
        match &self.version {
            None => Ok(()),
            Some((operator, version)) => write!(f, " ({operator} {version})"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

/// A group as it is written.
pub(super) fn group_text(group: &[Relation<'_>]) -> String {
    let all: Vec<String> = group.iter().map(ToString::to_string).collect();
    all.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let text = "a, b:any (>=1:2-3) | c ( << 4~rc1 ),\n d (= 1), e:arm64,";
        let groups = parse(text).expect("relations");
        let shown: Vec<String> = groups.iter().map(|group| group_text(group)).collect();
        let expected = ["a", "b:any (>= 1:2-3) | c (<< 4~rc1)", "d (= 1)", "e:arm64"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_relation_is_said() {
        for text in [
            "a b", "a (1)", "a (>= 1", "a | | b", "a (=> 1)", "é", "a: (= 1)", "a (= )",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_compare_as_dpkg_compares_them() {
        for (relation, version, admitted) in [
            ("a", "1", true),
            ("a (>= 1.0)", "1.0~rc1", false),
            ("a (>= 1.0~)", "1.0~rc1", true),
            ("a (<< 1:0)", "99", true),
            ("a (= 1.0-1)", "1.0-1+b1", false),
            ("a (<= 2)", "2-0", true),
            ("a (< 2)", "2", true),
            ("a (>> 2)", "2", false),
            ("a (>> 1.9)", "1.10", true),
        ] {
            let groups = parse(relation).expect("relation");
            let version: Version = version.parse().expect("version");
            assert_eq!(
                groups[0][0].admits(&version),
                admitted,
                "{relation} {version}"
            );
        }
    }
}
