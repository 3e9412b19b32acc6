//! The whole overlay as text, for a trixie-shaped and a bookworm-shaped base.
//!
//! `UPDATE_GOLDEN=1 cargo test -p image-builder overlay` writes the texts anew;
//! `git diff` then shows what a change to the code changes on a node.

mod bases;
mod k3s;
mod packages;
pub(super) mod plans;
mod refusals;
mod release;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use node_config::Package;
use uuid::Uuid;

use self::plans::{busy_plan, file, plan};
use super::manifest::Manifest;
use super::memory::MemoryBase;
use super::*;
use crate::identity::{fixture, known_hosts, ssh_config};
use crate::ids::NodeIds;
use crate::plan::{Extent, NodePlan, PageSize, Size};

const AGENT_UNIT: &str = "[Service]\nExecStart=/usr/lib/imgbuild/firstboot-agent\n\n[Install]\nWantedBy=multi-user.target\n";

const EPOCH: i64 = 1_790_000_000;

fn rendered(plan: &NodePlan, base: &MemoryBase) -> anyhow::Result<Rendered> {
    rendered_with(&[], plan, base)
}

fn rendered_with(
    packages: &[Package],
    plan: &NodePlan,
    base: &MemoryBase,
) -> anyhow::Result<Rendered> {
    rendered_of("5c9c", EPOCH, packages, plan, base)
}

fn rendered_of(
    base_digest: &str,
    epoch: i64,
    packages: &[Package],
    plan: &NodePlan,
    base: &MemoryBase,
) -> anyhow::Result<Rendered> {
    rendered_in(None, base_digest, epoch, packages, plan, base)
}

fn rendered_in(
    entrance: Option<&Entrance>,
    base_digest: &str,
    epoch: i64,
    packages: &[Package],
    plan: &NodePlan,
    base: &MemoryBase,
) -> anyhow::Result<Rendered> {
    let keys = fixture::host_keys();
    let request = Request {
        entrance,
        plan,
        ids: &NodeIds::derive(plan.cluster.id, &plan.node.name),
        keys,
        agent: &Arc::from(&b"\x7fELF"[..]),
        agent_unit: AGENT_UNIT,
        payload: &Payload {
            packages: packages.to_vec(),
            ..Payload::default()
        },
        base_digest,
        epoch,
    };
    render(&request, base)
}

fn content(overlay: &Overlay, part: Part, path: &str) -> String {
    match overlay.get(part, path) {
        Some(Change::File { content, .. }) => {
            let bytes = content.inline().expect("in memory");
            String::from_utf8(bytes.to_vec()).expect("text")
        }
        other => panic!("{part}:{path} is {other:?}"),
    }
}

/// Compares with `testdata/<name>.txt`, or writes it.
fn golden(name: &str, rendered: &Rendered) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/overlay/testdata/{name}.txt"));
    let found = format!(
        "image id {}\n{}",
        rendered.image_id,
        rendered.overlay.to_text()
    );
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &found).expect("writing the golden file");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    for (number, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(
            found,
            wanted,
            "{}:{}; UPDATE_GOLDEN=1 rewrites it",
            path.display(),
            number + 1
        );
    }
    assert_eq!(
        found.lines().count(),
        wanted.lines().count(),
        "{} has another length",
        path.display()
    );
}

#[test]
fn a_server_on_trixie() {
    golden(
        "trixie",
        &rendered(&plan(), &bases::trixie()).expect("an overlay"),
    );
}

#[test]
fn a_worker_on_bookworm() {
    golden(
        "bookworm",
        &rendered(&busy_plan(), &bases::bookworm()).expect("an overlay"),
    );
}

#[test]
fn a_base_made_by_us_gives_the_same_texts_again() {
    let mut busy = busy_plan();
    // Only the first user takes over an account that is there.
    busy.users.truncate(1);
    for (plan, mut base) in [(plan(), bases::trixie()), (busy, bases::bookworm())] {
        let first = rendered(&plan, &base).expect("an overlay").overlay;
        base.apply(&first);
        let second = rendered(&plan, &base).expect("again").overlay;
        for part in [Part::Boot, Part::Root] {
            for (path, change) in second.changes(part) {
                // The id also names the changes that are no longer needed.
                if matches!(
                    path,
                    "/NODE.txt" | "/imgbuild.json" | "/etc/imgbuild/node.toml"
                ) {
                    continue;
                }
                if let (Change::File { .. }, Some(Change::File { .. })) =
                    (change, first.get(part, path))
                {
                    assert_eq!(
                        content(&second, part, path),
                        content(&first, part, path),
                        "{part}:{path}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_image_id_names_every_input() {
    let base = bases::trixie();
    let id = |change: fn(&mut NodePlan)| {
        let mut plan = plan();
        change(&mut plan);
        rendered(&plan, &base).expect("an overlay").image_id
    };
    let ids = [
        id(|_| {}),
        id(|plan| plan.node.name = "pi-2".into()),
        id(|plan| plan.cluster.id = Uuid::nil()),
        id(|plan| _ = plan.node.labels.insert("a".into(), "b".into())),
        id(|plan| plan.profile.files.push(file("/etc/a", "1"))),
        id(|plan| plan.profile.files.push(file("/etc/a", "2"))),
        id(|plan| plan.profile.mask_units.push("fstrim.timer".into())),
        id(|plan| plan.profile.disk.root = Extent::Fixed(Size::mib(4096))),
        id(|plan| plan.profile.disk.root = Extent::Fixed(Size::mib(8192))),
        id(|plan| plan.profile.disk.data = Some(Extent::Rest)),
        rendered_of("other", EPOCH, &[], &plan(), &base)
            .expect("an overlay")
            .image_id,
        rendered_of("5c9c", EPOCH + 1, &[], &plan(), &base)
            .expect("an overlay")
            .image_id,
    ];
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert_eq!(id(|_| {}), ids[0]);
}

#[test]
fn a_base_without_a_stock_user_or_firmware_gets_its_own() {
    let mut base = bases::trixie();
    for path in [
        "/config.txt",
        "/cmdline.txt",
        "/kernel8.img",
        "/kernel_2712.img",
        "/overlays",
    ] {
        base = base.without(Part::Boot, path);
    }
    for path in ["/home/pi", "/etc/hosts", "/etc/fstab"] {
        base = base.without(Part::Root, path);
    }
    let passwd = "root:x:0:0:root:/root:/bin/bash\n";
    base = base.files(
        Part::Root,
        &[
            ("/etc/passwd", passwd),
            ("/etc/group", "root:x:0:\nsudo:x:27:\n"),
        ],
    );
    let mut plan = plan();
    plan.profile.firmware.page_size = PageSize::FourKib;
    let overlay = rendered(&plan, &base).expect("an overlay").overlay;
    assert_eq!(
        content(&overlay, Part::Root, "/etc/passwd"),
        format!("{passwd}admin:x:1000:1000::/home/admin:/bin/bash\n")
    );
    assert_eq!(
        content(&overlay, Part::Root, "/etc/group"),
        "root:x:0:\nsudo:x:27:admin\nadmin:x:1000:\n"
    );
    assert_eq!(
        content(&overlay, Part::Root, "/home/admin/.bashrc"),
        "# bash\n"
    );
    let cmdline = content(&overlay, Part::Boot, "/cmdline.txt");
    assert!(
        cmdline.starts_with("console=serial0,115200 console=tty1 "),
        "{cmdline}"
    );
    assert!(!content(&overlay, Part::Boot, "/config.txt").contains("kernel="));
}

/// The stock user's name is free once the first user has taken the account over.
#[test]
fn a_second_user_may_have_the_stock_users_name() {
    let mut base = bases::trixie();
    let mut plan = plan();
    let pi = crate::plan::User {
        name: "pi".into(),
        sudo: false,
        ..plan.users[0].clone()
    };
    plan.users.push(pi);
    let overlay = rendered(&plan, &base).expect("an overlay").overlay;
    let passwd = content(&overlay, Part::Root, "/etc/passwd");
    assert!(
        passwd.ends_with(
            "admin:x:1000:1000:,,,:/home/admin:/bin/bash\npi:x:1001:1001::/home/pi:/bin/bash\n"
        ),
        "{passwd}"
    );
    let shown = overlay.to_text();
    let owned = Owner {
        uid: 1001,
        gid: 1001,
    };
    assert!(
        shown.contains("root:/home/pi rename to /home/admin\n"),
        "{shown}"
    );
    assert_eq!(
        overlay.get(Part::Root, "/home/pi"),
        Some(&Change::Dir {
            mode: 0o700,
            owner: owned
        })
    );

    base = base.files(Part::Root, &[("/home/pi/own", "the stock user's")]);
    base.apply(&overlay);
    let mut homes = Vec::new();
    for home in ["/home/admin", "/home/pi"] {
        homes.push(base.list(Part::Root, home).expect("a home"));
    }
    assert_eq!(
        homes,
        [
            vec![".bashrc", ".ssh", "own"],
            vec![".bashrc", ".config", ".ssh"]
        ]
    );
}

#[test]
fn a_console_that_is_asked_for_is_the_last() {
    for (words, wanted) in [
        (
            &["console=tty1"][..],
            ["console=serial0,115200", "console=tty1"],
        ),
        (
            &["console=serial0,9600", "a=1"],
            ["console=tty1", "console=serial0,9600"],
        ),
    ] {
        let mut plan = plan();
        plan.profile.firmware.kernel_words = words.iter().map(|word| word.to_string()).collect();
        let mut base = bases::trixie();
        for _ in 0..2 {
            let overlay = rendered(&plan, &base).expect("an overlay").overlay;
            let line = content(&overlay, Part::Boot, "/cmdline.txt");
            let consoles: Vec<_> = line
                .split_whitespace()
                .filter(|word| word.starts_with("console="))
                .collect();
            assert_eq!(consoles, wanted, "{line}");
            assert!(line.trim_end().ends_with(wanted[1]), "{line}");
            base.apply(&overlay);
        }
    }
}

#[test]
fn the_kernel_gets_one_line_without_the_stock_first_boot() {
    let imagers = (
        "/cmdline.txt",
        "resize_early quiet cloud-init=x ds=nocloud;i=1 root=/dev/x",
    );
    for base in [
        bases::trixie(),
        bases::bookworm(),
        bases::trixie().files(Part::Boot, &[imagers]),
    ] {
        let overlay = rendered(&busy_plan(), &base).expect("an overlay").overlay;
        let line = content(&overlay, Part::Boot, "/cmdline.txt");
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains("firstboot"), "{line}");
        let words: Vec<_> = line.split_whitespace().collect();
        for gone in ["resize", "quiet", "cloud-init", "ds="] {
            assert!(!words.iter().any(|word| word.starts_with(gone)), "{line}");
        }
        assert!(!words.contains(&"rw"), "{line}");
        assert_eq!(
            words
                .iter()
                .filter(|word| word.starts_with("root="))
                .count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn secrets_are_never_shown() {
    let Rendered { overlay, .. } = rendered(&busy_plan(), &bases::bookworm()).expect("an overlay");
    let shown = format!("{overlay:?}\n{}", overlay.to_text());
    assert!(shown.contains("secret"));
    assert!(!shown.contains("hunter2"));
    for key in fixture::host_keys().each() {
        let private = String::from_utf8(key.private().expect("text")).expect("ASCII");
        assert!(private.lines().all(|line| !shown.contains(line)));
    }
    for (path, change) in overlay.changes(Part::Boot) {
        assert!(
            !matches!(change, Change::File { secret: true, .. }),
            "{path} is readable by anyone"
        );
    }
}

#[test]
fn the_manifest_is_read_back() {
    let Rendered { overlay, image_id } = rendered(&plan(), &bases::trixie()).expect("an overlay");
    let text = content(&overlay, Part::Boot, "/imgbuild.json");
    let manifest = Manifest::parse(&text).expect("our manifest");
    assert_eq!(manifest.image_id, image_id);
    assert_eq!(manifest.render(), text);
    let newer = text.replacen("\"version\": 1", "\"version\": 2", 1);
    assert!(format!("{:#}", Manifest::parse(&newer).expect_err("newer")).contains("version 2"));
    let node = content(&overlay, Part::Root, "/etc/imgbuild/node.toml");
    assert_eq!(
        node_config::NodeConfig::parse(&node)
            .expect("our node.toml")
            .image_id,
        image_id
    );
}

/// What sudo, sshd and systemd think of theirs is asked on the node itself:
/// tests/real/boot.rs.
#[test]
fn openssh_reads_the_texts_for_the_users_side() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let plan = plan();
    let run = |program: &str, args: &[&str], name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        let output = Command::new(program).args(args).arg(path).output();
        let output = output.expect("openssh-client; run ci/setup");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {words}");
        String::from_utf8(output.stdout).expect("text")
    };
    let known = known_hosts([(&plan.peer(), fixture::host_keys())]);
    let found = run(
        "ssh-keygen",
        &["-F", "192.168.4.11", "-f"],
        "known_hosts",
        &known,
    );
    assert_eq!(
        found.lines().filter(|line| !line.starts_with('#')).count(),
        2
    );
    let config = ssh_config(
        [&plan.peer()],
        &plan.users[0].name,
        Path::new("/tmp/100%d known hosts"),
    );
    let read = run("ssh", &["-G", "pi-1", "-F"], "ssh_config", &config);
    for line in [
        "hostname 192.168.4.11",
        "stricthostkeychecking true",
        "userknownhostsfile /tmp/100%d known hosts",
    ] {
        assert!(read.contains(line), "{line}: {read}");
    }
}
