//! A seed that is right: applied, however often it is cut.

use super::*;

#[test]
fn a_release_with_a_seed_becomes_the_node() {
    let fake = seeded();
    let untouched = fake.tree("/boot")["/boot/firmware/cmdline.txt"].clone();
    assert_eq!(fake.power_on(None, start), Some(false));
    assert_eq!(fake.text(REBOOTS), "1");
    to_the_stages(&fake);

    let tree = end_state(&fake);
    for (path, expected) in [
        (
            "/boot/firmware/config.txt",
            Some("644 0:0 \"[all]\\narm_boost=1\\n\""),
        ),
        (paths::BOOT_RELEASE_TXT, None),
        ("/etc/hostname", Some("644 0:0 \"pi-1\\n\"")),
        ("/etc/shadow", Some("640 42:42 \"root:*:\\n\"")),
        ("/etc/was-link", Some("644 0:0 \"a file now\\n\"")),
        ("/etc/empty", Some("444 0:0 \"\"")),
        ("/opt/new", Some("dir 755 0:0")),
        ("/opt/new/deep/file", Some("600 7:7 \"deep\\n\"")),
        ("/etc/systemd/system/a.service", Some("-> /dev/null")),
        ("/etc/was-file", Some("-> hostname")),
        ("/etc/gone", None),
        ("/var/lib/tree", None),
        ("/home/pi", Some("dir 700 1001:1001")),
        ("/home/pi/.profile", None),
        ("/home/admin/.profile", Some("644 1000:1000 \"stock\\n\"")),
        ("/home/admin/.ssh", Some("dir 700 1000:1000")),
        ("/srv", Some("dir 750 9:9")),
        ("/srv/kept", Some("644 0:0 \"\"")),
        (paths::BOOT_SEED, None),
        (paths::BOOT_SEED_BUNDLE, None),
        (paths::SEEDING, None),
    ] {
        assert_eq!(shown(&tree, path).as_deref(), expected, "{path}");
    }
    let (_, large) = &tree["/usr/lib/firmware/large"];
    assert!(
        large.len() == LARGE
            && large
                .iter()
                .zip(0..)
                .all(|(byte, at)| *byte == (at % 251) as u8)
    );
    let left = tree.keys().find(|path| path.ends_with(".imgbuild-seed"));
    assert_eq!(left, None);
    // Not written again: it is what the firmware starts from.
    assert_eq!(tree["/boot/firmware/cmdline.txt"], untouched);

    let heard = fake.heard.borrow();
    let said: Vec<_> = heard
        .iter()
        .filter(|(ear, _)| ear == "Console(\"ttyAMA10\")")
        .collect();
    assert_eq!(said[0].1, "imgbuild: this disk becomes the node pi-1");
    assert_eq!(said.len(), 2, "{said:?}");
}

/// What `imgbuild` writes, as a test of it does: image-builder/src/seed/tests.rs.
#[test]
fn what_the_builder_writes_is_applied() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node-config/testdata/seed");
    let fake = release();
    for (name, path) in [
        ("release.json", paths::RELEASE),
        ("imgbuild-seed.bin", paths::BOOT_SEED_BUNDLE),
        ("imgbuild-seed.json", paths::BOOT_SEED),
    ] {
        fake.put(path, 0o644, fs::read(fixture.join(name)).expect(name));
    }
    assert_eq!(fake.power_on(None, start), Some(false));
    let tree = end_state(&fake);
    for (path, expected) in [
        ("/boot/firmware/config.txt", Some("644 0:0 \"[all]\\n\"")),
        (paths::BOOT_RELEASE_TXT, None),
        (paths::NODE_CONFIG, Some("644 0:0 \"version = 1\\n\"")),
        ("/zz/last", Some("444 0:0 \"\"")),
        ("/etc/key", Some("4750 7:8 \"a key\\n\"")),
        ("/etc/gone", None),
        ("/etc/systemd/system/a.service", Some("-> /dev/null")),
        ("/home/pi", None),
        ("/home/admin/.profile", Some("644 1000:1000 \"stock\\n\"")),
        ("/home/admin/.ssh", Some("dir 700 7:8")),
        (paths::BOOT_SEED, None),
    ] {
        assert_eq!(shown(&tree, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn cut_at_every_call_it_ends_the_same() {
    let whole = seeded();
    assert_eq!(whole.power_on(None, start), Some(false));
    let calls = whole.calls();
    to_the_stages(&whole);
    let expected = end_state(&whole);
    assert!(calls > 150, "{calls} calls");
    for call in 0..calls {
        for fault in [
            Fault::CutBefore(call),
            Fault::CutWithin(call),
            Fault::Fail(call),
        ] {
            let fake = seeded();
            let ended = fake.power_on(Some(fault), start);
            assert_eq!(
                ended.is_some(),
                matches!(fault, Fault::Fail(_)),
                "{fault:?}"
            );
            // One that failed is tried again in the same boot.
            assert_ne!(ended, Some(true), "{fault:?}");
            if matches!(fault, Fault::Fail(1..)) {
                assert!(!fake.text(REBOOTS).is_empty(), "{fault:?}");
            }
            to_the_stages(&fake);
            assert!(end_state(&fake) == expected, "{fault:?}");
        }
    }
}

#[test]
fn cut_again_and_again_it_ends_the_same() {
    let whole = seeded();
    whole.power_on(None, start);
    let calls = whole.calls();
    to_the_stages(&whole);
    let expected = end_state(&whole);
    for step in [3, 11, 29] {
        let fake = seeded();
        for call in (0..calls).step_by(step) {
            if fake.power_on(Some(Fault::CutWithin(call)), start) == Some(true) {
                break;
            }
            restart(&fake);
        }
        to_the_stages(&fake);
        assert!(end_state(&fake) == expected, "every {step} calls");
    }
}

/// Until `node.toml` is there, with everything else on the disk, it is no node.
#[test]
fn a_node_has_all_of_its_seed() {
    let whole = seeded();
    whole.power_on(None, start);
    let calls = whole.calls();
    let applied = |fake: &Fake| {
        let mut tree = end_state(fake);
        for path in [paths::BOOT_SEED, paths::BOOT_SEED_BUNDLE, paths::SEEDING] {
            tree.remove(path);
        }
        tree
    };
    let expected = applied(&whole);
    for call in 0..calls {
        let fake = seeded();
        fake.power_on(Some(Fault::CutBefore(call)), start);
        match fake.exists(paths::NODE_CONFIG) {
            true => assert!(applied(&fake) == expected, "cut at {call}"),
            false => assert!(fake.exists(paths::BOOT_SEED), "cut at {call}"),
        }
    }
}

#[test]
fn without_a_seed_it_waits_and_says_so_now_and_then() {
    let fake = release();
    let hour = Duration::from_secs(3600);
    assert_eq!(fake.power_on(Some(Fault::CutAt(hour)), start), None);
    assert_eq!(*fake.shone.borrow(), [Sign::Empty]);
    assert!(
        fake.pauses
            .borrow()
            .iter()
            .all(|pause| *pause == LOOK_AGAIN)
    );
    {
        let heard = fake.heard.borrow();
        let said: Vec<_> = heard
            .iter()
            .filter(|(ear, _)| ear.starts_with("Console"))
            .collect();
        assert_eq!(said.len(), 6, "in an hour");
        assert!(
            said[0].1.starts_with(
                "imgbuild: this disk is the release imgbuild-lab-1.2 and has no node."
            ),
            "{said:?}"
        );
    }
    seed().put(&fake);
    assert_eq!(fake.power_on(None, start), Some(false));
    assert_eq!(fake.shone.borrow().last(), Some(&Sign::Working));
    to_the_stages(&fake);
}
