//! Packages that an image carries: installed on the first boot, with no network
//! to take them from, and in spite of a cut.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgbuild::build::{self, Ingredients, Job, Keys, On};
use imgbuild::cmd::Cmd;
use imgbuild::config;
use imgbuild::fetch::{Client, Settings};
use imgbuild::lock::{Deb, Lock, PackageSet};
use imgbuild::overlay::{BaseView as _, Content, Part};
use imgbuild::progress::Silent;
use imgbuild::qemu::{DiskBus, Ssh};
use imgbuild::source::{self, Cache};
use imgbuild::view::ImageView;
use node_config::report::{Outcome, State};
use node_config::{ConsoleLine, Report};

use crate::boot::{PATIENCE, Rig, power_off, text, wait_for};
use crate::lab::{Lab, NODE, count, skip};

/// Of a boot that also makes a new initramfs, which takes an emulated machine
/// minutes.
const LONG: Duration = Duration::from_secs(3 * 420);

/// Where a cut hurts: among the unpacked files, in the packages' scripts, in what
/// is done for all at the end.
const CUTS: [&str; 3] = ["setting up 3/", "unpacking 5/", "updating initramfs-tools"];

#[test]
fn packages_are_installed_without_a_network() {
    let Some((lab, image)) = lab_with_packages() else {
        return;
    };
    let rig = Rig::new(&lab, &image);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_for(&mut guest, LONG, |line| {
        matches!(line, ConsoleLine::AllDone { .. })
    });
    let ssh = rig.ssh(&guest);
    ssh.wait(PATIENCE).expect("login");
    assert_installed(&ssh);
}

#[test]
#[ignore = "boots that make an initramfs each, minutes long: ci/soak"]
fn a_cut_among_the_packages_is_mended() {
    let Some((lab, image)) = lab_with_packages() else {
        return;
    };
    for round in 0..count("IMGBUILD_SOAK_CUTS", 3) {
        let rig = Rig::new(&lab, &image);
        let mut guest = rig.start(DiskBus::Virtio);
        let at = CUTS[round as usize % CUTS.len()];
        wait_for(&mut guest, LONG, |line| {
            matches!(line, ConsoleLine::Stage { stage, message, .. }
                if stage == "packages" && message.starts_with(at))
        });
        drop(guest);

        let mut guest = rig.start(DiskBus::Virtio);
        wait_for(&mut guest, LONG, |line| {
            matches!(line, ConsoleLine::AllDone { .. })
        });
        let ssh = rig.ssh(&guest);
        ssh.wait(PATIENCE).expect("login");
        assert_installed(&ssh);
        power_off(guest, &ssh);
        rig.assert_disk_clean();
    }
}

fn assert_installed(ssh: &Ssh) {
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    assert_eq!(run("systemctl is-active iscsid"), "active");
    assert_eq!(run("sudo dpkg --audit"), "");
    assert_eq!(
        run("systemctl is-system-running --wait; systemctl --failed --no-legend"),
        "running"
    );
    assert_eq!(run("sudo ls -A /var/lib/imgbuild/packages"), "");
    assert!(run("lsmod").contains("iscsi_tcp"));
    assert!(
        run("sudo cat /etc/iscsi/initiatorname.iscsi").starts_with("# By imgbuild"),
        "the package's own name in place of the node's"
    );
    let report = Report::parse(&run("sudo cat /var/lib/imgbuild/report.json")).expect("report");
    assert_eq!(report.state, State::Done);
    let stage = report.stages.iter().find(|stage| stage.name == "packages");
    let stage = stage.expect("the stage");
    assert_eq!(stage.outcome, Outcome::Done);
}

/// A lab and its node's image, which carries what the base lacks of Debian's
/// packages in `out/repo/pool`.
fn lab_with_packages() -> Option<(Lab, PathBuf)> {
    let lab = Lab::new()?;
    let pool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/repo/pool");
    if !pool.exists() {
        skip(&format!(
            "there is no {}; run `cargo xtask repo`",
            pool.display()
        ));
        return None;
    }
    let workspace = config::load(&lab.path("cluster.toml"), &lab.path("profiles"));
    let mut plan = workspace.expect("config").plan(NODE).expect("plan");
    let cache = Cache::new(&lab.cache);
    let base = source::open(&plan.profile.base, None, &cache, &mut Silent).expect("base");
    let view = ImageView::open(base.boot.clone(), base.root.clone()).expect("view");
    let status = view.read(Part::Root, "/var/lib/dpkg/status");
    let status = String::from_utf8(status.expect("read").expect("dpkg's record")).expect("text");
    let in_base: BTreeSet<&str> = status
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .collect();

    plan.profile.packages = vec!["nfs-common".into(), "open-iscsi".into()];
    let debs = debs(&pool).into_iter().map(|path| describe(&path));
    let set = PackageSet {
        base: base.digest,
        wanted: plan.profile.packages.clone(),
        deb: debs
            .filter(|deb| !in_base.contains(deb.name.as_str()))
            .collect(),
    };
    let lock = Lock {
        packages: vec![set],
        ..Lock::default()
    };
    let client = Client::new(Settings::default()).expect("client");
    client
        .download_all(&lock.wanted(&cache), 2, &mut Silent)
        .expect("fetched");
    let image = lab.path("pi-1.img");
    let job = Job {
        node: Ingredients {
            release: None,
            disk: On::New,
            plan: &plan,
            keys: Keys::Files(&lab.path("secrets")),
            base: None,
            agent: &lab.agent,
            lock: &lock,
            handover: None,
            cache: &cache,
            epoch: None,
        },
        output: &image,
        replace: false,
    };
    build::build(job, &mut Silent).expect("build");
    Some((lab, image))
}

/// Every package file below, sorted.
fn debs(dir: &Path) -> Vec<PathBuf> {
    let mut debs = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).expect("directory") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "deb") {
                debs.push(path);
            }
        }
    }
    debs.sort();
    debs
}

fn describe(path: &Path) -> Deb {
    let show = Cmd::new("dpkg-deb", "run ci/setup")
        .arg("--show")
        .arg("--showformat=${Package} ${Version} ${Architecture}")
        .arg(path)
        .run(&[0])
        .expect("dpkg-deb");
    let fields = String::from_utf8(show.stdout).expect("text");
    let [name, version, architecture] = fields.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{fields}");
    };
    let content = fs::read(path).expect("package");
    let path = fs::canonicalize(path).expect("a file");
    Deb {
        name: name.into(),
        version: version.into(),
        architecture: architecture.into(),
        // A file's name may hold an escaped epoch, and the escape means itself.
        url: format!("file://{}", path.display()).replace('%', "%25"),
        size: content.len() as u64,
        sha256: Content::from(content).sha256(),
    }
}
