//! The very bytes of a release, booted: they have no node and say so, are given one by
//! their boot partition, are cut while they take it, and end as the image that `build`
//! makes of release and node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgbuild::cmd::Cmd;
use imgbuild::io::Region;
use imgbuild::overlay::{BaseView as _, Content, Kind, Part};
use imgbuild::qemu::{DiskBus, Guest, Waited};
use imgbuild::source::find_partitions;
use imgbuild::view::ImageView;
use node_config::report::State;
use node_config::{NodeConfig, Report, Seed, paths};

use crate::boot::{PATIENCE, Rig, power_off, read, text, wait_until_done};
use crate::canary::Canaries;
use crate::lab::{Lab, NODE, stderr};
use crate::release::judge_file_systems;

/// Where the boot partition begins, in MiB, for mtools.
const BOOT: &str = "@@8M";

/// `packed` is the release, `release` its bytes, `built` the image that `build` made of
/// it for the node. What the node reports.
pub(crate) fn becomes_the_node(
    lab: &Lab,
    packed: &Path,
    release: &Path,
    built: &Path,
    canaries: &Canaries,
) -> Report {
    let node = NodeConfig::parse(&read(built, paths::NODE_CONFIG)).expect("node.toml");
    let rig = Rig::with_node(lab, release, node);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_for_words(
        &mut guest,
        "this disk is the release imgbuild-lab-1.2 and has no node.",
    );
    // It only waits: its plug is pulled.
    drop(guest);
    let disk = lab.path("flashed.img");
    rig.copy_disk(&disk);

    let folder = lab.path("bootfs");
    fs::create_dir(&folder).expect("folder");
    let seed = |dir: &Path| {
        let mut seed = lab.imgbuild();
        seed.current_dir(lab.dir.path())
            .args(["seed", NODE])
            .arg(dir);
        seed.arg("--release").arg(packed);
        seed.arg("--identity").arg(lab.path("key"));
        seed
    };
    let refused = seed(&folder).output().expect("imgbuild");
    assert_eq!(refused.status.code(), Some(9), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("there is no release.json in it"));
    let on_disk = format!("{}{BOOT}", disk.display());
    mtools(
        "mcopy",
        &[&on_disk, "::release.json", &folder.display().to_string()],
    );
    let output = seed(&folder).output().expect("imgbuild");
    assert!(output.status.success(), "{}", stderr(&output));
    canaries.absent("what seed says", &output.stderr[..]);
    let at = |name: &str| folder.join(name).display().to_string();
    let document = fs::read(at("imgbuild-seed.json")).expect("a seed");
    let image_id = Seed::parse(&document).expect("a seed").image_id;
    for name in ["imgbuild-seed.bin", "imgbuild-seed.json"] {
        mtools("mcopy", &[&on_disk, &at(name), "::"]);
    }
    rig.replace_disk(&disk);
    let trusted = lab.path("out/pi-1.known_hosts");
    fs::copy(trusted, release.with_extension("known_hosts")).expect("copied");

    let mut guest = rig.start(DiskBus::Nvme);
    wait_for_words(&mut guest, "this disk becomes the node pi-1");
    // The power goes while it is at it.
    drop(guest);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_for_words(&mut guest, "this disk is the node pi-1; it starts anew");
    wait_until_done(&mut guest);
    let ssh = rig.ssh(&guest);
    ssh.wait(PATIENCE).expect("login");
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    let report = Report::parse(&run("sudo cat /var/lib/imgbuild/report.json")).expect("report");
    assert_eq!((report.state, report.image_id), (State::Done, image_id));
    canaries.absent("the report", report.render().as_bytes());
    canaries.absent("the journal", run("sudo journalctl --no-pager").as_bytes());
    assert_eq!(
        run(
            "systemctl is-system-running --wait; systemctl --failed --no-legend; systemctl is-active k3s.service"
        ),
        "running\nactive"
    );
    power_off(guest, &ssh);

    let after = lab.path("after.img");
    rig.copy_disk(&after);
    judge_file_systems(lab, &after);
    same_but_for_the_ids(&after, built);
    report
}

fn mtools(program: &str, args: &[&str]) {
    let [image, files @ ..] = args else {
        panic!("{program} without an image");
    };
    let command = Cmd::new(program, "run ci/setup")
        .arg("-o")
        .arg("-i")
        .arg(image);
    let command = files
        .iter()
        .fold(command, |command, file| command.arg(file));
    command.run(&[0]).expect(program);
}

/// Waits for words that are no line of a stage.
fn wait_for_words(guest: &mut Guest, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = fs::read(guest.log()).expect("the console's log");
        if String::from_utf8_lossy(&log).contains(words) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "no {words:?} in {}",
            guest.log().display()
        );
        let waited = guest.wait(Duration::from_millis(100)).expect("console");
        assert!(!matches!(waited, Waited::Ended(_)), "{waited:?}");
    }
}

/// What a seeded disk has otherwise than the image: its own ids and what is named by
/// them; and what two systems differ in of which only one has run.
const OTHERWISE: &[&str] = &[
    "/etc/fstab",
    paths::NODE_CONFIG,
    "/boot/cmdline.txt",
    "/boot/imgbuild.json",
    "/boot/NODE.txt",
];

/// What a system that has run has of its own: systemd's, K3s', NetworkManager's, the
/// agent's, sudo's.
const OF_A_RUN: &[&str] = &[
    "/etc/.pwd.lock",
    "/etc/.updated",
    "/var/.updated",
    "/etc/resolv.conf",
    "/etc/rancher/k3s/config.yaml.d",
    "/etc/rancher/k3s/k3s.yaml",
    "/home/admin/.sudo_as_admin_successful",
    "/boot/report.json",
    "/root",
    "/tmp",
    "/var/lib/imgbuild",
    "/var/lib/NetworkManager",
    "/var/lib/dbus",
    "/var/lib/rancher",
    "/var/lib/systemd",
    "/var/lib/apt",
    "/var/cache",
    "/var/log",
    "/var/tmp",
];

/// The file level: what was applied to the running root is what is in the image.
fn same_but_for_the_ids(disk: &Path, image: &Path) {
    let [disk, image] = [disk, image].map(tree);
    let differ = |path: &&String| disk.get(*path) != image.get(*path);
    let paths: BTreeSet<&String> = disk.keys().chain(image.keys()).collect();
    let of_a_run = |path: &str| {
        OF_A_RUN.iter().any(|dir| {
            path.strip_prefix(dir)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let found: Vec<String> = paths
        .into_iter()
        .filter(differ)
        .filter(|path| !of_a_run(path))
        .cloned()
        .collect();
    let words = |path: &String| {
        format!(
            "{path}: {:?}, in the image {:?}",
            disk.get(path),
            image.get(path)
        )
    };
    let unexpected: Vec<_> = found
        .iter()
        .filter(|path| !OTHERWISE.contains(&path.as_str()))
        .map(words)
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    let missing = OTHERWISE
        .iter()
        .find(|path| !found.iter().any(|of| of == *path));
    assert_eq!(missing, None, "should differ, and does not");
    assert!(disk.len() > 5000, "{} paths", disk.len());
}

/// Everything on both file systems: kind, mode, owner, length; and what is in it, where
/// a node's own files are.
fn tree(image: &Path) -> BTreeMap<String, String> {
    let region = Region::whole(Arc::new(File::open(image).expect("image"))).expect("region");
    let parts = find_partitions(&region).expect("partitions");
    let view = ImageView::open(parts.boot, parts.root).expect("view");
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(dir) = left.pop() {
        for name in view.root().list(&format!("{dir}/")).expect("directory") {
            let path = format!("{dir}/{name}");
            let entry = view.root().entry(&path).expect("looks").expect("there");
            let content = match entry.kind {
                Kind::File if !path.starts_with("/usr/lib") && !path.starts_with("/usr/share") => {
                    let mut content = Vec::new();
                    let mut file = view.root().open_file(&path).expect("file");
                    file.read_to_end(&mut content).expect("content");
                    content
                }
                Kind::Dir => {
                    left.push(path.clone());
                    Vec::new()
                }
                _ => Vec::new(),
            };
            let len = if entry.kind == Kind::Dir {
                0
            } else {
                entry.len
            };
            let sum = Content::from(content).sha256();
            let (kind, mode, uid, gid) = (entry.kind, entry.mode, entry.uid, entry.gid);
            found.insert(path, format!("{kind:?} {mode:o} {uid}:{gid} {len} {sum}"));
        }
    }
    let boot = view.list(Part::Boot, "/").expect("directory");
    for name in boot {
        let path = format!("/{name}");
        if view.kind(Part::Boot, &path).expect("looks") == Some(Kind::File) {
            let content = view.read(Part::Boot, &path).expect("reads").expect("there");
            found.insert(format!("/boot{path}"), Content::from(content).sha256());
        }
    }
    found
}
