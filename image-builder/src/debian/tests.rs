//! The whole room on small images and repositories.

use super::testing::{Web, image, index, now};
use super::*;
use crate::overlay::memory::MemoryBase;

fn run(base: &MemoryBase, web: &Web, wanted: &str) -> anyhow::Result<Resolution> {
    let wanted: Vec<String> = wanted.split_whitespace().map(str::to_owned).collect();
    resolve(base, &wanted, web, now())
}

/// Names and versions in order, and after a bar the notes.
fn words(resolution: &Resolution) -> String {
    let packages = resolution.packages.iter();
    let packages: Vec<String> = packages
        .map(|deb| format!("{} {}", deb.name, deb.version))
        .collect();
    let mut words = packages.join(", ");
    for note in &resolution.notes {
        words += &format!(" | {note}");
    }
    words
}

#[test]
fn the_smallest_set_that_satisfies_debians_rules() {
    for (what, installed, offered, wanted, expected) in [
        (
            "dependencies come first",
            "",
            "a 1; Depends: c, b\nb 1\nc 1; Pre-Depends: b",
            "a",
            "b 1, c 1, a 1",
        ),
        (
            "what is there is not taken again",
            "b 1",
            "a 1; Depends: b\nb 2",
            "a",
            "a 1",
        ),
        ("nothing for what is installed", "a 1", "a 2", "a", ""),
        (
            "the highest version",
            "",
            "a 1.9\na 1.10\na 1.10~rc1",
            "a",
            "a 1.10",
        ),
        (
            "recommendations are not taken",
            "",
            "a 1; Recommends: b\nb 1",
            "a",
            "a 1",
        ),
        (
            "the first alternative",
            "",
            "a 1; Depends: b | c\nb 1\nc 1",
            "a",
            "b 1, a 1",
        ),
        (
            "the installed alternative",
            "c 1",
            "a 1; Depends: b | c\nb 1",
            "a",
            "a 1",
        ),
        (
            "an alternative asked for",
            "",
            "a 1; Depends: b | c\nb 1\nc 1",
            "a c",
            "c 1, a 1",
        ),
        (
            "an alternative that comes anyway",
            "",
            "a 1; Depends: b | c\nb 1\nc 1\nd 1; Depends: e\ne 1; Depends: c",
            "a d",
            "c 1, a 1, e 1, d 1",
        ),
        (
            "the alternative there is",
            "",
            "a 1; Depends: b (>= 2) | c\nb 1\nc 1",
            "a",
            "c 1, a 1",
        ),
        (
            "not one that fails deeper",
            "",
            "a 1; Depends: b | c\nb 1; Depends: d\nc 1",
            "a",
            "c 1, a 1",
        ),
        (
            "a provider",
            "",
            "a 1; Depends: v\nb 1; Provides: v",
            "a",
            "b 1, a 1",
        ),
        (
            "an installed provider",
            "z 1; Provides: v",
            "a 1; Depends: v\nb 1; Provides: v",
            "a",
            "a 1",
        ),
        (
            "the more important provider",
            "",
            "a 1; Depends: v\nb 1; Provides: v\nc 1; Provides: v; Priority: important",
            "a",
            "c 1, a 1",
        ),
        (
            "a version provided",
            "",
            "a 1; Depends: v (>= 2)\nb 1; Provides: v\nc 1; Provides: v (= 2)",
            "a",
            "c 1, a 1",
        ),
        (
            "an upgrade that is needed",
            "b 1",
            "a 1; Depends: b (>= 2)\nb 2",
            "a",
            "b 2, a 1 | the image's b 1 is upgraded to 2: a 1 needs b (>= 2)",
        ),
        (
            "an upgrade for an upgrade",
            "b 1\nc 1; Depends: b (= 1)",
            "a 1; Depends: b (= 2)\nb 2\nc 2; Depends: b (= 2)",
            "a",
            "b 2, a 1, c 2 | the image's b 1 is upgraded to 2",
        ),
        (
            "an upgrade that ends a break",
            "b 1",
            "a 1; Breaks: b (<< 2)\nb 2",
            "a",
            "a 1, b 2 | the image's b 1 is upgraded to 2: something new cannot stand beside it",
        ),
        (
            "never an older version",
            "b 2",
            "a 1; Depends: b | c\nb 1\nc 1",
            "a",
            "a 1",
        ),
        (
            "a conflict is avoided",
            "",
            "a 1; Depends: b | c\nb 1; Conflicts: d\nc 1\nd 1",
            "a d",
            "c 1, a 1, d 1",
        ),
        (
            "only one of a kind",
            "",
            "a 1; Provides: v; Conflicts: v",
            "a",
            "a 1",
        ),
        (
            "rings",
            "",
            "a 1; Depends: b\nb 1; Depends: c\nc 1; Depends: b\nd 1; Depends: c",
            "d a",
            "b 1, c 1, a 1, d 1",
        ),
        (
            "rings with an early one",
            "",
            "a 1; Depends: b\nb 1; Pre-Depends: c\nc 1; Depends: b",
            "a",
            "c 1, b 1, a 1",
        ),
        (
            "any architecture where allowed",
            "",
            "a 1; Depends: p:any\np 1; Multi-Arch: allowed",
            "a",
            "p 1, a 1",
        ),
        (
            "packages for all",
            "",
            "a:all 1; Depends: b\nb 1",
            "a",
            "b 1, a 1",
        ),
        (
            "foreign is good for all",
            "x:armhf 1; Multi-Arch: foreign",
            "a 1; Depends: x\nx 1",
            "a",
            "a 1",
        ),
        (
            "other architectures are not ours",
            "b:armhf 1; Multi-Arch: same",
            "a 1; Depends: b\nb 1; Multi-Arch: same",
            "a",
            "b 1, a 1",
        ),
        (
            "what was unmet before",
            "b 1; Depends: nothing",
            "a 1",
            "a",
            "a 1 | b 1 is installed without `nothing`, which it needs",
        ),
    ] {
        let web = Web::default().trixie(offered);
        let found = run(&image(installed), &web, wanted);
        let found = found.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert!(
            words(&found).starts_with(expected),
            "{what}: {}",
            words(&found)
        );
        let names: Vec<&str> = wanted.split(' ').collect();
        for deb in &found.packages {
            assert_eq!(
                deb.wanted,
                names.contains(&deb.name.as_str()),
                "{what}: {}",
                deb.name
            );
        }
    }
}

#[test]
fn what_cannot_be_is_explained() {
    for (what, installed, offered, wanted, expected) in [
        (
            "an unknown name",
            "",
            "open-iscsi 1",
            "open-isci",
            &["no source of the image has a package `open-isci`; did you mean `open-iscsi`?"][..],
        ),
        (
            "a virtual name",
            "",
            "b 1; Provides: v\nc 1; Provides: v",
            "v",
            &["`v` is no package of its own; ask for one that provides it: b, c"],
        ),
        (
            "a dependency nobody has",
            "",
            "a 1; Depends: b\nb 1; Depends: c (>= 2)\nc 1",
            "a",
            &[
                "  a 1 is asked for\n  a 1 needs b, for which there is b 1\n  b 1 needs c (>= 2), which no source has; there is c 1",
            ],
        ),
        (
            "an installed enemy",
            "t 1; Provides: daemon; Conflicts: daemon",
            "c 1; Provides: daemon; Conflicts: daemon",
            "c",
            &[
                "c 1 is asked for",
                "cannot stand beside",
                "t 1 (installed)",
                "(Conflicts: daemon)",
            ],
        ),
        (
            "another version of a library",
            "l:armhf 1; Multi-Arch: same",
            "a 1; Depends: l\nl 2; Multi-Arch: same",
            "a",
            &[
                "l:armhf 1 (installed) cannot stand beside l 2 (the same name for another architecture",
            ],
        ),
        (
            "a relation that is none",
            "",
            "a 1; Depends: b (1)",
            "a",
            &["a 1 cannot be judged: Depends of a 1: `b (1)` is no relation to a package"],
        ),
        (
            "the broken open-iscsi",
            "",
            "open-iscsi 2.1.12-1",
            "open-iscsi",
            &["open-iscsi 2.1.12-1 is refused: with it Longhorn cannot attach volumes"],
        ),
        (
            "the broken open-iscsi, there already",
            "open-iscsi 2.1.12+ds-1",
            "a 1",
            "open-iscsi",
            &["open-iscsi 2.1.12+ds-1 is refused"],
        ),
    ] {
        let web = Web::default().trixie(offered);
        let error = run(&image(installed), &web, wanted).expect_err(what);
        let error = format!("{error:#}");
        for words in expected {
            assert!(error.contains(words), "{what}: {error}");
        }
    }
    for version in ["2.1.11-1+deb13u2", "2.1.13-1"] {
        let web = Web::default().trixie(&format!("open-iscsi {version}"));
        run(&image(""), &web, "open-iscsi").expect("fit for Longhorn");
    }
}

#[test]
fn the_answer_never_changes() {
    // The solver's maps are seeded anew each time.
    let mut offered = String::from("top 1; Depends: p0, p1, p2, p3, p4\n");
    for n in 0..40 {
        let (left, right) = ((n * 7 + 3) % 40, (n * 11 + 5) % 40);
        offered += &format!(
            "p{n} 1; Depends: p{left} | p{right}; Provides: v{}\n",
            n % 5
        );
        offered += &format!(
            "q{n} 1; Depends: v{}, p{right}; Conflicts: p{}\n",
            n % 5,
            (n + 1) % 40
        );
    }
    let web = Web::default().trixie(&offered);
    let wanted = "top q10 q24";
    let answer =
        |_| run(&image("p2 0.9\np9 0.9"), &web, wanted).map_err(|error| format!("{error:#}"));
    let first = answer(0);
    for n in 1..50 {
        assert_eq!(answer(n), first);
    }
    first.expect("a solution");
    let error = |_| {
        format!(
            "{:#}",
            run(&image(""), &web, "p1 q0 p7 q6").expect_err("q0 and p1")
        )
    };
    assert!((0..50).map(error).all(|other| other == error(0)));
}

#[test]
fn sources_are_ranked_as_apt_ranks_them() {
    let dist = |name: &str| format!("http://m.test/dists/{name}/");
    let file = |packages: &str| [("main/binary-arm64/Packages", index(packages).into_bytes())];
    let backports = "Codename: back\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    let experimental = "Codename: rc\nNotAutomatic: yes\n";
    let web = Web::default()
        .trixie("a 1; Depends: b (>= 1)\nb 1\nsame 1")
        .suite(
            &dist("next"),
            "Suite: next\n",
            &file("a 2; Depends: b (>= 1)\nsame 1"),
        )
        .suite(&dist("back"), backports, &file("a 3\nold 2\nonly 3"))
        .suite(&dist("rc"), experimental, &file("a 4\nold 3"));
    let list = "deb http://m.test trixie main\ndeb http://m.test/ next main\n\
                deb http://m.test back main contrib\ndeb http://m.test rc main\n\
                deb [arch=armhf] http://nowhere.test s main\n";
    let base = image("old 1").files(Part::Root, &[("/etc/apt/sources.list", list)]);
    let base = base.files(
        Part::Root,
        &[("/etc/apt/preferences.d/pin", "Package: *\n")],
    );
    let found = run(&base, &web, "a only same").expect("found");
    let expected = "b 1, a 2, only 3, same 1 | /etc/apt/sources.list:3: http://m.test/dists/back/InRelease \
                    lists no contrib/binary-arm64/Packages | /etc/apt/preferences.d/pin is not evaluated";
    assert!(words(&found).starts_with(expected), "{}", words(&found));
    assert_eq!(found.packages[3].url, "http://m.test/pool/same_1.deb");
}
