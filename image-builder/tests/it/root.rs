//! Writing into ext4, on every feature set a base may have.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use imgbuild::io::stream::same;
use imgbuild::io::{Blob, CowRegion, ReadAt, Region, Stream};
use imgbuild::overlay::{Change, Content, Kind, Owner};
use imgbuild::plan::Size;
use imgbuild::rootfs::{Ext4Error, RootFs, RootView, Superblock, grow};
use uuid::Uuid;

use crate::fixture::{
    EPOCH, FEATURE_SETS, assert_ext4_clean, debugfs, ext4, materialise, region, set_inode_field,
    tree,
};

const NEW_UUID: Uuid = Uuid::from_u128(0x1234_5678_9abc_5def_8123_4567_89ab_cdef);

fn file(mode: u16, uid: u32, content: &[u8]) -> Change {
    Change::File {
        mode,
        owner: Owner { uid, gid: uid },
        content: content.into(),
        secret: false,
    }
}

/// Every kind of change, as a node's overlay makes them and worse.
fn changes(content: &[u8]) -> Vec<(&'static str, Change)> {
    let owner = Owner {
        uid: 70_001,
        gid: 100,
    };
    vec![
        (
            "/home/pi",
            Change::Rename {
                to: "/home/admin".into(),
            },
        ),
        ("/etc/hostname", file(0o644, 0, b"pi-1\n")),
        (
            "/etc/shadow",
            file(0o640, 0, b"root:*:20000:0:99999:7:::\n"),
        ),
        (
            "/etc/NetworkManager/system-connections/lan.nmconnection",
            file(0o600, 0, b"[connection]\n"),
        ),
        (
            "/lib/systemd/system/agent.service",
            file(0o644, 0, b"[Unit]\n"),
        ),
        ("/usr/bin/big", file(0o755, 0, b"short now")),
        ("/usr/lib/imgbuild/agent", file(0o755, 0, content)),
        ("/usr/bin/setuid", file(0o4755, 0, b"#!/bin/sh\n")),
        ("/home/admin/.ssh", Change::Dir { mode: 0o700, owner }),
        (
            "/home/admin/.ssh/authorized_keys",
            file(0o600, 70_001, b"ssh-ed25519 AAAA\n"),
        ),
        (
            "/var/lib",
            Change::Dir {
                mode: 0o755,
                owner: Owner::ROOT,
            },
        ),
        ("/etc/empty", file(0o444, 0, b"")),
        ("/etc/absolute", file(0o644, 0, b"not through the link\n")),
        (
            "/etc/localtime",
            Change::Symlink {
                target: "/usr/share/zoneinfo/Europe/Berlin".into(),
            },
        ),
        (
            "/etc/long-link",
            Change::Symlink {
                target: "x/".repeat(90),
            },
        ),
        (
            "/etc/passwd",
            Change::Symlink {
                target: "replaces-a-file".into(),
            },
        ),
        ("/etc/ssh", Change::Remove),
        ("/usr/lib/file-007", Change::Remove),
        ("/nowhere/at/all", Change::Remove),
    ]
}

fn apply_all(base: &Path, content: &[u8]) -> Arc<CowRegion> {
    let superblock = Superblock::read(&region(base)).expect("superblock");
    superblock.check(region(base).len()).expect("check");
    let (cow, fs) = open(base);
    for (path, change) in changes(content) {
        fs.apply(path, &change).expect(path);
    }
    fs.finish().expect("finish");
    if superblock.uuid_is_cheap() {
        Superblock::read(&*cow)
            .expect("superblock")
            .set_uuid(&cow, NEW_UUID)
            .expect("uuid");
    }
    cow
}

#[test]
fn every_feature_set_takes_every_change() {
    // Larger than one write of the crate's and not a whole number of blocks.
    let content: Vec<u8> = (0..5_000_001_u32).map(|i| (i * 7 / 3) as u8).collect();
    for (name, features) in FEATURE_SETS {
        let base = ext4(features, Size::mib(80), tree);
        let before = std::fs::read(base.path()).expect("base");
        let cow = apply_all(base.path(), &content);
        let image = materialise(&cow);
        assert_ext4_clean(image.path(), 0);
        assert_eq!(
            std::fs::read(base.path()).expect("base"),
            before,
            "{name}: the base was written"
        );

        let view = RootView::open(region(image.path())).expect("view");
        let read = |path: &str| {
            view.read(path)
                .expect(path)
                .unwrap_or_else(|| panic!("{name}: {path} is missing"))
        };
        assert_eq!(read("/etc/hostname"), b"pi-1\n");
        assert_eq!(read("/usr/lib/imgbuild/agent"), content);
        assert_eq!(read("/usr/lib/systemd/system/agent.service"), b"[Unit]\n");
        assert_eq!(read("/home/admin/.profile"), b"# profile\n");
        assert_eq!(
            read("/usr/bin/big-too"),
            vec![0x5a; 300_000],
            "{name}: another name of a replaced file"
        );
        assert_eq!(read("/etc/absolute"), b"not through the link\n");
        let entry = |path: &str| view.entry(path).expect(path);
        let link = |path: &str| entry(path).map(|entry| entry.kind);
        assert_eq!(link("/etc/long-link"), Some(Kind::Symlink("x/".repeat(90))));
        assert_eq!(
            link("/etc/passwd"),
            Some(Kind::Symlink("replaces-a-file".into()))
        );
        for gone in ["/etc/ssh", "/usr/lib/file-007", "/home/pi", "/nowhere"] {
            assert_eq!(entry(gone), None, "{name}: {gone}");
        }
        // Mode, owner and times by a third reader.
        for (path, mode, uid) in [
            ("/etc/shadow", "0640", "0"),
            ("/usr/bin/setuid", "04755", "0"),
            ("/home/admin/.ssh", "0700", "70001"),
            ("/home/admin/.ssh/authorized_keys", "0600", "70001"),
        ] {
            let text = debugfs(image.path(), &format!("stat {path}"));
            assert!(
                text.contains(&format!("Mode:  {mode:0>4} ")),
                "{name}: {path}: {text}"
            );
            assert!(
                text.contains(&format!("User: {uid:>5} ")),
                "{name}: {path}: {text}"
            );
            assert!(
                text.contains("2025"),
                "{name}: {path} has another time: {text}"
            );
        }
        let again = materialise(&apply_all(base.path(), &content));
        assert!(
            std::fs::read(again.path()).expect("again")
                == std::fs::read(image.path()).expect("image"),
            "{name}: the same changes gave other bytes"
        );
    }
}

#[test]
fn the_journal_keeps_no_copy_of_a_secret() {
    let base = ext4(FEATURE_SETS[4].1, Size::mib(64), tree);
    let canary = b"CANARY-OF-A-PRIVATE-KEY".repeat(400);
    let image = materialise(&apply_all(base.path(), &canary));
    let bytes = std::fs::read(image.path()).expect("image");
    let copies = bytes
        .windows(23)
        .step_by(1)
        .filter(|window| *window == b"CANARY-OF-A-PRIVATE-KEY")
        .count();
    assert_eq!(copies, 400, "the content is there once");
}

#[test]
fn the_uuid_changes_where_that_is_cheap_and_nowhere_else() {
    for (name, features) in FEATURE_SETS {
        let base = ext4(features, Size::mib(64), tree);
        let image = materialise(&apply_all(base.path(), b"agent"));
        let superblock = Superblock::read(&region(image.path())).expect("superblock");
        let cheap = !features.contains("metadata_csum") || features.contains("metadata_csum_seed");
        assert_eq!(superblock.uuid() == NEW_UUID, cheap, "{name}");
        assert_ext4_clean(image.path(), 0);
    }
}

#[test]
fn paths_that_lead_astray_are_refused() {
    let base = ext4(FEATURE_SETS[4].1, Size::mib(64), tree);
    let (_, fs) = open(base.path());
    for (path, reason) in [
        ("/etc/outside/escape", "leads out of the root"),
        ("/etc/loop-a/file", "a loop"),
        ("/etc/hostname/file", "is not a directory"),
        ("/etc/../escape", "without . and .."),
        ("/usr/lib", "there is a directory"),
    ] {
        let error = fs.apply(path, &file(0o644, 0, b"x")).expect_err(path);
        let text = format!("{error:#}");
        assert!(
            text.contains(reason) && text.contains(path),
            "{path}: {text}"
        );
    }
    let error = fs
        .apply(
            "/etc/hostname",
            &Change::Dir {
                mode: 0o755,
                owner: Owner::ROOT,
            },
        )
        .expect_err("file");
    assert!(format!("{error:#}").contains("there is a file"));
}

/// What an inode claims is not what the reader makes room for: 4 TiB would end
/// the process.
#[test]
fn lengths_that_cannot_be_are_refused_wherever_they_are_on_a_path() {
    let base = ext4(FEATURE_SETS[2].1, Size::mib(64), |dir| {
        tree(dir);
        // Too long for the inode, so it lies in a block as a file's content does.
        let target = format!("/usr/lib{}", "/.".repeat(40));
        std::os::unix::fs::symlink(target, dir.join("etc/far")).expect("link");
        std::os::unix::fs::symlink("etc/far", dir.join("via")).expect("link");
    });
    let view = || RootView::open(region(base.path())).expect("view");
    let read = view().read("/via/file-007").expect("read");
    assert_eq!(read.as_deref(), Some(&b"7\n"[..]));

    for inode in ["/etc/far", "/etc/hostname"] {
        set_inode_field(base.path(), inode, "size", 4 << 40);
    }
    let view = view();
    let error = |result: anyhow::Result<()>| format!("{:#}", result.expect_err("4 TiB"));
    for said in [
        error(view.read("/etc/far/file-007").map(drop)),
        error(view.read("/via/file-007").map(drop)),
        error(view.read("/etc/far").map(drop)),
        error(view.entry("/via/file-007").map(drop)),
        error(view.entry("/etc/far").map(drop)),
        error(view.list("/via").map(drop)),
    ] {
        assert!(said.contains("the link /etc/far is damaged"), "{said}");
    }
    let said = error(view.read("/etc/absolute").map(drop));
    assert!(said.contains("more than its file system"), "{said}");
}

#[test]
fn links_are_followed_as_the_kernel_does() {
    let base = ext4(FEATURE_SETS[4].1, Size::mib(64), tree);
    let view = RootView::open(region(base.path())).expect("view");
    let read = |path: &str| view.read(path).expect(path);
    for path in [
        "/etc/absolute",
        "/lib/../../etc/./hostname",
        "/etc/outside/etc/hostname",
    ] {
        assert_eq!(read(path).as_deref(), Some(&b"raspberrypi\n"[..]), "{path}");
    }
    for path in ["/nowhere/../etc/hostname", "/etc/hostname/file", "/etc/no"] {
        assert_eq!(read(path), None, "{path}");
        assert_eq!(view.entry(path).expect(path), None, "{path}");
        assert_eq!(view.list(path).expect(path), [""; 0], "{path}");
    }
    assert_eq!(view.list("/lib").expect("list").len(), 400);
    view.list("/etc/hostname").expect_err("a file");
    let error = view.read("/etc/loop-a/file").expect_err("a loop");
    assert!(format!("{error:#}").contains("too many links"), "{error:#}");
}

#[test]
fn a_full_file_system_says_so() {
    let base = ext4(FEATURE_SETS[3].1, Size::mib(32), tree);
    let (_, fs) = open(base.path());
    let error = fs
        .apply("/big", &file(0o644, 0, &vec![1; 40 << 20]))
        .expect_err("full");
    assert!(format!("{error:#}").contains("no space left"), "{error:#}");
}

/// A copy-on-write view of a base, and the file system in it.
fn open(base: &Path) -> (Arc<CowRegion>, RootFs) {
    let whole = region(base);
    let len = whole.len();
    let cow = Arc::new(CowRegion::new(whole, len, Path::new("/tmp")).expect("cow"));
    let fs = RootFs::open(Arc::clone(&cow), EPOCH).expect("open");
    (cow, fs)
}

/// Whether a file of the image has just these bytes.
fn holds(image: &Path, path: &str, bytes: impl ReadAt) -> bool {
    let view = RootView::open(region(image)).expect("view");
    let found = view.open_file(path).expect("open");
    same(found, Stream::new(bytes)).expect("read")
}

#[test]
fn a_file_takes_free_space_in_hundreds_of_places() {
    for (name, features) in [FEATURE_SETS[2], FEATURE_SETS[4]] {
        let base = ext4(features, Size::mib(32), tree);
        let (cow, fs) = open(base.path());
        let small = file(0o644, 0, &[7; 12_288]);
        let mut count = 0;
        while fs.apply(&format!("/fill/{count}"), &small).is_ok() {
            count += 1;
        }
        for every_second in (0..count).step_by(2) {
            let path = format!("/fill/{every_second}");
            fs.apply(&path, &Change::Remove).expect("remove");
        }
        // Some of the room is for the blocks that say where the others are.
        let content: Arc<[u8]> = (0..(count / 2 - 20) * 12_288)
            .map(|i| (i % 253) as u8)
            .collect();
        let scattered = Change::File {
            mode: 0o644,
            owner: Owner::ROOT,
            content: Arc::clone(&content).into(),
            secret: false,
        };
        fs.apply("/scattered", &scattered).expect(name);
        fs.finish().expect("finish");
        let image = materialise(&cow);
        assert_ext4_clean(image.path(), 0);
        let extents = debugfs(image.path(), "dump_extents /scattered");
        // A line an extent, in more than one level of nodes.
        let lines = extents.lines().count();
        assert!(lines > 500, "{name}: {count} files: {extents}");
        assert!(!extents.contains("Uninit"), "{name}");
        assert!(
            holds(image.path(), "/scattered", Blob::from(content)),
            "{name}"
        );
    }
}

#[test]
fn a_file_larger_than_an_extent_is_taken_from_where_it_lies() {
    let base = ext4(FEATURE_SETS[4].1, Size::mib(400), tree);
    // With holes, as the cache keeps files, and no whole number of blocks.
    let source = tempfile::tempfile().expect("temporary file");
    source.set_len((300 << 20) + 5).expect("size");
    for at in [0, 77 << 20, 300 << 20] {
        source.write_all_at(b"here", at).expect("write");
    }
    let source = Region::whole(Arc::new(source)).expect("region");
    let content = Content::Stored {
        bytes: source.clone(),
        sha256: "of no interest to the writer".into(),
    };
    let (cow, fs) = open(base.path());
    let payload = Change::File {
        mode: 0o755,
        owner: Owner::ROOT,
        content,
        secret: false,
    };
    fs.apply("/usr/local/bin/payload", &payload).expect("apply");
    fs.finish().expect("finish");
    let image = materialise(&cow);
    assert_ext4_clean(image.path(), 0);
    assert!(holds(image.path(), "/usr/local/bin/payload", source));
}

#[test]
fn unusable_superblocks_are_named() {
    let base = ext4(FEATURE_SETS[4].1, Size::mib(64), tree);
    let good = std::fs::read(base.path()).expect("base");
    let len = good.len() as u64;
    let try_with = |spoil: &dyn Fn(&mut Vec<u8>)| {
        let mut sb = good[1024..2048].to_vec();
        spoil(&mut sb);
        let sum = fs_ext4::checksum::linux_crc32c(!0, &sb[..0x3fc]);
        sb[0x3fc..].copy_from_slice(&sum.to_le_bytes());
        Superblock::parse(sb).and_then(|superblock| superblock.check(len))
    };
    assert!(try_with(&|_| ()).is_ok());
    let or = |offset: usize, bits: u8| move |sb: &mut Vec<u8>| sb[offset] |= bits;
    assert!(matches!(
        try_with(&|sb| sb[0x38] = 0),
        Err(Ext4Error::NotExt4)
    ));
    assert!(
        matches!(try_with(&or(0x60, 0x04)), Err(Ext4Error::Dirty(_))),
        "needs_recovery"
    );
    assert!(
        matches!(try_with(&or(0x66, 0x01)), Err(Ext4Error::Dirty(_))),
        "orphan_present"
    );
    assert!(
        matches!(try_with(&|sb| sb[0x3a] = 0), Err(Ext4Error::Dirty(_))),
        "not unmounted"
    );
    assert!(
        matches!(try_with(&|sb| sb[0x3a] = 3), Err(Ext4Error::Dirty(_))),
        "errors"
    );
    assert!(matches!(try_with(&or(0x61, 0x80)), Err(Ext4Error::Feature(f)) if f == "inline_data"));
    assert!(
        matches!(try_with(&or(0x67, 0x40)), Err(Ext4Error::Feature(f)) if f == "ro_compat:0x40000000")
    );
    assert!(matches!(
        Superblock::read(&region(base.path()))
            .expect("sb")
            .check(len / 2),
        Err(Ext4Error::Truncated { .. })
    ));
    let mut spoiled = good[1024..2048].to_vec();
    spoiled[0x10] ^= 1;
    assert!(matches!(
        Superblock::parse(spoiled),
        Err(Ext4Error::Damaged(_))
    ));
}

#[test]
fn growing_gives_a_clean_and_reproducible_file_system() {
    for (name, features) in FEATURE_SETS {
        let base = ext4(features, Size::mib(80), tree);
        let grown = |_| {
            let copy = tempfile::NamedTempFile::new().expect("temporary file");
            std::fs::copy(base.path(), copy.path()).expect("copy");
            copy.as_file().set_len(200 << 20).expect("size");
            grow::grow(copy.path(), EPOCH).expect("resize2fs");
            copy
        };
        let [one, two] = [0, 1].map(grown);
        assert_ext4_clean(one.path(), 0);
        let superblock = Superblock::read(&region(one.path())).expect("superblock");
        assert_eq!(superblock.len(), 200 << 20, "{name}");
        let cow = apply_all(one.path(), &vec![3; 1 << 20]);
        assert_ext4_clean(materialise(&cow).path(), 0);
        let same =
            std::fs::read(one.path()).expect("one") == std::fs::read(two.path()).expect("two");
        assert!(same, "{name}: resize2fs gave other bytes");
    }
}

#[test]
fn a_region_that_is_no_file_system_is_refused() {
    let file = tempfile::tempfile().expect("temporary file");
    file.set_len(1 << 20).expect("size");
    let region = Region::whole(Arc::new(file)).expect("region");
    assert!(matches!(Superblock::read(&region), Err(Ext4Error::NotExt4)));
    assert!(matches!(
        Superblock::read(&region.slice(0, 512).expect("slice")),
        Err(Ext4Error::NotExt4)
    ));
}
