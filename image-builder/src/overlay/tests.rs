//! The whole overlay as text, for a trixie-shaped and a bookworm-shaped base.
//!
//! `UPDATE_GOLDEN=1 cargo test -p image-builder overlay` writes the texts anew;
//! `git diff` then shows what a change to the code changes on a node.

mod bases;
mod plans;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use uuid::Uuid;

use self::plans::{busy_plan, file, plan};
use super::manifest::Manifest;
use super::memory::MemoryBase;
use super::*;
use crate::identity::{fixture, known_hosts, ssh_config};
use crate::ids::NodeIds;
use crate::plan::{ExtraFile, NodePlan};

const AGENT_UNIT: &str = "[Service]\nExecStart=/usr/lib/imgbuild/firstboot-agent\n\n[Install]\nWantedBy=multi-user.target\n";

fn rendered(plan: &NodePlan, base: &MemoryBase) -> anyhow::Result<Rendered> {
    rendered_of("5c9c", plan, base)
}

fn rendered_of(base_digest: &str, plan: &NodePlan, base: &MemoryBase) -> anyhow::Result<Rendered> {
    let keys = fixture::host_keys();
    let request = Request {
        plan,
        ids: &NodeIds::derive(plan.cluster.id, &plan.node.name),
        keys,
        agent: b"\x7fELF",
        agent_unit: AGENT_UNIT,
        base_digest,
    };
    render(&request, base)
}

fn content(overlay: &Overlay, part: Part, path: &str) -> String {
    match overlay.get(part, path) {
        Some(Change::File { content, .. }) => String::from_utf8(content.clone()).expect("text"),
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
        rendered_of("other", &plan(), &base)
            .expect("an overlay")
            .image_id,
    ];
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert_eq!(id(|_| {}), ids[0]);
}

#[test]
fn what_cannot_be_had_is_named() {
    type Plan = fn(&mut NodePlan);
    type Base = fn(MemoryBase) -> MemoryBase;
    let same: Base = |base| base;
    let cases: &[(Plan, Base, &str)] = &[
        (
            |p| p.locale.timezone = "europe/berln".into(),
            same,
            "did you mean \"Europe/Berlin\"",
        ),
        (
            |p| p.locale.timezone = "../../etc/passwd".into(),
            same,
            "knows no time zone",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/usr/share/zoneinfo"),
            "tzdata",
        ),
        (
            |p| p.locale.lang = "fr_FR.UTF-8".into(),
            same,
            "use \"C.UTF-8\"",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/usr/lib/systemd/system/NetworkManager.service"),
            "no NetworkManager",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/ssh/sshd_config"),
            "no SSH server",
        ),
        (
            |_| {},
            |b| b.files(Part::Root, &[("/etc/ssh/sshd_config", "#Include\n")]),
            "includes no drop-ins",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/sudoers"),
            "/etc/sudoers",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/shadow"),
            "no /etc/shadow",
        ),
        (
            |_| {},
            |b| b.without(Part::Boot, "/kernel_2712.img"),
            "16 KiB",
        ),
        (
            |p| p.users[0].name = "daemon".into(),
            same,
            "already has a user daemon",
        ),
        (
            |p| p.users[0].name = "video".into(),
            same,
            "already has a group video",
        ),
        (
            |p| p.profile.firmware.kernel_words = vec!["rw".into()],
            same,
            "presets",
        ),
        (
            |p| p.profile.firmware.kernel_words = vec!["systemd.firstboot=off".into()],
            same,
            "repartitions",
        ),
        (
            |p| p.profile.enable_units = vec!["../ghost.service".into()],
            same,
            "not a unit's name",
        ),
        (
            |p| p.profile.enable_units = vec!["ghost.service".into()],
            same,
            "no unit ghost.service",
        ),
        (
            |p| p.profile.mask_units = vec!["ssh.service".into()],
            same,
            "and masked",
        ),
        (
            |p| p.profile.enable_units = vec!["userconfig.service".into()],
            same,
            "and masked",
        ),
        (
            |p| p.profile.files = vec![file("/etc/hostname", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/boot/firmware/node.TXT", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/etc/imgbuild/node.toml/x", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/etc/../x", "")],
            same,
            "not an absolute path",
        ),
        (
            |p| {
                let open = file("/boot/firmware/password", "");
                p.profile.files = vec![ExtraFile {
                    mode: 0o600,
                    ..open
                }];
            },
            same,
            "which has no modes",
        ),
        (
            |p| p.profile.files = vec![file("/boot/firmware", "")],
            same,
            "is a directory",
        ),
    ];
    for (change, spoil, said) in cases {
        let mut plan = plan();
        change(&mut plan);
        let error = rendered(&plan, &spoil(bases::trixie())).expect_err(said);
        let error = format!("{error:#}");
        assert!(error.contains(said), "wanted {said:?}: {error}");
    }
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
    let overlay = rendered(&plan(), &base).expect("an overlay").overlay;
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

#[test]
fn the_kernel_gets_one_line_without_the_stock_first_boot() {
    for base in [bases::trixie(), bases::bookworm()] {
        let overlay = rendered(&busy_plan(), &base).expect("an overlay").overlay;
        let line = content(&overlay, Part::Boot, "/cmdline.txt");
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains("firstboot"), "{line}");
        let words: Vec<_> = line.split_whitespace().collect();
        for gone in ["resize", "quiet", "rw"] {
            assert!(!words.contains(&gone), "{line}");
        }
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
        Path::new("/tmp/known hosts"),
    );
    let read = run("ssh", &["-G", "pi-1", "-F"], "ssh_config", &config);
    for line in [
        "hostname 192.168.4.11",
        "stricthostkeychecking true",
        "userknownhostsfile /tmp/known hosts",
    ] {
        assert!(read.contains(line), "{line}: {read}");
    }
}
