//! Every reason, on a machine that has it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::device::testing::GIB;

/// An external disk that nothing is wrong with.
fn stick(tree: &Tree, name: &str) {
    tree.disk(name, &format!("pci0000:00/usb1/1-1/{name}"), 64 * GIB);
}

fn said(tree: &Tree, name: &str) -> String {
    reasons(tree, name, &Ask::default()).join("\n")
}

#[test]
fn a_free_disk_is_not_refused() {
    let tree = Tree::workshop();
    assert_eq!(said(&tree, "sda"), "");
    // Nor is the loop device, for what it lies on is not written over.
    assert_eq!(said(&tree, "loop0"), "");
}

#[test]
fn the_machine_of_everything_says_all_of_it() {
    let tree = Tree::workshop();
    let mut all = String::new();
    for device in devices(&tree) {
        all += &format!("{}\n", device.name);
        for reason in reasons(&tree, &device.name, &Ask::default()) {
            all += &format!("  {reason}\n");
        }
    }
    assert_eq!(all, include_str!("refusals.txt"));
}

#[test]
fn what_the_run_needs_is_kept() {
    let tree = Tree::new();
    stick(&tree, "sda");
    let part = tree.partition("sda", 1, 1 << 20, GIB);
    tree.mount(&part, "/home");
    stick(&tree, "sdb");
    tree.disk("loop0", "virtual", GIB);
    tree.write(
        "sys/class/block/loop0/loop/backing_file",
        "/home/pi-1.img\n",
    );
    tree.write("home/pi-1.img", "");
    let keep_off = ["/home/cache/not/yet/made", "/dev/sdb", "/home/pi-1.img"].map(PathBuf::from);
    let ask = Ask {
        keep_off: &keep_off,
        ..Ask::default()
    };
    let of = |name| reasons(&tree, name, &ask);
    assert!(of("sda")[0].starts_with("/home/cache/not/yet/made is on it"));
    assert!(of("sdb")[0].starts_with("/dev/sdb is on it"));
    assert!(of("loop0")[0].starts_with("/home/pi-1.img is on it"));
}

#[test]
fn a_mount_elsewhere_counts_and_says_where() {
    let tree = Tree::new();
    for name in ["sda", "sdb", "sdc"] {
        stick(&tree, name);
    }
    tree.mount_in("4711", "sda", "/inside");
    tree.write("proc/4711/comm", "containerd\n");
    // The same namespace once more; one that shows nothing; one that is gone.
    tree.mount_in("4712", "sda", "/inside/too");
    for (process, namespace) in [
        ("4711", "mnt:[1]"),
        ("4712", "mnt:[1]"),
        ("4713", "mnt:[2]"),
    ] {
        let dir = tree.path(&format!("proc/{process}/ns"));
        std::fs::create_dir_all(&dir).expect("ns");
        symlink(namespace, dir.join("mnt")).expect("ns/mnt");
        symlink("/", tree.path(&format!("proc/{process}/root"))).expect("root");
    }
    let reason = said(&tree, "sda");
    let wanted = "/dev/sda is mounted at /inside, as process 4711 (containerd) sees it; \
                  end that process, or `nsenter --target 4711 --mount umount /inside`";
    // Which of the two is seen first is the directory's order.
    assert!(
        reason == wanted || reason.contains("4712") && reason.contains("/inside/too"),
        "{reason}"
    );
    // In a chroot, the same namespace shows other mounts.
    tree.mount_in("4714", "sdb", "/deep");
    let dir = tree.path("proc/4714/ns");
    std::fs::create_dir_all(&dir).expect("ns");
    symlink("mnt:[1]", dir.join("mnt")).expect("ns/mnt");
    symlink("/srv/chroot", tree.path("proc/4714/root")).expect("root");
    assert!(said(&tree, "sdb").contains("/dev/sdb is mounted at /deep"));
    assert_eq!(said(&tree, "sdc"), "");
}

#[test]
fn odd_mount_points_are_words_and_commands_all_the_same() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = std::ffi::OsString::from_vec(b"/it's \xff".to_vec());
    let refusal = Refusal::Mounted {
        what: "/dev/sda1".into(),
        at: odd.into(),
        more: 1,
        process: Some("7 (sh)".into()),
    };
    let json = serde_json::to_value(&refusal).expect("JSON");
    assert_eq!(json["with"]["at"], "/it's \u{fffd}");
    let text = refusal.to_string();
    let wanted = "; end that process, or `nsenter --target 7 --mount umount '/it'\\''s \u{fffd}'`";
    assert!(text.ends_with(wanted), "{text}");
}

#[test]
fn file_systems_with_numbers_of_their_own_are_found_by_their_source() {
    let tree = Tree::new();
    for name in ["sda", "sdb", "sdc"] {
        stick(&tree, name);
    }
    let (first, second) = (
        tree.partition("sda", 1, 1 << 20, GIB),
        tree.partition("sdb", 1, 1 << 20, GIB),
    );
    tree.mountinfo("self", "0:44", "/home", &format!("/dev/{first}"));
    tree.write(&format!("sys/fs/btrfs/0123/devices/{first}"), "");
    tree.write(&format!("sys/fs/btrfs/0123/devices/{second}"), "");
    tree.write("sys/fs/btrfs/features/raid1c34", "");
    let reason = said(&tree, "sda");
    assert!(
        reason.starts_with("/dev/sda1 is mounted at /home;"),
        "{reason}"
    );
    let reason = said(&tree, "sdb");
    assert!(
        reason.starts_with("/dev/sdb1 is held by a mounted btrfs"),
        "{reason}"
    );
    assert_eq!(said(&tree, "sdc"), "");
    // The system runs from each of its disks.
    tree.mountinfo("self", "0:44", "/", &format!("/dev/{first}"));
    for name in ["sda", "sdb"] {
        assert!(said(&tree, name).starts_with("this system runs from it: it holds /;"));
    }
}

#[test]
fn holders_are_followed_up_and_down() {
    let tree = Tree::new();
    for name in ["sda", "sdb"] {
        stick(&tree, name);
    }
    let part = tree.partition("sda", 2, 1 << 20, GIB);
    for (name, called, uuid) in [
        ("dm-0", "luks", "CRYPT-LUKS2-1-luks"),
        ("dm-1", "vg-home", "LVM-abc"),
    ] {
        tree.disk(name, "virtual", GIB);
        tree.write(&format!("sys/class/block/{name}/dm/name"), called);
        tree.write(&format!("sys/class/block/{name}/dm/uuid"), uuid);
    }
    tree.hold("dm-0", &part);
    tree.hold("dm-1", "dm-0");
    tree.mount("dm-1", "/home");
    // A loop device over a partition, which sysfs calls no holder, swapped to.
    let other = tree.partition("sdb", 1, 1 << 20, GIB);
    tree.disk("loop3", "virtual", GIB);
    tree.write(
        "sys/class/block/loop3/loop/backing_file",
        format!("/dev/{other}\n"),
    );
    tree.swap("/dev/loop3");
    assert_eq!(
        said(&tree, "sda"),
        "/dev/sda2 is held by /dev/mapper/luks, an open encrypted volume; `cryptsetup close luks`\n\
         /dev/dm-0 is held by /dev/mapper/vg-home, an LVM volume; `lvchange -an /dev/mapper/vg-home`\n\
         /dev/dm-1 is mounted at /home; `umount /dev/dm-1`"
    );
    assert_eq!(
        said(&tree, "sdb"),
        "/dev/sdb1 is held by /dev/loop3, a loop device over it; `losetup -d /dev/loop3`\n\
         /dev/loop3 is in use as swap space; `swapoff /dev/loop3`"
    );
    let keep_off = [PathBuf::from("/home"), PathBuf::from("/dev/loop3")];
    let ask = Ask {
        keep_off: &keep_off,
        ..Ask::default()
    };
    assert!(reasons(&tree, "sda", &ask)[0].starts_with("/home is on it"));
    assert!(reasons(&tree, "sdb", &ask)[0].starts_with("/dev/loop3 is on it"));
}

#[test]
fn members_are_known_by_their_bytes_where_there_is_no_udev() {
    let tree = Tree::new();
    let write = |name: &str, at: u64, bytes: &[u8]| {
        node(&tree, name).write_all_at(bytes, at).expect(name);
    };
    for name in ["sda", "sdb", "sdc", "sdd", "sde"] {
        stick(&tree, name);
    }
    // The kernel need not know the partition. What is left behind the table of an
    // array that was here before is nobody's.
    mbr(&node(&tree, "sda"), &[(GIB, GIB)]);
    write("sda", 64 * GIB - (64 << 10), b"\xfc\x4e\x2b\xa9");
    write("sda", GIB + 512, b"LABELONE");
    write(
        "sdb",
        (128 << 10) + 7 * 1024,
        &0x00ba_b10c_u64.to_le_bytes(),
    );
    write("sdc", 64 * GIB - (64 << 10), b"\xfc\x4e\x2b\xa9");
    write("sdd", 64 * GIB - (8 << 10), b"\xfc\x4e\x2b\xa9");
    // Encrypted, and closed: shown, but nobody else's.
    write("sde", 0, b"LUKS\xba\xbe");
    let of = |name| {
        said(&tree, name)
            .split(',')
            .next()
            .expect("words")
            .to_owned()
    };
    assert_eq!(said(&tree, "sda").lines().count(), 1);
    assert_eq!(of("sda"), "/dev/sda1 is part of an LVM volume group");
    assert_eq!(of("sdb"), "/dev/sdb is part of a ZFS pool");
    assert_eq!(of("sdc"), "/dev/sdc is part of a RAID array");
    assert_eq!(of("sdd"), "/dev/sdd is part of a RAID array");
    assert_eq!(of("sde"), "");
}

#[test]
fn sizes_sectors_and_permission() {
    let tree = Tree::new();
    stick(&tree, "sda");
    tree.disk("nvme0n1", "pci0000:00/nvme/nvme0", 64 * GIB);
    tree.write("sys/class/block/nvme0n1/queue/logical_block_size", "4096\n");
    let ask = |needed, internal_allowed| Ask {
        internal_allowed,
        needed: Some(needed),
        keep_off: &[],
    };
    let refused = |name, ask| {
        let refusals = tree.system().refusals(&device(&tree, name), &ask);
        refusals.expect("refusals")
    };
    assert_eq!(refused("sda", ask(64 * GIB, false)), []);
    let (needs, has) = (64 * GIB + 1, 64 * GIB);
    assert_eq!(
        refused("sda", ask(needs, false)),
        [Refusal::TooSmall { needs, has }]
    );
    let sectors = Refusal::SectorSize(4096);
    assert_eq!(
        refused("nvme0n1", ask(1, true)),
        std::slice::from_ref(&sectors)
    );
    assert_eq!(
        refused("nvme0n1", ask(1, false)),
        [sectors, Refusal::Internal]
    );
}

#[test]
fn another_disk_in_its_place_is_noticed() {
    let tree = Tree::new();
    stick(&tree, "sda");
    let seen = device(&tree, "sda");
    let now = || {
        tree.system()
            .refusals(&seen, &Ask::default())
            .expect("refusals")
    };
    assert_eq!(now(), []);
    tree.write("sys/class/block/sda/diskseq", "77\n");
    assert_eq!(now(), [Refusal::Changed]);
    std::fs::remove_file(tree.path("sys/class/block/sda")).expect("unplug");
    assert_eq!(now(), [Refusal::Changed]);
}

#[test]
fn lists_that_are_not_understood_free_nothing() {
    let tree = Tree::new();
    stick(&tree, "sda");
    let seen = device(&tree, "sda");
    tree.write("proc/77/mountinfo", "what is this\n");
    tree.system()
        .refusals(&seen, &Ask::default())
        .expect_err("mountinfo");
    tree.write("proc/77/mountinfo", "");
    tree.write("proc/swaps", "/dev/sda\n");
    tree.system()
        .refusals(&seen, &Ask::default())
        .expect_err("swaps");
}

/// Random machines: whatever is not refused is mentioned by no list.
#[test]
fn a_disk_without_a_refusal_has_no_user() {
    let mut random = fastrand::Rng::with_seed(4);
    let (mut free, mut busy) = (0, 0);
    for _ in 0..24 {
        let tree = Tree::new();
        let mut blocks: Vec<(String, usize)> = Vec::new();
        let disks = ["sda", "sdb", "sdc", "sdd"];
        for (at, disk) in disks.iter().enumerate() {
            stick(&tree, disk);
            blocks.push(((*disk).to_owned(), at));
            for number in 1..=random.u32(0..3) {
                let start = u64::from(number) * GIB;
                blocks.push((tree.partition(disk, number, start, GIB), at));
            }
        }
        // The disks below each device, as we build them; any may be used twice.
        let mut below: Vec<Vec<usize>> = blocks.iter().map(|(_, disk)| vec![*disk]).collect();
        let mut used = [false; 4];
        for volume in 0..random.usize(0..3) {
            let name = format!("dm-{volume}");
            tree.disk(&name, "virtual", GIB);
            tree.write(&format!("sys/class/block/{name}/dm/name"), "volume");
            let mut disks = Vec::new();
            for _ in 0..random.usize(1..3) {
                let of = random.usize(0..blocks.len());
                tree.hold(&name, &blocks[of].0);
                disks.extend(&below[of]);
            }
            disks.iter().for_each(|disk| used[*disk] = true);
            blocks.push((name, usize::MAX));
            below.push(disks);
        }
        for _ in 0..random.usize(0..3) {
            let at = random.usize(0..blocks.len());
            let (name, _) = &blocks[at];
            match random.u8(0..4) {
                0 => tree.mount(name, "/mnt"),
                1 => tree.mount_in("99", name, "/mnt"),
                2 => tree.swap(&format!("/dev/{name}")),
                _ => tree.mountinfo("self", "0:99", "/mnt", &format!("/dev/{name}")),
            }
            below[at].iter().for_each(|disk| used[*disk] = true);
        }
        for (disk, used) in disks.iter().zip(used) {
            let reasons = said(&tree, disk);
            assert_eq!(reasons.is_empty(), !used, "{disk}: {reasons}");
            free += usize::from(!used);
            busy += usize::from(used);
        }
    }
    assert!(free > 15 && busy > 15, "{free} free, {busy} in use");
}
