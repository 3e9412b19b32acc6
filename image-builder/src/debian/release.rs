//! `Release`: what a repository has, each file by size and sha256
//! (wiki.debian.org/DebianRepository/Format).

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::stanza::{Field, stanzas};

/// A repository's table of contents, after its signature was checked.
#[derive(Debug, Clone)]
pub(super) struct Release {
    pub(super) suite: Option<String>,
    pub(super) codename: Option<String>,
    date: OffsetDateTime,
    valid_until: Option<OffsetDateTime>,
    /// Files are also found under their digest, where a change of the
    /// repository in the middle of reading it does no harm.
    pub(super) by_hash: bool,
    /// The architecture's own index has those for all, too.
    pub(super) all_in_each: bool,
    /// apt's priority (apt_preferences(5)): 500, or less for backports and the
    /// like, which nothing is taken from unless asked for.
    pub(super) priority: u16,
    files: BTreeMap<String, Listed>,
}

/// A file as `Release` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// In bytes.
    pub(super) size: u64,
    /// 64 lower-case hexadecimal digits.
    pub(super) sha256: String,
}

/// An installed package's priority: a source below it upgrades nothing.
pub(super) const INSTALLED_PRIORITY: u16 = 100;

impl Release {
    /// Reads the signed text.
    ///
    /// # Errors
    /// When something it must have is missing or cannot be read.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let first = stanzas(text).next().context("it is empty")?;
        let stanza = first?;
        let date = |name: &str| -> anyhow::Result<Option<OffsetDateTime>> {
            let Some(value) = stanza.value(name) else {
                return Ok(None);
            };
            Ok(Some(
                parse_date(value).with_context(|| format!("its {name} is `{value}`"))?,
            ))
        };
        let table = stanza.field("SHA256");
        let table = table.context("it lists no files by SHA256; older digests are not taken")?;
        let owned = |name: &str| stanza.value(name).map(str::to_owned);
        Ok(Self {
            suite: owned("Suite"),
            codename: owned("Codename"),
            date: date("Date")?.context("it has no Date")?,
            valid_until: date("Valid-Until")?,
            by_hash: stanza.is_yes("Acquire-By-Hash"),
            all_in_each: stanza
                .value("No-Support-for-Architecture-all")
                .is_some_and(|what| what == "Packages"),
            priority: match (
                stanza.is_yes("NotAutomatic"),
                stanza.is_yes("ButAutomaticUpgrades"),
            ) {
                (false, _) => 500,
                (true, true) => INSTALLED_PRIORITY,
                (true, false) => 1,
            },
            files: files(table)?,
        })
    }

    /// Whether it may be used at this time.
    ///
    /// # Errors
    /// When it is from the future or no longer valid.
    pub(super) fn check(&self, at: OffsetDateTime) -> anyhow::Result<()> {
        if let Some(until) = self.valid_until.filter(|until| *until < at) {
            bail!(
                "it expired at {until}, and it is {at}; the mirror is stale, or somebody shows an \
                 old state of it: use another mirror"
            );
        }
        if self.date > at {
            bail!(
                "it was made at {}, and it is {at}: set the clock",
                self.date
            );
        }
        Ok(())
    }

    /// The file at this path, if it is listed.
    pub(super) fn file(&self, path: &str) -> Option<&Listed> {
        self.files.get(path)
    }
}

fn files(table: Field<'_>) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut files = BTreeMap::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let unclear = || format!("its list of files has the line `{line}`");
        let [sha256, size, path] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!(unclear());
        };
        if !is_sha256(sha256) {
            bail!(unclear());
        }
        let listed = Listed {
            size: size.parse().with_context(unclear)?,
            sha256: sha256.to_ascii_lowercase(),
        };
        files.insert(path.to_owned(), listed);
    }
    Ok(files)
}

/// Whether this is a sha256 in hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `Sat, 15 Nov 2025 09:51:34 UTC`, which RFC 2822 would write with GMT.
fn parse_date(text: &str) -> anyhow::Result<OffsetDateTime> {
    let text = match text.strip_suffix("UTC") {
        Some(rest) => format!("{rest}+0000"),
        None => text.to_owned(),
    };
    Ok(OffsetDateTime::parse(&text, &Rfc2822)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_763_200_294 + seconds).expect("a time")
    }

    fn release(more: &str) -> anyhow::Result<Release> {
        let head = "Suite: stable\nCodename: trixie\nDate: Sat, 15 Nov 2025 09:51:34 UTC\n";
        Release::parse(&format!(
            "{head}{more}SHA256:\n {ZERO} 12 main/binary-arm64/Packages\n"
        ))
    }

    #[test]
    fn files_and_settings_are_read() {
        let text = "Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n";
        let release = release(text).expect("release");
        assert!(release.by_hash && release.all_in_each);
        let listed = release.file("main/binary-arm64/Packages").expect("listed");
        assert_eq!((listed.size, listed.sha256.as_str()), (12, ZERO));
        assert_eq!(release.file("Packages"), None);
        assert_eq!(release.date, at(0));
    }

    #[test]
    fn priorities_are_those_of_apt() {
        for (text, expected) in [
            ("", 500),
            ("NotAutomatic: yes\n", 1),
            ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", 100),
        ] {
            assert_eq!(release(text).expect("release").priority, expected, "{text}");
        }
    }

    #[test]
    fn old_and_future_releases_are_refused() {
        let until = "Valid-Until: Sat, 22 Nov 2025 09:51:34 +0000\n";
        let week = 7 * 86400;
        for (more, seconds, expected) in [
            ("", 0, None),
            ("", 1000 * week, None),
            ("", -1, Some("it was made at 2025-11-15")),
            (until, week, None),
            (until, week + 1, Some("it expired at 2025-11-22")),
        ] {
            let checked = release(more).expect("release").check(at(seconds));
            match expected {
                None => checked.expect("fine"),
                Some(words) => {
                    let error = checked.expect_err(words).to_string();
                    assert!(error.starts_with(words), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_release_is_said() {
        for (text, expected) in [
            ("", "it is empty"),
            ("SHA256:\n", "it has no Date"),
            ("Date: today\nSHA256:\n", "its Date is `today`"),
            (
                "Date: Sat, 15 Nov 2025 09:51:34 UTC\nMD5Sum:\n",
                "it lists no files by SHA256",
            ),
            (
                "SHA256:\n 00 12 main\nDate: Sat, 15 Nov 2025 09:51:34 UTC\n",
                "its list of files",
            ),
        ] {
            let error = Release::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
