//! An image on a disk larger than itself: the node grows into it, and foreign
//! tools find no fault.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgbuild::cmd::Cmd;
use imgbuild::ids::NodeIds;
use imgbuild::layout::{DiskPlan, Frame};
use imgbuild::plan::{Disk, Extent, Size};
use imgbuild::qemu::DiskBus;
use node_config::{NodeConfig, paths};

use crate::boot::{PATIENCE, Rig, drain, power_off, text, wait_until_done};
use crate::lab::Lab;

/// The disk; the image has a root of 1 GiB.
pub(crate) const DISK: u64 = 8 << 30;

/// A lab whose profile wants these.
fn lab(root: &str, data: &str) -> Option<Lab> {
    let lab = Lab::new()?;
    let wanted = format!("root = \"{root}\"\ndata = \"{data}\"");
    lab.edit("profiles/lab.toml", |profile| {
        profile.replace("root = \"1GiB\"", &wanted)
    });
    Some(lab)
}

/// The node's disk as a file.
pub(crate) fn raw(rig: &Rig<'_>) -> PathBuf {
    let raw = rig.dir().join("after.raw");
    rig.copy_disk(&raw);
    raw
}

/// Both partitions' file systems, and the table.
pub(crate) fn assert_disk_clean(raw: &Path, plan: &DiskPlan) {
    let output = Cmd::new("sgdisk", "run ci/setup")
        .arg("-v")
        .arg(raw)
        .run(&[0])
        .expect("sgdisk");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("No problems found"), "{words}");
    for span in [Some(plan.root), plan.data].into_iter().flatten() {
        let device = format!("{}?offset={}", raw.display(), span.offset);
        Cmd::new("e2fsck", "run ci/setup")
            .arg("-fn")
            .arg(device)
            .run(&[0])
            .expect("e2fsck after the boots");
    }
}

/// What `imgbuild write` would have written for this disk.
pub(crate) fn fitted(node: &NodeConfig, root: Size, wanted: Disk) -> DiskPlan {
    let ids = NodeIds::derive(node.cluster.id, &node.node.name);
    let frame = Frame {
        size: DISK,
        kept: None,
    };
    DiskPlan::fitted(ids, Size::mib(512), root, wanted, frame).expect("it fits")
}

pub(crate) fn assert_table_is(raw: &Path, plan: &DiskPlan) {
    let file = File::open(raw).expect("the disk");
    for (offset, bytes) in plan.encode().expect("encode") {
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, offset).expect("read");
        assert!(found == bytes, "the table differs near byte {offset}");
    }
}

const STATE: &str = "sudo sh -c 'findmnt -rno SOURCE,TARGET,FSTYPE / /var/lib/longhorn; findmnt -rno SOURCE,TARGET,FSTYPE /var/lib/longhorn; \
    head -c 65536 /dev/vda | sha256sum; tail -c 65536 /dev/vda | sha256sum; sha256sum /var/lib/longhorn/kept; \
    cat /sys/class/block/vda/vda*/start /sys/class/block/vda/vda*/size; find /etc/systemd; cat /var/lib/imgbuild/report.json'";

#[test]
fn an_image_grows_into_its_disk_and_a_second_boot_changes_nothing() {
    let Some(lab) = lab("1GiB", "rest") else {
        return;
    };
    let image = lab.build("pi-1.img");
    let rig = Rig::new(&lab, &image);
    rig.enlarge_disk(DISK);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_until_done(&mut guest);
    let ssh = rig.ssh(&guest);
    ssh.wait(Duration::from_secs(90)).expect("login");
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    assert_eq!(
        run("systemctl is-system-running --wait; systemctl --failed --no-legend"),
        "running"
    );
    let verify = format!(
        "systemd-analyze verify --man=no /etc/systemd/system/{} 2>&1",
        paths::DATA_UNIT
    );
    assert_eq!(run(&verify), "");
    let mounted = run("findmnt -rno SOURCE,TARGET,FSTYPE,OPTIONS /var/lib/longhorn");
    assert!(
        mounted.starts_with("/dev/vda3 /var/lib/longhorn ext4 rw,noatime"),
        "{mounted}"
    );
    run("echo kept | sudo tee /var/lib/longhorn/kept");
    let before = run(STATE);
    power_off(guest, &ssh);

    let plan = fitted(
        rig.node(),
        Size::mib(1024),
        Disk {
            root: Extent::Fixed(Size::mib(1024)),
            data: Some(Extent::Rest),
        },
    );
    let after = raw(&rig);
    assert_table_is(&after, &plan);
    assert_disk_clean(&after, &plan);

    let mut guest = rig.start(DiskBus::Virtio);
    let ssh = login(&rig, &mut guest);
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    assert_eq!(run("systemctl is-system-running --wait"), "running");
    assert_eq!(run(STATE), before, "the second boot changed something");
}

/// Waits for a login while somebody reads the console.
pub(crate) fn login(rig: &Rig<'_>, guest: &mut imgbuild::qemu::Guest) -> imgbuild::qemu::Ssh {
    let ssh = rig.ssh(guest);
    let login = std::thread::spawn(move || {
        ssh.wait(PATIENCE).expect("login");
        ssh
    });
    while !login.is_finished() {
        drain(guest, Duration::from_millis(300));
    }
    login.join().expect("login")
}
