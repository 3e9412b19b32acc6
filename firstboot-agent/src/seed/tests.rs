//! A small release on [`Fake`], and what becomes of it.

mod whole;
mod wrong;

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
        .file(
            Part::Root,
            &format!("/etc/{}", "n".repeat(255)),
            0o644,
            0,
            b"long\n",
        )
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
    match clear(&node, fake) {
        Ok(Left::ThisBoot) => receive(fake),
        Ok(Left::Nothing) => return true,
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
