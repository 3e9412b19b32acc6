//! Versions of charts: SemVer 2 (helm.sh, "Charts", version), with or without the
//! `v` that some publishers put before it.

use std::cmp::Ordering;
use std::fmt;

/// A version as its publisher writes it.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    number: semver::Version,
}

impl Version {
    /// Reads one; `None` when it is none, which some old entries of indexes are.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.strip_prefix('v').unwrap_or(text);
        Some(Self {
            text: text.to_owned(),
            number: semver::Version::parse(plain).ok()?,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is one on the way to another.
    pub fn is_prerelease(&self) -> bool {
        !self.number.pre.is_empty()
    }

    /// Whether it is worth telling whoever has `pinned`: newer, and a release,
    /// unless theirs is none either.
    pub fn is_news_to(&self, pinned: &Version) -> bool {
        *self > *pinned && (!self.is_prerelease() || pinned.is_prerelease())
    }

    /// As a registry's tag, which may have no `+` (helm.sh, "Registries").
    pub fn tag(&self) -> String {
        self.text.replace('+', "_")
    }

    /// What a registry's tag stands for.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::parse(&tag.replacen('_', "+", 1))
    }
}

/// The same version, with or without a `v`; but for build metadata, which says that
/// the bytes are others.
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// SemVer's order (semver.org, 11); build metadata decide last, so that there is
/// one order.
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    #[test]
    fn versions_are_in_semver_order() {
        let order = [
            "0.9.0",
            "1.0.0-alpha.2",
            "1.0.0-alpha.10",
            "v1.0.0-rc.1",
            "1.0.0",
            "1.2.0",
            "v1.10.0",
            "2023.5.31",
        ];
        for pair in order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("v1.2.3"), version("1.2.3"));
        assert_ne!(version("1.2.3+k3s1"), version("1.2.3"));
        for bad in ["", "v", "1.2", "01.2.3", "vv1.2.3", "latest", "1.2.3 "] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn prereleases_are_news_to_those_who_have_one() {
        for (new, pinned, news) in [
            ("1.1.0", "1.0.0", true),
            ("1.0.0", "1.0.0", false),
            ("v1.0.0", "1.0.0", false),
            ("1.1.0-rc.1", "1.0.0", false),
            ("1.1.0-rc.2", "1.1.0-rc.1", true),
            ("1.1.0", "1.1.0-rc.1", true),
            ("0.9.0", "1.0.0", false),
        ] {
            assert_eq!(version(new).is_news_to(&version(pinned)), news, "{new}");
        }
    }

    #[test]
    fn a_tag_has_no_plus() {
        let version = version("1.2.3-rc.1+build.5");
        assert_eq!(version.tag(), "1.2.3-rc.1_build.5");
        assert_eq!(Version::of_tag(&version.tag()), Some(version));
        assert_eq!(Version::of_tag("latest"), None);
    }
}
