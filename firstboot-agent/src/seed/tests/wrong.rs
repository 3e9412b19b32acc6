//! A seed that is not right, or does not fit the disk: said why, and nothing lost.

use super::*;

/// What a release says to a seed that was put there wrongly; nothing is changed.
fn complaint(spoil: impl Fn(&Fake, Vec<u8>, Seed)) -> String {
    let fake = release();
    let (bundle, seed) = seed().finish();
    spoil(&fake, bundle, seed);
    let before = end_state(&fake);
    let minute = Duration::from_secs(60);
    assert_eq!(fake.power_on(Some(Fault::CutAt(minute)), start), None);
    assert!(end_state(&fake) == before);
    let heard = fake.heard.borrow();
    let consoles: Vec<_> = heard
        .iter()
        .filter(|(ear, _)| ear.starts_with("Console"))
        .collect();
    assert_eq!(consoles.len(), 1, "{consoles:?}");
    consoles[0].1.clone()
}

#[test]
fn a_seed_that_is_not_right_is_not_applied_and_said_why() {
    let put = |fake: &Fake, bundle: &[u8], seed: &Seed| {
        fake.put(paths::BOOT_SEED_BUNDLE, 0o644, bundle);
        fake.put(paths::BOOT_SEED, 0o644, seed.render());
    };
    let words = complaint(|fake, bundle, _| fake.put(paths::BOOT_SEED_BUNDLE, 0o644, bundle));
    assert!(words.contains("has no node"), "{words}");
    let words = complaint(|fake, _, seed| fake.put(paths::BOOT_SEED, 0o644, seed.render()));
    assert!(words.contains("its bundle has 0 of "), "{words}");
    let words = complaint(|fake, bundle, seed| put(fake, &bundle[..bundle.len() - 1], &seed));
    assert!(
        words.contains("copy both files again, imgbuild-seed.json last"),
        "{words}"
    );
    let words = complaint(|fake, mut bundle, seed| {
        bundle[50] ^= 1;
        put(fake, &bundle, &seed);
    });
    assert!(words.contains("another sha256"), "{words}");
    let words = complaint(|fake, bundle, seed| {
        put(fake, &bundle, &seed);
        fake.put(paths::BOOT_SEED, 0o644, &seed.render()[..100]);
    });
    assert!(words.contains("not a seed, or not all of one"), "{words}");
    let words = complaint(|fake, bundle, mut seed| {
        seed.version = 2;
        put(fake, &bundle, &seed);
    });
    assert!(
        words.contains("it has version 2, and this release reads 1"),
        "{words}"
    );
    for (name, expected) in [
        (
            "imgbuild-lab-1.3",
            "for the release imgbuild-lab-1.3, and this disk is the release imgbuild-lab-1.2",
        ),
        ("imgbuild-lab-1.2", "for another release of that name"),
    ] {
        let words = complaint(|fake, bundle, mut seed| {
            seed.release.name = name.into();
            seed.release.sha256 = "0a".repeat(32);
            put(fake, &bundle, &seed);
        });
        assert!(words.contains(expected), "{words}");
    }
    let words = complaint(|fake, _, mut seed| {
        let bundle = br#"{"changes":[]}"#;
        seed.bundle = Bundle {
            index: bundle.len() as u64,
            len: bundle.len() as u64,
            sha256: sha256(bundle),
        };
        put(fake, bundle, &seed);
    });
    assert!(
        words.contains("the seed of pi-1 is not applied: "),
        "{words}"
    );
    let words = complaint(|fake, bundle, seed| {
        put(fake, &bundle, &seed);
        fake.show(
            "/proc/self/mountinfo",
            MOUNTS.lines().next().expect("a line"),
        );
    });
    assert!(words.contains("is not mounted"), "{words}");
    let words = complaint(|fake, _, seed| {
        fake.put(
            paths::BOOT_SEED,
            0o644,
            seed.render() + &" ".repeat(1 << 20),
        );
    });
    assert!(
        words.contains("has no node"),
        "a document of a MiB: {words}"
    );
}

#[test]
fn a_seed_beside_another_that_was_begun_is_not_applied() {
    let fake = seeded();
    fake.power_on(Some(Fault::CutBefore(150)), start);
    assert!(!fake.exists(paths::NODE_CONFIG));
    let (bundle, mut other) = seed().finish();
    other.image_id = Uuid::nil();
    fake.put(paths::BOOT_SEED_BUNDLE, 0o644, bundle);
    fake.put(paths::BOOT_SEED, 0o644, other.render());
    let before = end_state(&fake);
    let minute = Duration::from_secs(60);
    assert_eq!(fake.power_on(Some(Fault::CutAt(minute)), start), None);
    assert!(end_state(&fake) == before);
    let heard = fake.heard.borrow();
    let (_, words) = heard.last().expect("something said");
    assert!(
        words.contains("another seed than this one was begun"),
        "{words}"
    );
    assert_eq!(fake.shone.borrow().last(), Some(&Sign::Stopped));
}

#[test]
fn no_link_leads_a_change_elsewhere() {
    for (link, to, path) in [
        ("/etc/out", "/run", "/etc/out/x"),
        ("/etc/out", "../boot/firmware", "/etc/out/config.txt"),
        ("/etc/out", "/etc/out", "/etc/out/x"),
    ] {
        let fake = release();
        fake.link(link, to).expect("link");
        let seed = Making::default().file(Part::Root, path, 0o644, 0, b"x");
        let node = machine::node().render();
        seed.file(Part::Root, paths::NODE_CONFIG, 0o644, 0, node.as_bytes())
            .put(&fake);
        let before = (fake.tree("/run"), fake.text("/boot/firmware/config.txt"));
        let minute = Duration::from_secs(60);
        assert_eq!(fake.power_on(Some(Fault::CutAt(minute)), start), None);
        let after = (fake.tree("/run"), fake.text("/boot/firmware/config.txt"));
        assert!(before == after, "{path}");
        assert!(!fake.exists(paths::NODE_CONFIG));
        let heard = fake.heard.borrow();
        let (_, words) = heard.last().expect("something said");
        assert!(words.contains("the seed stops"), "{words}");
    }
}

#[test]
fn what_stands_in_the_way_is_named() {
    let dir = What::Dir {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let file = |path| Making::default().file(Part::Root, path, 0o644, 0, b"x");
    let rename = What::Rename {
        to: "/home/new".into(),
    };
    for (making, expected) in [
        (
            file("/etc/systemd"),
            "stops at /etc/systemd: there is a directory",
        ),
        (
            Making::default().link("/etc/systemd", "x"),
            "stops at /etc/systemd: there is a directory",
        ),
        (
            Making::default().root("/etc/hostname", dir),
            "stops at /etc/hostname: there is a file",
        ),
        (
            Making::default().root("/home/nobody", rename),
            "stops at /home/nobody: it is not there",
        ),
    ] {
        let fake = release();
        let node = machine::node().render();
        let making = making.file(Part::Root, paths::NODE_CONFIG, 0o644, 0, node.as_bytes());
        making.put(&fake);
        let minute = Duration::from_secs(60);
        assert_eq!(fake.power_on(Some(Fault::CutAt(minute)), start), None);
        let heard = fake.heard.borrow();
        let (_, words) = heard.last().expect("something said");
        assert!(words.contains(expected), "{words}");
        assert!(!fake.exists(paths::NODE_CONFIG));
    }
}

/// The boot partition of a node is whoever's who holds the disk; a seed there that was
/// not this node's is none of the agent's business.
#[test]
fn a_seed_on_a_node_is_left_alone() {
    let fake = seeded();
    fake.put(paths::NODE_CONFIG, 0o644, machine::node().render());
    assert_eq!(fake.power_on(None, start), Some(true));
    assert!(fake.exists(paths::BOOT_SEED) && fake.exists(paths::BOOT_SEED_BUNDLE));
    assert_eq!(fake.text("/etc/hostname"), "raspberrypi\n");
}
