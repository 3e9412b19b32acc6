//! Archives that bring what no chart has.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::charts::{ArchiveError, Limits, Tree, unpack};

/// An entry: its kind, its path as it is, its content.
type Entry<'a> = (EntryType, &'a [u8], &'a [u8]);

const GOOD: [Entry<'static>; 2] = [
    (EntryType::Regular, b"a/Chart.yaml", b"name: a\n"),
    (EntryType::Regular, b"a/templates/x.yaml", b"x: 1\n"),
];

/// A tar with these entries; paths go in as no sane program would write them.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o4777);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").expect("target");
        }
        header.set_cksum();
        builder.append(&header, *content).expect("entry");
    }
    builder.into_inner().expect("tar")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    gzip(&tar(entries))
}

/// Unpacks into a folder of its own; whatever is beside it would be a traversal.
fn unpacked(archive: &[u8], limits: &Limits) -> Result<Tree, ArchiveError> {
    let dir = tempfile::tempdir().expect("directory");
    let into = dir.path().join("deep/er");
    fs::create_dir_all(&into).expect("folder");
    let result = unpack(archive, "a", &into, limits);
    for (folder, only) in [(dir.path(), "deep"), (&dir.path().join("deep"), "er")] {
        assert_eq!(names(folder), [only]);
    }
    if let Ok(tree) = &result {
        assert_eq!(Tree::of(&into).expect("read").as_ref(), Some(tree));
    }
    result
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("folder");
    entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn a_good_one_is_unpacked() {
    let folder: Entry<'_> = (EntryType::Directory, b"a/", b"");
    let empty: Entry<'_> = (EntryType::Directory, b"./a/charts/", b"");
    let global: Entry<'_> = (
        EntryType::XGlobalHeader,
        b"pax_global_header",
        b"19 comment=abcdefg\n",
    );
    let entries = [&[global, folder, empty][..], &GOOD].concat();
    let tree = unpacked(&archive(&entries), &Limits::default()).expect("good");
    assert_eq!(
        tree.0.keys().collect::<Vec<_>>(),
        ["Chart.yaml", "templates/x.yaml"]
    );
    // Two gzip members are one stream, as Go reads them.
    let whole = tar(&entries);
    let (one, two) = whole.split_at(700);
    let members = [gzip(one), gzip(two)].concat();
    assert_eq!(
        unpacked(&members, &Limits::default()).expect("members"),
        tree
    );
}

#[test]
fn no_path_leads_out() {
    for bad in [
        &b"/a/x"[..],
        b"../a/x",
        b"a/../x",
        b"a/../../../x",
        b"a/./x",
        b"a//x",
        b"a/..",
        b"..",
        b".",
        b"/",
        b"b/x",
        b"x",
        b"ab/x",
        b"a\\..\\x",
        b"a/\xff",
        b"a/x\ny",
        b"a/x\x7f",
        b"a/.git/hooks/pre-commit",
        b"a/charts/.GIT/x",
    ] {
        for kind in [EntryType::Regular, EntryType::Directory] {
            let entries = [GOOD[0], (kind, bad, b"")];
            let text = String::from_utf8_lossy(bad).into_owned();
            let error = unpacked(&archive(&entries), &Limits::default()).expect_err(&text);
            assert!(
                matches!(error, ArchiveError::Path { .. }),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn only_files_are_unpacked() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::new(b'Z'),
    ] {
        for path in [&b"a/x"[..], b"a"] {
            let entries = [
                GOOD[0],
                (kind, path, b""),
                (EntryType::Regular, b"a/x/y", b""),
            ];
            let error = unpacked(&archive(&entries), &Limits::default()).expect_err("refused");
            assert!(
                matches!(error, ArchiveError::Kind { .. }),
                "{kind:?}: {error}"
            );
        }
    }
    // The folder's own name as a file.
    let error = unpacked(
        &archive(&[(EntryType::Regular, b"a", b"x")]),
        &Limits::default(),
    );
    assert!(matches!(error, Err(ArchiveError::Kind { .. })), "{error:?}");
}

#[test]
fn nothing_is_there_twice() {
    for (one, other) in [
        ("a/x", "a/x"),
        ("a/x", "a/x/y"),
        ("a/x/y", "a/x"),
        ("a/x/y/z", "a/x"),
    ] {
        let file = |path: &'static str| (EntryType::Regular, path.as_bytes(), &b"1"[..]);
        let between = file("a/x-");
        let error = unpacked(
            &archive(&[file(one), between, file(other)]),
            &Limits::default(),
        )
        .expect_err("twice");
        assert!(
            matches!(error, ArchiveError::Twice(_)),
            "{one} {other}: {error}"
        );
    }
}

#[test]
fn limits_hold() {
    let limits = Limits {
        total: 64 << 10,
        file: 16 << 10,
        entries: 20,
    };
    let at_limit = vec![b'x'; 16 << 10];
    let fits = [GOOD[0], (EntryType::Regular, b"a/x", &at_limit[..])];
    unpacked(&archive(&fits), &limits).expect("fits");
    let over = vec![b'x'; (16 << 10) + 1];
    let many: Vec<Vec<u8>> = (0..21)
        .map(|number| format!("a/{number}").into_bytes())
        .collect();
    let many: Vec<Entry<'_>> = many
        .iter()
        .map(|path| (EntryType::Regular, &path[..], &b""[..]))
        .collect();
    let names = ["a/1", "a/2", "a/3", "a/4"];
    let large = names.map(|name| (EntryType::Regular, name.as_bytes(), &at_limit[..]));
    for (entries, what) in [
        (
            &[GOOD[0], (EntryType::Regular, b"a/x", &over[..])][..],
            "16384 bytes in \"x\"",
        ),
        (&many, "20 entries"),
        (&large, "65536 bytes"),
    ] {
        let error = unpacked(&archive(entries), &limits).expect_err(what);
        assert!(
            matches!(&error, ArchiveError::TooMuch(found) if found == what),
            "{error}"
        );
    }
}

#[test]
fn a_bomb_goes_off_in_nobodys_hands() {
    // A gigabyte in a megabyte: refused for one file, for a header that is all
    // name, and between files.
    let zeros = vec![0; 1 << 20];
    for kind in [
        EntryType::Regular,
        EntryType::GNULongName,
        EntryType::XHeader,
    ] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 30);
        header.as_old_mut().name[..3].copy_from_slice(b"a/x");
        header.set_cksum();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(header.as_bytes()).expect("header");
        for _ in 0..1 << 10 {
            encoder.write_all(&zeros).expect("gzip");
        }
        let bomb = encoder.finish().expect("gzip");
        let error = unpacked(&bomb, &Limits::default()).expect_err("a bomb");
        assert!(
            matches!(error, ArchiveError::TooMuch(_)),
            "{kind:?}: {error}"
        );
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let good = archive(&GOOD);
    for cut in 0..good.len() - 1 {
        // Behind the last file come only zeros and a checksum.
        if let Err(error) = unpacked(&good[..cut], &Limits::default()) {
            assert!(
                matches!(error, ArchiveError::Form(_) | ArchiveError::Empty),
                "{cut}: {error}"
            );
        } else {
            assert!(cut > good.len() - 40, "{cut} of {}", good.len());
        }
    }
    for bad in [
        &b""[..],
        b"<html>",
        &gzip(b""),
        &gzip(b"no tar"),
        &gzip(&[0; 1024]),
    ] {
        unpacked(bad, &Limits::default()).expect_err("no chart");
    }
}
