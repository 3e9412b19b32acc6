use super::*;
use crate::overlay::memory::MemoryBase;

fn words(source: &Source) -> String {
    let Source {
        place,
        uri,
        suite,
        components,
        architectures,
        signed_by,
    } = source;
    let of = architectures
        .as_ref()
        .map_or(String::new(), |of| format!(" for {}", of.join("+")));
    let by = match signed_by {
        SignedBy::Trusted => String::new(),
        SignedBy::Files(files) => format!(" by {}", files.join("+")),
        SignedBy::Block(block) => format!(" by {block:?}"),
    };
    format!("{place} {uri} {suite} {}{of}{by}", components.join("+"))
}

#[test]
fn both_forms_are_read_in_apts_order() {
    let list = "# comment\ndeb http://m.test/debian trixie main contrib # end\n\
                deb-src http://m.test/debian trixie main\n\
                deb [ arch=arm64,armhf signed-by=/k/a.gpg,/k/b.asc lang=en ] https://x.test/ ./\n";
    let deb822 = "Types: deb deb-src\nURIs: http://a.test\n http://b.test\nSuites: s s-updates\n\
                  Components: main\nArchitectures: arm64\nSigned-By:\n \
                  -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDM\n -----END PGP PUBLIC KEY BLOCK-----\n\n\
                  Types: deb-src\nURIs: http://c.test\n\n\
                  Enabled: no\nTypes: deb\nURIs: http://d.test\nSuites: s\nComponents: main\n\n\
                  Types: deb\nURIs: http://e.test\nSuites: s\nComponents: main\nSigned-By: /k/e.gpg\n";
    let base = MemoryBase::default().files(
        Part::Root,
        &[
            (LIST, list),
            ("/etc/apt/sources.list.d/z.sources", deb822),
            (
                "/etc/apt/sources.list.d/b.list",
                "deb http://f.test s main\n",
            ),
            ("/etc/apt/sources.list.d/c.list.save", "no source\n"),
            ("/etc/apt/sources.list.d/c d.list", "no source\n"),
        ],
    );
    let sources: Vec<String> = read(&base).expect("sources").iter().map(words).collect();
    let block =
        r#""-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDM\n-----END PGP PUBLIC KEY BLOCK-----\n""#;
    let z = "/etc/apt/sources.list.d/z.sources";
    let expected = [
        "/etc/apt/sources.list:2 http://m.test/debian trixie main+contrib".to_owned(),
        "/etc/apt/sources.list:4 https://x.test/ ./  for arm64+armhf by /k/a.gpg+/k/b.asc".into(),
        "/etc/apt/sources.list.d/b.list:1 http://f.test s main".into(),
        format!("{z}:2 http://a.test s main for arm64 by {block}"),
        format!("{z}:2 http://a.test s-updates main for arm64 by {block}"),
        format!("{z}:2 http://b.test s main for arm64 by {block}"),
        format!("{z}:2 http://b.test s-updates main for arm64 by {block}"),
        format!("{z}:23 http://e.test s main by /k/e.gpg"),
    ];
    assert_eq!(sources, expected);
}

#[test]
fn complaints_name_the_file_and_the_line() {
    for (file, text, expected) in [
        (
            "a.list",
            "\nrpm http://x s main",
            "a.list:2: a source starts with",
        ),
        ("a.list", "deb", "a.list:1: `deb` alone"),
        (
            "a.list",
            "deb http://x",
            "a.list:1: a source names an address and a suite",
        ),
        (
            "a.list",
            "deb [arch=arm64 http://x s main",
            "a.list:1: the options",
        ),
        (
            "a.list",
            "deb [arch] http://x s main",
            "a.list:1: the option `arch`",
        ),
        ("a.list", "deb http://x s", "a.list:1: no component"),
        (
            "a.list",
            "deb http://x ./ main",
            "a.list:1: the suite `./` is a path",
        ),
        (
            "a.list",
            "deb http://x ../../ ",
            "a.list:1: `../../` is no suite",
        ),
        (
            "a.list",
            "deb nowhere s main",
            "a.list:1: `nowhere` is no address",
        ),
        (
            "a.list",
            "deb [trusted=yes] http://x s main",
            "a.list:1: `trusted=yes` makes apt",
        ),
        (
            "a.list",
            "deb [signed-by=ABCD] http://x s main",
            "a.list:1: Signed-By names `ABCD`",
        ),
        (
            "a.list",
            "deb http://me:secret@x s main",
            "a.list:1: the address holds a user name",
        ),
        (
            "a.sources",
            "Types: deb\nURIs: x",
            "a.sources:1: the source has no Suites",
        ),
        (
            "a.sources",
            "Types: deb\nTrusted: yes",
            "a.sources:2: `Trusted: yes` makes apt",
        ),
        (
            "a.sources",
            "Types deb",
            "reading a.sources of the image: line 1",
        ),
    ] {
        let error = format!("{:#}", parse(file, text).expect_err(text));
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn an_image_without_sources_is_refused() {
    let error = read(&MemoryBase::default())
        .expect_err("no sources")
        .to_string();
    assert!(error.contains("no package source"), "{error}");
}
