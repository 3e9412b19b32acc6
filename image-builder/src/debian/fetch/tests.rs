use std::io::Write as _;

use super::*;
use crate::debian::sources;
use crate::debian::testing::{KEY, Web, image, index, now};
use crate::overlay::Part;
use crate::overlay::memory::MemoryBase;

const DIST: &str = "http://m.test/dists/trixie/";
const PATH: &str = "main/binary-arm64/Packages";
const TRIXIE: &str = "Codename: trixie\n";

fn fetch(base: &MemoryBase, web: &Web) -> anyhow::Result<Fetched> {
    indices(&sources::read(base)?, base, "arm64", web, now())
}

fn with_list(list: &str) -> MemoryBase {
    image("").files(Part::Root, &[("/etc/apt/sources.list", list)])
}

fn gz(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).expect("gz");
    writer.finish().expect("gz")
}

fn xz(text: &str) -> Vec<u8> {
    let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
    writer.write_all(text.as_bytes()).expect("xz");
    writer.finish().expect("xz")
}

#[test]
fn the_smallest_form_that_is_listed_is_taken() {
    let text = index("a 1");
    let (plain, gz, xz) = (text.clone().into_bytes(), gz(&text), xz(&text));
    let name = |ending: &str| format!("{PATH}{ending}");
    for forms in [
        vec![("", plain.clone())],
        vec![("", plain.clone()), (".gz", gz.clone())],
        vec![(".gz", gz.clone())],
        vec![
            ("", plain.clone()),
            (".gz", gz.clone()),
            (".xz", xz.clone()),
        ],
    ] {
        let names: Vec<String> = forms.iter().map(|(ending, _)| name(ending)).collect();
        let files = names
            .iter()
            .zip(&forms)
            .map(|(name, (_, bytes))| (&name[..], bytes.clone()));
        let mut web = Web::default().suite(DIST, TRIXIE, &files.collect::<Vec<_>>());
        // The others are listed, but not there.
        for name in &names[..names.len() - 1] {
            web.0.remove(&format!("{DIST}{name}"));
        }
        let fetched = fetch(&image(""), &web).expect("fetched");
        assert_eq!(fetched.indices[0].text, text);
        assert_eq!(fetched.addresses, ["http://m.test/"]);
    }
}

#[test]
fn files_are_found_under_their_digest_where_that_is_offered() {
    let bytes = index("a 1").into_bytes();
    let sha256 = hex(&Sha256::digest(&bytes));
    let by_hash = format!("{DIST}main/binary-arm64/by-hash/SHA256/{sha256}");
    let settings = format!("{TRIXIE}Acquire-By-Hash: yes\n");
    let mut web = Web::default().suite(DIST, &settings, &[(PATH, bytes.clone())]);
    web.0
        .insert(format!("{DIST}{PATH}"), b"of the next update".to_vec());
    fetch(&image(""), &web).expect_err("nothing is there");
    web.0.insert(by_hash, bytes);
    fetch(&image(""), &web).expect("fetched");
}

#[test]
fn packages_for_all_are_where_the_release_says() {
    let all = ("main/binary-all/Packages", index("b:all 1").into_bytes());
    let files = [(PATH, index("a 1").into_bytes()), all];
    for (more, expected) in [("", 2), ("No-Support-for-Architecture-all: Packages\n", 1)] {
        let web = Web::default().suite(DIST, &format!("{TRIXIE}{more}"), &files);
        assert_eq!(fetch(&image(""), &web).expect(more).indices.len(), expected);
    }
}

#[test]
fn every_form_of_address_leads_to_the_repository() {
    let flat = [("Packages", index("a 1").into_bytes())];
    let mut web = Web::default()
        .trixie("a 1")
        .suite("http://m.test/flat/", "", &flat)
        .suite("http://m.test/flat/arm64/", "", &flat);
    let mirrors = "# ours\nftp://m.test/\nhttp://m.test\tpriority:1\n";
    web.0
        .insert("http://l.test/list".to_owned(), mirrors.as_bytes().to_vec());
    for (line, expected) in [
        (
            "deb http://m.test/ trixie main",
            "http://m.test/dists/trixie/main/binary-arm64/Packages",
        ),
        ("deb http://m.test/flat ./", "http://m.test/flat/Packages"),
        ("deb http://m.test/flat /", "http://m.test/flat/Packages"),
        (
            "deb http://m.test/flat $(ARCH)/",
            "http://m.test/flat/arm64/Packages",
        ),
        (
            "deb mirror://l.test/list trixie main",
            "http://m.test/dists/trixie/main/binary-arm64/Packages",
        ),
        (
            "deb mirror+http://l.test/list trixie main",
            "http://m.test/dists/trixie/main/binary-arm64/Packages",
        ),
        (
            "deb mirror+file:/etc/mirrors trixie main",
            "http://m.test/dists/trixie/main/binary-arm64/Packages",
        ),
    ] {
        let base = with_list(line).files(Part::Root, &[("/etc/mirrors", mirrors)]);
        let fetched = fetch(&base, &web).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        assert_eq!(fetched.indices[0].name, expected, "{line}");
    }
    let fetched = fetch(&with_list("deb file:/srv/repo ./"), &web).expect("passed over");
    assert_eq!(fetched.indices.len(), 0);
    assert!(fetched.notes[0].starts_with("/etc/apt/sources.list:1: file:/srv/repo is passed over"));
}

#[test]
fn what_is_not_as_signed_is_refused() {
    let packages = index("a 1").into_bytes();
    let good = || Web::default().suite(DIST, TRIXIE, &[(PATH, packages.clone())]);
    let put = |mut web: Web, path: &str, bytes: &[u8]| {
        web.0.insert(format!("{DIST}{path}"), bytes.to_vec());
        web
    };
    let mut other = packages.clone();
    other[0] = b'p';
    let packed = gz(&index("a 1"));
    let cut = [(
        "main/binary-arm64/Packages.gz",
        packed[..packed.len() - 9].to_vec(),
    )];
    let bomb = [
        (PATH, packages.clone()),
        ("main/binary-arm64/Packages.gz", gz(&index("a 1\nb 2"))),
    ];
    let until = format!("{TRIXIE}Valid-Until: Sat, 15 Nov 2025 12:00:00 UTC\n");
    for (what, web, expected) in [
        ("nothing there", Web::default(), "InRelease: not found"),
        (
            "not signed",
            put(good(), "InRelease", b"Codename: trixie\n"),
            "checking the signature of http://m.test/dists/trixie/InRelease",
        ),
        (
            "expired",
            Web::default().suite(DIST, &until, &[(PATH, packages.clone())]),
            "it expired at 2025-11-15 12:00",
        ),
        ("other bytes", put(good(), PATH, &other), "its sha256 is"),
        (
            "fewer bytes",
            put(good(), PATH, &packages[1..]),
            "the signed list says",
        ),
        (
            "more bytes",
            put(good(), PATH, &[&packages[..], b"\n"].concat()),
            "has more than",
        ),
        (
            "cut",
            Web::default().suite(DIST, TRIXIE, &cut),
            "unpacking main/binary-arm64/Packages.gz",
        ),
        (
            "more than listed",
            Web::default().suite(DIST, TRIXIE, &bomb),
            "bytes, unpacked",
        ),
    ] {
        let error = format!("{:#}", fetch(&image(""), &web).expect_err(what));
        assert!(
            error.starts_with("/etc/apt/sources.list:1: reading http://m.test: "),
            "{error}"
        );
        assert!(error.contains(expected), "{what}: {error}");
    }
    let base = image("").files(
        Part::Root,
        &[("/etc/apt/trusted.gpg.d/test.asc", "another key")],
    );
    let error = format!("{:#}", fetch(&base, &good()).expect_err(KEY));
    assert!(
        error.contains("no key of the image has signed it"),
        "{error}"
    );
}

#[test]
fn a_suite_by_another_name_is_told() {
    let web = Web::default().suite(
        DIST,
        "Codename: sid\n",
        &[(PATH, index("a 1").into_bytes())],
    );
    let notes = fetch(&image(""), &web).expect("fetched").notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].ends_with("InRelease calls itself sid, not trixie"),
        "{notes:?}"
    );
}
