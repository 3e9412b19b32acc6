//! Repositories with an index.

use std::fs;

use imgbuild::fetch::FetchError;

use super::shop::{Shop, chart, entry, index, packed, server};
use crate::lab::sha256;
use crate::server::Server;

/// A repository with one chart `a` 1.0.0, whose archive is `archive` and whose entry
/// is changed.
fn with_entry(archive: &[u8], change: impl Fn(String) -> String) -> Server {
    let entry = change(entry("1.0.0", "a.tgz", archive));
    let index = index(&[("a", &[entry])]);
    server(&[
        ("/r/index.yaml", index.into_bytes()),
        ("/r/a.tgz", archive.to_vec()),
    ])
}

fn wanting(server: &Server, more: &str) -> Shop {
    let shop = Shop::new();
    shop.want(&[("a", &server.url("/r"), "1.0.0", more)]);
    shop
}

#[test]
fn charts_are_where_their_index_says() {
    let (a, b) = (chart("a", "1.2.0"), chart("b", "v2.0.0"));
    let elsewhere = server(&[("/moved/b.tgz", b.clone())]);
    let there = elsewhere.url("/moved/b.tgz");
    let (a_body, b_body) = (a.clone(), b.clone());
    let repository = Server::start(move |_, request, wire| match super::shop::path(request) {
        "/r/index.yaml" => {
            let a = [
                entry("1.3.0", "no", &[]),
                entry("1.2.0", "sub/a.tgz", &a_body),
            ];
            let b = [entry("v2.0.0", "/b.tgz", &b_body)];
            wire.file(request, index(&[("a", &a), ("b", &b)]).as_bytes())
        }
        "/r/sub/a.tgz" => wire.file(request, &a_body),
        "/b.tgz" => wire.status("302 Found", &[("Location", &there)]),
        _ => wire.status("404 Not Found", &[]),
    });
    let mut shop = Shop::new();
    let at = repository.url("/r");
    shop.want(&[
        ("b", &at, "2.0.0", ""),
        ("a", &format!("{at}/"), "1.2.0", ""),
    ]);
    let outcomes = shop.vendor().expect("vendored");
    assert_eq!(outcomes.len(), 2);
    assert_eq!(shop.names(), ["a", "b"]);
    assert_eq!(
        fs::read_to_string(shop.at("a/values.yaml")).expect("file"),
        "replicas: 1\n"
    );
    let indexes = repository
        .requests()
        .iter()
        .filter(|request| request.line.contains("index"))
        .count();
    assert_eq!(indexes, 1, "one index for both");

    let lock = shop.lock();
    let entry = lock.get("b").expect("b");
    // As its publisher writes it; the list says 2.0.0.
    assert_eq!(entry.version, "v2.0.0");
    assert_eq!(entry.app_version.as_deref(), Some("1.10"));
    assert_eq!(
        (entry.sha256.as_str(), entry.size),
        (sha256(&b).as_str(), b.len() as u64)
    );
    assert_eq!(entry.url, repository.url("/b.tgz"));
    assert_eq!(entry.digest_from, repository.url("/r/index.yaml"));
    assert_eq!((entry.files, entry.oci.as_ref()), (3, None));
    assert_eq!(shop.check(), [] as [&str; 0]);

    // Again: nobody is asked, nothing is written.
    let asked = repository.requests().len();
    let before = fs::metadata(shop.places().lock)
        .expect("lock")
        .modified()
        .expect("time");
    assert_eq!(shop.vendor().expect("nothing"), []);
    assert_eq!(repository.requests().len(), asked);
    assert_eq!(
        fs::metadata(shop.places().lock)
            .expect("lock")
            .modified()
            .expect("time"),
        before
    );
}

#[test]
fn other_bytes_than_the_index_says_are_refused() {
    let archive = chart("a", "1.0.0");
    let other = sha256(b"other");
    let server = with_entry(&archive, |entry| entry.replace(&sha256(&archive), &other));
    let mut shop = wanting(&server, "");
    let error = shop.vendor().expect_err("refused");
    let digest = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<FetchError>());
    assert!(
        matches!(digest, Some(FetchError::Digest { .. })),
        "{error:#}"
    );
    shop.refused();
}

#[test]
fn the_list_and_the_index_must_agree() {
    let archive = chart("a", "1.0.0");
    let server = with_entry(&archive, |entry| entry);
    let known = |sha256: &str, more: &str| {
        format!("sha256 = \"{sha256}\"\nsha256_from = \"a friend\"\n{more}")
    };
    let (right, wrong) = (sha256(&archive), sha256(b"other"));
    let reason = wanting(&server, &known(&wrong, "")).refused();
    assert!(
        reason.contains("do not use it before you know") && reason.contains("a friend"),
        "{reason}"
    );
    let reason = wanting(&server, &known(&wrong, "unconfirmed = true\n")).refused();
    assert!(reason.contains("hearsay"), "{reason}");
    for (more, notes) in [("", 0), ("unconfirmed = true\n", 1)] {
        let mut shop = wanting(&server, &known(&right, more));
        shop.vendor().expect("agreed");
        assert_eq!(shop.notes.len(), notes, "{:?}", shop.notes);
    }
}

#[test]
fn an_index_without_digests_needs_one_in_the_list() {
    let archive = chart("a", "1.0.0");
    let without = format!("    digest: {}\n", sha256(&archive));
    let server = with_entry(&archive, |entry| entry.replace(&without, ""));
    let reason = wanting(&server, "").refused();
    assert!(reason.contains("gives no digest for a 1.0.0"), "{reason}");
    let known = format!("sha256 = \"{}\"\nsha256_from = \"me\"\n", sha256(&archive));
    let mut shop = wanting(&server, &known);
    shop.vendor().expect("vendored");
    assert_eq!(
        shop.lock().get("a").expect("a").digest_from,
        "charts.toml: me"
    );
    let wrong = known.replace(&sha256(&archive), &sha256(b"other"));
    wanting(&server, &wrong).refused();
}

#[test]
fn an_index_that_is_not_good_is_told() {
    let archive = chart("a", "1.0.0");
    for (from, to, why) in [
        ("urls:\n    - a.tgz", "more: 1", "the index names none"),
        ("- a.tgz", "- file:///etc/passwd", "a file of this machine"),
        (
            "- a.tgz",
            "- https://me:hunter2@h/a.tgz",
            "user name or password",
        ),
        ("- a.tgz", "- ftp://h/a.tgz", "not a web address"),
        ("- a.tgz", "- b.tgz", "no such file"),
        (&sha256(&archive), "abc", "is not a sha256"),
        ("1.0.0", "1.0.1", "its newest is 1.0.1"),
        ("1.0.0", "one", "look whether the name"),
        ("urls:", "urls: {", "is not an index of charts"),
    ] {
        let server = with_entry(&archive, |entry| {
            assert!(entry.contains(from), "{from}");
            entry.replacen(from, to, 1)
        });
        let reason = wanting(&server, "").refused();
        assert!(reason.contains(why), "{from}: {reason}");
    }
    let gone = server(&[]);
    let reason = wanting(&gone, "").refused();
    assert!(reason.contains("reading the index"), "{reason}");
}

#[test]
fn an_archive_that_is_not_the_chart_is_refused() {
    let meta =
        |name: &str, version: &str, more: &str| format!("name: {name}\nversion: {version}\n{more}");
    let needs_b = "dependencies:\n- name: b\n  version: 1.x\n";
    let good = meta("a", "1.0.0", "");
    let (with_b, b) = (meta("a", "1.0.0", needs_b), meta("b", "1.0.0", ""));
    let c_needs_b = meta("c", "1.0.0", needs_b);
    let with_c = meta("a", "1.0.0", "dependencies: [{name: c}]\n");
    for (files, why) in [
        (&[("values.yaml", "x: 1\n")][..], "no Chart.yaml"),
        (&[("Chart.yaml", "{")], "cannot be read"),
        (
            &[("Chart.yaml", &meta("b", "1.0.0", ""))],
            "that of b 1.0.0",
        ),
        (
            &[("Chart.yaml", &meta("a", "1.0.1", ""))],
            "that of a 1.0.1",
        ),
        (&[("Chart.yaml", &with_b)], "needs the chart \"b\""),
        (
            &[("Chart.yaml", &with_b), ("charts/b/values.yaml", "")],
            "in it: it has no Chart.yaml",
        ),
        (
            &[("Chart.yaml", &with_c), ("charts/c/Chart.yaml", &c_needs_b)],
            "\"c\" in it: it needs the chart \"b\"",
        ),
        (
            &[("Chart.yaml", &good), ("requirements.yaml", needs_b)],
            "needs the chart \"b\"",
        ),
    ] {
        let server = with_entry(&packed("a", files), |entry| entry);
        let reason = wanting(&server, "").refused();
        assert!(reason.contains(why), "{why}: {reason}");
    }
    for files in [
        &[("Chart.yaml", with_b.as_str()), ("charts/b/Chart.yaml", &b)][..],
        &[("Chart.yaml", &with_b), ("charts/b-1.2.3.tgz", "packed")],
    ] {
        let server = with_entry(&packed("a", files), |entry| entry);
        wanting(&server, "").vendor().expect("complete");
    }
    // In a folder of another name, and no archive at all.
    for archive in [packed("b", &[("Chart.yaml", &good)]), b"<html>".to_vec()] {
        let server = with_entry(&archive, |entry| entry);
        let reason = wanting(&server, "").refused();
        assert!(
            reason.contains("the archive of a 1.0.0 is refused"),
            "{reason}"
        );
    }
}

#[test]
fn what_is_newer_is_shown() {
    let entries = |versions: &[&str]| -> Vec<String> {
        versions
            .iter()
            .map(|version| entry(version, "x", &[]))
            .collect()
    };
    let deprecated = entry("1.0.0", "x", &[]) + "    deprecated: true\n";
    let index = index(&[
        ("a", &entries(&["1.9.0", "1.10.0", "2.0.0-rc.1", "not one"])),
        ("b", &entries(&["2.0.0-rc.2", "2.0.0-rc.1", "1.0.0"])),
        ("c", &[deprecated]),
        ("d", &entries(&["v1.2.3"])),
    ]);
    let server = server(&[("/index.yaml", index.into_bytes())]);
    let shop = Shop::new();
    let at = server.url("");
    shop.want(&[
        ("a", &at, "1.9.0", ""),
        ("b", &at, "2.0.0-rc.1", ""),
        ("c", &at, "1.0.0", ""),
        ("d", &at, "1.2.3", ""),
    ]);
    let news = shop.news().expect("news");
    let found: Vec<_> = news
        .iter()
        .map(|news| {
            (
                news.newer.as_ref().map(|version| version.to_string()),
                news.is_deprecated,
            )
        })
        .collect();
    let newer = |text: &str| Some(text.to_owned());
    assert_eq!(
        found,
        [
            (newer("1.10.0"), false),
            (newer("2.0.0-rc.2"), false),
            (None, true),
            (None, false)
        ]
    );
    shop.want(&[("x", &at, "1.0.0", "")]);
    let error = shop.news().expect_err("gone").to_string();
    assert!(error.contains("has no chart \"x\""), "{error}");
}
