//! `index.yaml` of a repository (helm.sh, "The Chart Repository Guide"), read as it
//! streams by: some have a hundred megabytes, of which a few entries are wanted.
//! JSON is YAML, and some indexes are that.

use std::collections::BTreeMap;
use std::io::Read;

use super::Version;
use super::yaml::{Events, Item, YamlError, form};

/// The longest entry of one version, in bytes of text: a chart's changelog may be in
/// it. It is the most of an index that is in memory at a time.
const ENTRY: u64 = 4 << 20;

/// Longest text that is kept of an entry; URLs are the longest.
const TEXT: usize = 2048;

/// Most versions of one chart that are kept; the largest known index has some
/// thousands.
const VERSIONS: usize = 20_000;

/// The versions of the charts that were asked for; a chart that has none is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing(pub BTreeMap<String, Vec<Release>>);

/// One version of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// As its publisher writes it.
    pub version: Version,
    /// The version of what it installs.
    pub app_version: Option<String>,
    /// sha256 of its archive as the index has it.
    pub digest: Option<String>,
    /// Where its archive is: a URL, or what comes behind the repository's.
    pub url: Option<String>,
    /// Whether its publisher gave it up.
    pub is_deprecated: bool,
}

/// Reads the charts `names` out of an index. What is no version at all is passed
/// over, as Helm does.
///
/// # Errors
/// When it is no index, or `index` cannot be read.
pub fn read(index: impl Read, names: &[&str]) -> Result<Listing, YamlError> {
    let mut events = Events::of_map(index, ENTRY)?;
    let mut listing = None;
    while let Some(key) = events.key()? {
        events.ration();
        match key.as_str() {
            "entries" => listing = Some(entries(&mut events, names)?),
            _ => events.skip()?,
        }
    }
    events.finish()?;
    listing.ok_or_else(|| form("it has no `entries`"))
}

/// What is below `entries`: a list for each chart.
fn entries<R: Read>(events: &mut Events<'_, R>, names: &[&str]) -> Result<Listing, YamlError> {
    let mut listing = Listing::default();
    match events.next()? {
        // An empty repository.
        Item::Null => return Ok(listing),
        Item::Map => {}
        _ => return Err(form("its `entries` are not charts by name")),
    }
    while let Some(name) = events.key()? {
        events.ration();
        if !events.list(&name)? {
            continue;
        }
        let is_wanted = names.contains(&name.as_str());
        let mut releases = Vec::new();
        loop {
            let item = events.next()?;
            match item {
                Item::End => break,
                Item::Map if is_wanted => releases.extend(release(events)?),
                item => events.skip_rest(&item)?,
            }
            events.ration();
            if releases.len() > VERSIONS {
                return Err(form(&format!("a chart has more than {VERSIONS} versions")));
            }
        }
        if !releases.is_empty() {
            listing.0.insert(name, releases);
        }
    }
    Ok(listing)
}

/// One version, what is not needed left out.
fn release<R: Read>(events: &mut Events<'_, R>) -> Result<Option<Release>, YamlError> {
    let (mut version, mut app_version, mut digest) = (None, None, None);
    let (mut url, mut deprecated) = (None, None);
    while let Some(key) = events.key()? {
        let into = match key.as_str() {
            "version" => &mut version,
            "appVersion" => &mut app_version,
            "digest" => &mut digest,
            "deprecated" => &mut deprecated,
            "urls" => {
                url = first(events)?;
                continue;
            }
            _ => {
                events.skip()?;
                continue;
            }
        };
        *into = events.text(&key)?.filter(|text| is_short(text));
    }
    let version = version.and_then(|text| Version::parse(&text));
    Ok(version.map(|version| Release {
        version,
        app_version,
        digest,
        url,
        is_deprecated: deprecated.as_deref() == Some("true"),
    }))
}

/// The first good one of a list of URLs.
fn first<R: Read>(events: &mut Events<'_, R>) -> Result<Option<String>, YamlError> {
    let mut found = None;
    if !events.list("urls")? {
        return Ok(found);
    }
    loop {
        match events.next()? {
            Item::End => return Ok(found),
            Item::Text(url) if is_short(&url) => found = found.or(Some(url)),
            item => events.skip_rest(&item)?,
        }
    }
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const INDEX: &str = "\
apiVersion: v1
entries:
  a:
  - apiVersion: v2
    appVersion: 1.10
    created: \"2026-08-10T00:00:00Z\"
    dependencies:
    - name: b
      version: 1.x
    description: |
      several
      lines: of it
    digest: 00ff
    name: a
    urls:
    - charts/a-1.2.0.tgz
    - https://elsewhere.org/a-1.2.0.tgz
    version: 1.2.0
  - name: a
    version: not one
    urls: [x]
  - name: a
    deprecated: true
    version: v1.1.0
    urls:
  b: []
  c:
  - version: 9.0.0
generated: \"2026-08-10T00:00:00Z\"
";

    fn listing(text: &str, names: &[&str]) -> Result<Listing, YamlError> {
        read(text.as_bytes(), names)
    }

    #[test]
    fn what_is_wanted_is_read_and_nothing_else() {
        let found = listing(INDEX, &["a", "b", "x"]).expect("index").0;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
        let [new, old] = &found["a"][..] else {
            panic!("{found:?}");
        };
        assert_eq!(new.version.as_str(), "1.2.0");
        assert_eq!(new.app_version.as_deref(), Some("1.10"));
        assert_eq!(new.digest.as_deref(), Some("00ff"));
        assert_eq!(new.url.as_deref(), Some("charts/a-1.2.0.tgz"));
        assert_eq!((old.version.as_str(), old.url.as_deref()), ("v1.1.0", None));
        assert!(old.is_deprecated && !new.is_deprecated);
    }

    #[test]
    fn json_is_an_index_too() {
        let json = r#"{"apiVersion":"v1","entries":{"a":[{"version":"1.0.0","urls":["u"]}],"b":null},"x":[1]}"#;
        assert_eq!(
            listing(json, &["a"]).expect("index").0["a"][0]
                .url
                .as_deref(),
            Some("u")
        );
        assert_eq!(
            listing("entries: {}", &["a"]).expect("empty"),
            Listing::default()
        );
        assert_eq!(
            listing("entries:\n", &["a"]).expect("empty"),
            Listing::default()
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            "",
            "<!DOCTYPE html>",
            "- a",
            "apiVersion: v1\n",
            "entries: {a: [{version: [1]}]}",
            "entries: {a: 1}",
            "entries: {a: &x [{version: 1.0.0}], b: *x}",
            "entries: {a: [{version: 1.0.0}]",
            "entries: {}\n---\nentries: {}\n",
        ] {
            let error = listing(bad, &["a", "b"]).expect_err(bad);
            assert!(matches!(error, YamlError::Form(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_between_two_entries_is_longer_than_memory_allows() {
        let long = |len: u64| {
            let head = "entries:\n  a:\n  - version: 1.0.0\n    description: ".as_bytes();
            let tail = "\n  - version: 2.0.0\n".as_bytes();
            read(head.chain(io::repeat(b'x').take(len)).chain(tail), &["a"])
        };
        assert_eq!(long(ENTRY / 2).expect("a long one").0["a"].len(), 2);
        let error = long(ENTRY + 1).expect_err("too long").to_string();
        assert!(error.contains("between two entries"), "{error}");
    }

    #[test]
    fn what_the_system_says_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let error = read("entries:\n".as_bytes().chain(Broken), &["a"]).expect_err("broken");
        assert!(matches!(&error, YamlError::Read(_)), "{error}");
    }
}
