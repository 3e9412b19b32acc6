//! `charts.toml` and `charts.lock` as text.

use crate::charts::{Chart, Locked, Oci, Repository, Vendored, Wanted};

const LIST: &str = include_str!("../../../../cluster/charts.toml");

fn wanted(text: &str) -> Vec<Chart> {
    Wanted::parse(text).expect(text).charts
}

#[test]
fn the_list_that_is_shipped_is_read() {
    let charts = wanted(LIST);
    let known = |name: &str| {
        let found = charts.iter().find(|chart| chart.name == name);
        found.expect(name).known.clone()
    };
    assert!(!known("metallb").expect("digest").is_hearsay);
    assert!(known("longhorn").expect("digest").is_hearsay);
    assert_eq!(known("cert-manager"), None);
}

#[test]
fn mistakes_are_told_with_their_line() {
    let chart = "[[chart]]\nname = \"a\"\nrepository = \"https://r.org\"\nversion = \"1.0.0\"\n";
    let digest = format!("sha256 = \"{}\"\n", "ab".repeat(32));
    for (text, line, why) in [
        ("", 1, "missing field `version`"),
        ("version = 2\n", 1, "this is version 2"),
        ("version = 1\nversion = 1\n", 2, "duplicate key"),
        ("version = 1\ncharts = 1\n", 2, "unknown field"),
        (&format!("version = 1\n{chart}{chart}"), 6, "is here twice"),
        (
            &format!("version = 1\n{chart}sha = 1\n"),
            6,
            "unknown field",
        ),
        (
            &format!("version = 1\n{chart}{digest}"),
            2,
            "say in `sha256_from`",
        ),
        (
            &format!("version = 1\n{chart}sha256_from = \"x\"\n"),
            2,
            "there is none",
        ),
        (
            &format!("version = 1\n{chart}unconfirmed = true\n"),
            2,
            "there is none",
        ),
        (
            &format!("version = 1\n{chart}sha256 = \"ab\"\nsha256_from = \"x\"\n"),
            2,
            "is not a sha256",
        ),
        (
            &format!("version = 1\n{}", chart.replace("1.0.0", "latest")),
            2,
            "is not a version",
        ),
        (
            &format!("version = 1\n{}", chart.replace("\"a\"", "\"../a\"")),
            2,
            "is not a chart's name",
        ),
        (
            &format!("version = 1\n{}", chart.replace("\"a\"", "\"\"")),
            2,
            "is not a chart's name",
        ),
        (
            &format!("version = 1\n{}", chart.replace("https://", "ftp://")),
            2,
            "is not a web address",
        ),
        (
            &format!(
                "version = 1\n{}",
                chart.replace("https://", "https://me:pw@")
            ),
            2,
            "user name or password",
        ),
    ] {
        let wrong = Wanted::parse(text).expect_err(text);
        assert_eq!(wrong.line, line, "{text}: {}", wrong.why);
        assert!(wrong.why.contains(why), "{text}: {}", wrong.why);
        assert!(!wrong.why.contains("pw"), "{}", wrong.why);
    }
}

#[test]
fn repositories_are_of_two_kinds() {
    for (text, shown) in [
        ("https://r.org/charts/", "https://r.org/charts"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("file:///srv/charts", "file:///srv/charts"),
        (
            "oci://registry.example.org/argo",
            "oci://registry.example.org/argo",
        ),
        ("oci://localhost:5000/a/b_c/", "oci://localhost:5000/a/b_c"),
    ] {
        assert_eq!(Repository::parse(text).expect(text).to_string(), shown);
    }
    for bad in [
        "r.org",
        "oci://",
        "oci://r.io",
        "oci://r.io/",
        "oci://r.io/a//b",
        "oci://r.io/../b",
        "oci://r.io/A",
        "oci://me:pw@r.io/a",
        "oci://r.io/a?b",
        "https://r.org/?b",
    ] {
        assert!(Repository::parse(bad).is_err(), "{bad}");
    }
}

/// The text of version 1: read for as long as locks of version 1 exist.
const LOCK: &str = r#"version = 1

[[chart]]
name = "a"
repository = "https://r.org"
version = "1.0.0"
app_version = "1.10"
url = "https://r.org/a-1.0.0.tgz"
sha256 = "cdf4f3bfac35ae947b46e4e767f935453810549779ac3290e05a6754aee627e5"
size = 12
digest_from = "https://r.org/index.yaml"
files = 2
tree = "5da77e33b60407a0861bd90a0ab2822214f18d3e0e66ad98fbe2674743dd81b1"

[[chart]]
name = "b"
repository = "oci://r.io/x"
version = "v2.0.0"
url = "https://r.io/v2/x/b/blobs/sha256:62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45"
sha256 = "62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45"
size = 13
digest_from = "https://r.io/v2/x/b/manifests/v2.0.0"
files = 3
tree = "5da77e33b60407a0861bd90a0ab2822214f18d3e0e66ad98fbe2674743dd81b1"

[chart.oci]
manifest = "sha256:cdf4f3bfac35ae947b46e4e767f935453810549779ac3290e05a6754aee627e5"
layer = "sha256:62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45"
"#;

#[test]
fn the_lock_is_read_as_it_was_written() {
    let locked = Locked::parse(LOCK).expect("version 1");
    assert!(locked.render().ends_with(LOCK), "{}", locked.render());
    let oci: &Oci = locked
        .get("b")
        .and_then(|entry| entry.oci.as_ref())
        .expect("OCI");
    assert!(oci.layer.starts_with("sha256:62d0"));
    assert_eq!(
        Locked::parse(&Locked::default().render()),
        Ok(Locked::default())
    );
}

#[test]
fn what_no_lock_of_ours_has_is_refused() {
    for (from, to) in [
        ("version = 1\n", "version = 2\n"),
        ("cdf4", "CDF4"),
        ("name = \"a\"", "name = \"../a\""),
        ("name = \"a\"", "name = \"c\""),
        ("name = \"a\"", "name = \"b\""),
        ("https://r.org/a", "ssh://r.org/a"),
        ("oci://r.io", "oci://r.io/.."),
        ("\"v2.0.0\"\nurl", "\"latest\"\nurl"),
        ("layer = \"sha256:", "layer = \"sha512:"),
        ("size = 12", "size = -1"),
        ("files = 2", "files = 2\nmore = 1"),
    ] {
        assert!(LOCK.contains(from), "{from}");
        assert!(Locked::parse(&LOCK.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn entries_are_put_in_their_place() {
    let mut locked = Locked::parse(LOCK).expect("version 1");
    let entry = |name: &str| Vendored {
        name: name.into(),
        ..locked.charts[0].clone()
    };
    let (first, last) = (entry("0"), entry("c"));
    let other = Vendored {
        version: "1.1.0".into(),
        ..entry("a")
    };
    for new in [last, first, other] {
        locked.put(new);
    }
    let names: Vec<_> = locked
        .charts
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(names, ["0", "a", "b", "c"]);
    assert_eq!(
        locked.get("a").map(|entry| entry.version.as_str()),
        Some("1.1.0")
    );
    locked.remove("b");
    assert_eq!(locked.get("b"), None);
}

#[test]
fn a_wish_is_compared_with_what_was_taken() {
    let locked = Locked::parse(LOCK).expect("version 1");
    let wish = |repository: &str, version: &str, rest: &str| {
        let text = format!(
            "version = 1\n[[chart]]\nname = \"b\"\nrepository = \"{repository}\"\nversion = \"{version}\"\n{rest}"
        );
        wanted(&text).remove(0)
    };
    let entry = locked.get("b").expect("b");
    let other = format!("sha256 = \"{}\"\nsha256_from = \"x\"\n", "ab".repeat(32));
    for (wish, misses) in [
        (wish("oci://r.io/x/", "2.0.0", ""), None),
        (
            wish("oci://r.io/y", "2.0.0", ""),
            Some("wanted is that of oci://r.io/y"),
        ),
        (
            wish("oci://r.io/x", "2.0.1", ""),
            Some("is v2.0.0, wanted is 2.0.1"),
        ),
        (
            wish("oci://r.io/x", "v2.0.0", &other),
            Some("charts.toml says abab"),
        ),
    ] {
        let found = entry.misses(&wish);
        assert_eq!(found.is_some(), misses.is_some(), "{found:?}");
        assert!(
            found
                .unwrap_or_default()
                .contains(misses.unwrap_or_default())
        );
    }
}
