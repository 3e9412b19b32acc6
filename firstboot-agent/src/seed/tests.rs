//! A small release on [`Fake`], and what becomes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use node_config::seed::{Bundle, Change, Index, Part, Release, What};
use node_config::{NodeConfig, Seed, paths};
use uuid::Uuid;

use super::*;
use crate::supervisor::authority::sha256;
use crate::system::fake::{Fake, Fault};
use crate::system::{Entry, Kind};
use crate::tests::machine;

const RELEASE: &str = r#"{"version":1,"release":"imgbuild-lab-1.2","profile":"lab"}"#;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const MOUNTS: &str = "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n\
                      30 22 259:1 / /boot/firmware rw - vfat /dev/nvme0n1p1 rw\n";
const REBOOTS: &str = "/run/reboots";

/// More than is held at a time, and no whole number of parts.
const LARGE: usize = (600 << 10) + 7;

/// A seed in the making: changes, and what their files hold.
#[derive(Default)]
struct Making {
    changes: Vec<(Change, Vec<u8>)>,
}

impl Making {
    fn with(mut self, part: Part, path: &str, what: What, content: &[u8]) -> Self {
        let path = path.into();
        let change = Change { part, path, what };
        self.changes.push((change, content.to_vec()));
        self
    }

    fn file(self, part: Part, path: &str, mode: u32, owner: u32, content: &[u8]) -> Self {
        let what = What::File {
            mode,
            uid: owner,
            gid: owner,
            len: content.len() as u64,
            sha256: sha256(content),
        };
        self.with(part, path, what, content)
    }

    fn root(self, path: &str, what: What) -> Self {
        self.with(Part::Root, path, what, b"")
    }

    fn link(self, path: &str, to: &str) -> Self {
        self.root(path, What::Link { to: to.into() })
    }

    /// The bundle, and its document.
    fn finish(&self) -> (Vec<u8>, Seed) {
        let changes = self.changes.iter().map(|(change, _)| change.clone());
        let index = Index::new(changes.collect()).expect("an index");
        let mut bundle = index.render().into_bytes();
        let index_len = bundle.len() as u64;
        for change in index.changes() {
            let (_, content) = self
                .changes
                .iter()
                .find(|(of, _)| of == change)
                .expect("one");
            bundle.extend(content);
        }
        let seed = Seed {
            version: node_config::seed::VERSION,
            release: Release {
                name: "imgbuild-lab-1.2".into(),
                sha256: sha256(RELEASE.as_bytes()),
            },
            node: "pi-1".into(),
            image_id: machine::node().image_id,
            bundle: Bundle {
                index: index_len,
                len: bundle.len() as u64,
                sha256: sha256(&bundle),
            },
        };
        (bundle, seed)
    }

    fn put(&self, fake: &Fake) {
        let (bundle, seed) = self.finish();
        fake.put(paths::BOOT_SEED_BUNDLE, 0o644, bundle);
        fake.put(paths::BOOT_SEED, 0o644, seed.render());
    }
}

/// Every kind of change, on what is there, on what is not, and through links.
fn seed() -> Making {
    let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    let dir = |mode, owner| What::Dir {
        mode,
        uid: owner,
        gid: owner,
    };
    Making::default()
        .file(Part::Boot, "/config.txt", 0o644, 0, b"[all]\narm_boost=1\n")
        .file(Part::Boot, "/cmdline.txt", 0o644, 0, b"as it was\n")
        .with(Part::Boot, "/RELEASE.txt", What::Remove, b"")
        .file(Part::Root, "/etc/hostname", 0o644, 0, b"pi-1\n")
        .file(Part::Root, "/etc/shadow", 0o640, 42, b"root:*:\n")
        .file(Part::Root, "/etc/same", 0o644, 0, b"same\n")
        .file(Part::Root, "/etc/was-link", 0o644, 0, b"a file now\n")
        .file(Part::Root, "/etc/empty", 0o444, 0, b"")
        .file(Part::Root, "/lib/firmware/large", 0o755, 0, &large)
        .file(Part::Root, "/opt/new/deep/file", 0o600, 7, b"deep\n")
        .link("/etc/systemd/system/a.service", "/dev/null")
        .link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
        .link("/etc/was-file", "hostname")
        .root("/etc/gone", What::Remove)
        .root("/var/lib/tree", What::Remove)
        .root("/etc/never-there", What::Remove)
        .root(
            "/home/pi",
            What::Rename {
                to: "/home/admin".into(),
            },
        )
        .root("/home/pi", dir(0o700, 1001))
        .root("/home/admin/.ssh", dir(0o700, 1000))
        .root("/srv", dir(0o750, 9))
        .file(
            Part::Root,
            "/home/admin/.ssh/authorized_keys",
            0o600,
            1000,
            b"ssh-ed25519 AAAA\n",
        )
        .file(
            Part::Root,
            paths::NODE_CONFIG,
            0o644,
            0,
            machine::node().render().as_bytes(),
        )
}

/// A release as it has booted.
fn release() -> Fake {
    let fake = Fake::new();
    fake.put(paths::RELEASE, 0o644, RELEASE);
    fake.put("/boot/firmware/config.txt", 0o644, "[all]\n");
    fake.put("/boot/firmware/cmdline.txt", 0o644, "as it was\n");
    fake.put(paths::BOOT_RELEASE_TXT, 0o644, "a release\n");
    fake.put("/etc/hostname", 0o644, "raspberrypi\n");
    fake.put("/etc/same", 0o644, "same\n");
    fake.put("/etc/gone", 0o644, "");
    fake.put("/etc/was-file", 0o644, "");
    fake.put("/usr/lib/firmware/stock", 0o644, "");
    fake.put("/var/lib/tree/a/b", 0o644, "");
    fake.put("/var/lib/tree/c", 0o644, "");
    fake.put("/home/pi/.profile", 0o644, "stock\n");
    fake.set_owner("/home/pi/.profile", 1000, 1000)
        .expect("owner");
    fake.put("/srv/kept", 0o644, "");
    fake.link("/lib", "usr/lib").expect("link");
    fake.link("/etc/was-link", "/etc/hostname").expect("link");
    fake.make_dir("/opt", 0o755).expect("directory");
    fake.make_dir("/etc/systemd/system", 0o755)
        .expect("directory");
    fake.make_dir("/etc/imgbuild", 0o755).expect("directory");
    fake.make_dir(paths::STATE_DIR, 0o700).expect("directory");
    fake.show("/proc/self/mountinfo", MOUNTS);
    fake.show("/sys/class/tty/console/active", "ttyAMA10\n");
    fake.show(BOOT_ID, "b1\n");
    fake.make_dir("/run", 0o755).expect("directory");
    fake.install("systemctl", |fake, args, _| {
        assert_eq!(args, ["--no-block", "reboot"]);
        let reboots: u32 = fake.text(REBOOTS).parse().unwrap_or(0);
        fake.put(REBOOTS, 0o644, (reboots + 1).to_string());
        Ok(String::new())
    });
    fake
}

fn seeded() -> Fake {
    // Some hundred machines get the same.
    static SEED: LazyLock<(Vec<u8>, Seed)> = LazyLock::new(|| seed().finish());
    let fake = release();
    fake.put(paths::BOOT_SEED_BUNDLE, 0o644, &SEED.0);
    fake.put(paths::BOOT_SEED, 0o644, SEED.1.render());
    fake
}

/// What a start of the agent does before the stages; whether it gets to them.
fn start(fake: &Fake) -> bool {
    let Ok(node) = fake.read(paths::NODE_CONFIG) else {
        // The unit has failed, for this boot.
        return false;
    };
    let Some(node) = node.map(|text| String::from_utf8(text).expect("text")) else {
        receive(fake);
        return false;
    };
    let node = NodeConfig::parse(&node).expect("a node");
    match is_unfinished(&node, fake) {
        Ok(true) => receive(fake),
        Ok(false) => return true,
        // Goes on with the node; the next start tries again.
        Err(_) => {}
    }
    false
}

/// The machine starts again.
fn restart(fake: &Fake) {
    let boot = fake.text(BOOT_ID);
    fake.show(BOOT_ID, format!("{}+\n", boot.trim()));
}

type Tree = BTreeMap<String, (Entry, Vec<u8>)>;

/// What is on the disk.
fn end_state(fake: &Fake) -> Tree {
    let mut tree = fake.tree("");
    tree.retain(|path, _| !path.starts_with("/run"));
    tree
}

/// What lies at a path, in a line.
fn shown(tree: &Tree, path: &str) -> Option<String> {
    let (entry, content) = tree.get(path)?;
    let Entry {
        kind,
        mode,
        uid,
        gid,
        ..
    } = entry;
    Some(match kind {
        Kind::Link(to) => format!("-> {to}"),
        Kind::Dir => format!("dir {mode:o} {uid}:{gid}"),
        _ => {
            let text = String::from_utf8_lossy(&content[..content.len().min(20)]);
            format!("{mode:o} {uid}:{gid} {text:?}")
        }
    })
}

/// Started until the stages are reached.
fn to_the_stages(fake: &Fake) {
    for _ in 0..3 {
        restart(fake);
        if fake.power_on(None, start) == Some(true) {
            return;
        }
    }
    panic!("the stages are never reached");
}

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
