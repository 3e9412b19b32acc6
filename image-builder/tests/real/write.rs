//! `imgbuild write` on real block devices, with the tools everybody uses and the
//! kernel as judges.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use imgbuild::flash::Record;
use imgbuild::io::{ReadAt as _, Region};
use imgbuild::layout::{Partition, Table};
use imgbuild::{bootfs, rootfs};
use serde_json::Value;

use crate::boot::{Rig, wait_until_done};
use crate::lab::{Lab, NODE, count, stderr};
use crate::loops::{self, LoopDevice, Mount, run};

const MIB: u64 = 1 << 20;

/// Room for a node of the lab, and some.
const DISK: u64 = 2560 * MIB;

fn lab() -> Option<Lab> {
    loops::available().then(Lab::new)?
}

fn write(lab: &Lab, args: &[&str], disk: &Path) -> Output {
    let mut command = lab.imgbuild();
    command.current_dir(lab.dir.path()).arg("write").args(args);
    command.arg(disk).stdin(Stdio::null());
    command.output().expect("imgbuild")
}

fn written(lab: &Lab, args: &[&str], disk: &Path) -> Value {
    let mut with_json = args.to_vec();
    with_json.insert(0, "--json");
    let output = write(lab, &with_json, disk);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(output: &Output, code: i32, words: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in {said}");
}

/// Fills a disk with what an earlier owner may have left: nothing zero, nothing
/// where it is looked for.
fn soil(disk: &LoopDevice) {
    let noise: Vec<u8> = (0..4 * MIB)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 1)
        .collect();
    for at in (0..DISK).step_by(noise.len()) {
        disk.file().write_all_at(&noise, at).expect("write");
    }
    disk.file().sync_all().expect("sync");
}

fn region(path: &Path) -> Region {
    Region::whole(Arc::new(File::open(path).expect("open"))).expect("region")
}

fn partition(disk: &Region, name: &str) -> Partition {
    let table = Table::read(disk).expect("table");
    let found = table
        .partitions
        .into_iter()
        .find(|partition| partition.name == name);
    found.unwrap_or_else(|| panic!("no partition {name}"))
}

/// What the tools say of the table and the file systems, and the kernel.
fn assert_good(disk: &LoopDevice) {
    let path = disk.path().to_str().expect("UTF-8");
    let output = Command::new("sgdisk")
        .args(["-v", path])
        .output()
        .expect("sgdisk");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("No problems found"), "{text}");
    let [boot, root] = [1, 2].map(|number| disk.partition(number));
    run("e2fsck", &["-fn", root.to_str().expect("UTF-8")]);
    run("fsck.vfat", &["-n", boot.to_str().expect("UTF-8")]);
    let point = tempfile::tempdir().expect("directory");
    let _mount = Mount::read_only(&root, point.path());
    let name = fs::read_to_string(point.path().join("etc/hostname")).expect("hostname");
    assert_eq!(name, format!("{NODE}\n"));
    // Not every kernel that runs tests knows FAT.
    run(
        "mdir",
        &["-i", boot.to_str().expect("UTF-8"), "::cmdline.txt"],
    );
}

/// Every byte that a file system of the disk uses is the image's.
fn assert_same(disk: &LoopDevice, image: &Path) {
    let (disk, image) = (region(disk.path()), region(image));
    for name in ["bootfs", "rootfs"] {
        let [from, to] = [&image, &disk].map(|whole| {
            let Partition { offset, len, .. } = partition(whole, name);
            (offset, len)
        });
        let image = image.slice(from.0, from.1).expect("partition");
        let disk = disk.slice(to.0, from.1.min(to.1)).expect("partition");
        let used = match name {
            "bootfs" => bootfs::used(&image).expect("used"),
            _ => rootfs::used(&image).expect("used"),
        };
        for range in used.iter() {
            for at in (range.start..range.end).step_by(MIB as usize) {
                let len = (range.end - at).min(MIB) as usize;
                let (mut a, mut b) = (vec![0; len], vec![0; len]);
                image.read_exact_at(at, &mut a).expect("read");
                disk.read_exact_at(at, &mut b).expect("read");
                assert!(a == b, "{name} differs in the MiB at {at}");
            }
        }
    }
}

#[test]
fn a_node_on_a_used_disk_is_the_nodes_image_and_boots() {
    let Some(lab) = lab() else { return };
    let image = lab.build("pi-1.img");
    let disk = LoopDevice::new(DISK, 512);
    soil(&disk);
    let json = written(&lab, &["--verify", "full", NODE], disk.path());
    assert!(
        json["verified_bytes"].as_u64() > json["written_bytes"].as_u64(),
        "{json}"
    );
    assert_good(&disk);
    assert_same(&disk, &image);
    // The table fits the disk: nothing is left behind it.
    let sgdisk = Command::new("sgdisk")
        .arg("-p")
        .arg(disk.path())
        .output()
        .expect("sgdisk");
    let table = String::from_utf8_lossy(&sgdisk.stdout).into_owned();
    assert!(
        table.contains(&format!("last usable sector is {}", DISK / 512 - 34)),
        "{table}"
    );

    let verify = |code: i32| {
        let output = lab
            .imgbuild()
            .arg("verify")
            .arg(disk.path())
            .output()
            .expect("imgbuild");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stderr(&output)
    };
    verify(0);
    // The same from the image file: the same bytes in the file systems.
    let link = disk.by_id();
    let image_name = image.to_str().expect("UTF-8");
    let again = written(&lab, &["--delta", "--yes", image_name], link.path());
    assert_good(&disk);
    let (same, sent) = (
        again["same_bytes"].as_u64(),
        again["written_bytes"].as_u64(),
    );
    assert!(same > Some(300 * MIB) && sent < Some(40 * MIB), "{again}");

    let rig = Rig::new(&lab, disk.path());
    let mut guest = rig.start(imgbuild::qemu::DiskBus::Virtio);
    wait_until_done(&mut guest);
    drop(guest);

    let root = partition(&region(disk.path()), "rootfs");
    let file = disk.file();
    file.write_all_at(b"x", root.offset + 100 * MIB)
        .expect("write");
    file.write_all_at(b"x", root.offset + 1024 + 0x100)
        .expect("write");
    file.sync_all().expect("sync");
    run(
        "blockdev",
        &["--flushbufs", disk.path().to_str().expect("UTF-8")],
    );
    let said = verify(10);
    assert!(said.contains("rootfs"), "{said}");
}

#[test]
fn data_stays_when_asked_and_packed_images_are_written() {
    let Some(lab) = lab() else { return };
    let profile = lab.path("profiles/lab.toml");
    let text = fs::read_to_string(&profile).expect("profile");
    let with_data = text.replace("root = \"1GiB\"", "root = \"1GiB\"\ndata = \"rest\"");
    assert_ne!(text, with_data);
    fs::write(&profile, &with_data).expect("profile");
    let disk = LoopDevice::new(DISK, 512);
    soil(&disk);
    written(&lab, &[NODE], disk.path());
    assert_good(&disk);
    let data = partition(&region(disk.path()), "data");
    assert!(data.offset + data.len > DISK - 3 * MIB, "{data:?}");
    let mut first = vec![1; MIB as usize];
    disk.file()
        .read_exact_at(&mut first, data.offset)
        .expect("read");
    assert!(
        first.iter().all(|byte| *byte == 0),
        "an old signature may be in the data partition"
    );

    // Somebody's data. Without a word it is not thrown away.
    run(
        "mkfs.ext4",
        &["-q", disk.partition(3).to_str().expect("UTF-8")],
    );
    let mut before = vec![0; data.len as usize];
    disk.file()
        .read_exact_at(&mut before, data.offset)
        .expect("read");
    refused(&write(&lab, &[NODE], disk.path()), 9, "holds");
    refused(
        &write(&lab, &["--yes", NODE], disk.path()),
        9,
        "--yes needs a name",
    );
    let other = write(&lab, &["--keep-data", "pi-2"], disk.path());
    refused(&other, 9, "holds");

    written(&lab, &["--keep-data", NODE], disk.path());
    assert_good(&disk);
    assert_eq!(partition(&region(disk.path()), "data"), data);
    let mut after = vec![0; data.len as usize];
    disk.file()
        .read_exact_at(&mut after, data.offset)
        .expect("read");
    assert!(before == after, "the data changed");
    run(
        "e2fsck",
        &["-fn", disk.partition(3).to_str().expect("UTF-8")],
    );

    // A root that has grown into it does not fit any more.
    let large = with_data.replace("1GiB", "1280MiB");
    fs::write(&profile, large).expect("profile");
    refused(
        &write(&lab, &["--keep-data", NODE], disk.path()),
        9,
        "cannot be kept",
    );
    assert_eq!(partition(&region(disk.path()), "data"), data);
    fs::write(&profile, text).expect("profile");

    let image = lab.build("pi-1.img");
    run("zstd", &["-q", "-1", image.to_str().expect("UTF-8")]);
    let packed = lab.path("pi-1.img.zst");
    let fresh = LoopDevice::in_memory(DISK, 512);
    written(
        &lab,
        &["--no-eject", packed.to_str().expect("UTF-8")],
        fresh.path(),
    );
    assert_good(&fresh);
    assert_same(&fresh, &image);
}

#[test]
fn what_must_not_be_written_is_refused_and_left_alone() {
    let Some(lab) = lab() else { return };
    let file = lab.path("a.img");
    fs::write(&file, "x").expect("file");
    refused(&write(&lab, &[NODE], &file), 9, "is a file");
    refused(&write(&lab, &[NODE], &lab.path("absent")), 9, "there is no");
    refused(
        &write(&lab, &[NODE], Path::new("/dev/null")),
        9,
        "not a disk",
    );

    let wide = LoopDevice::in_memory(DISK, 4096);
    refused(&write(&lab, &[NODE], wide.path()), 9, "4096 bytes");
    let small = LoopDevice::in_memory(600 * MIB, 512);
    refused(&write(&lab, &[NODE], small.path()), 9, "needs");

    let disk = LoopDevice::new(DISK, 512);
    run("mkfs.ext4", &["-q", disk.path().to_str().expect("UTF-8")]);
    let point = tempfile::tempdir().expect("directory");
    let sum = || {
        let mut bytes = vec![0; 64 << 20];
        disk.file().read_exact_at(&mut bytes, 0).expect("read");
        bytes
    };
    {
        let _mount = Mount::new(disk.path(), point.path());
        let before = sum();
        refused(
            &write(&lab, &["--yes", NODE], disk.path()),
            9,
            "is mounted at",
        );
        assert!(before == sum(), "a mounted disk was written");
    }
    // Held open by somebody who wants it for himself.
    let before = sum();
    let _held = {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_EXCL);
        options.open(disk.path()).expect("the disk for ourselves")
    };
    run(
        "wipefs",
        &[
            "--all",
            "--force",
            "--quiet",
            disk.path().to_str().expect("UTF-8"),
        ],
    );
    refused(&write(&lab, &[NODE], disk.path()), 9, "in use");
    drop(before);
    refused(
        &write(&lab, &["--all", "pi-1"], disk.path()),
        1,
        "is not NODE=DISK",
    );
}

#[test]
fn several_disks_at_once_are_each_their_own_node() {
    let Some(lab) = lab() else { return };
    let disks = [LoopDevice::new(DISK, 512), LoopDevice::in_memory(DISK, 512)];
    let pairs = ["pi-1", "pi-2"]
        .iter()
        .zip(&disks)
        .map(|(node, disk)| format!("{node}={}", disk.path().display()));
    let output = lab
        .imgbuild()
        .current_dir(lab.dir.path())
        .args(["write", "--all", "--json"])
        .args(pairs)
        .output()
        .expect("imgbuild");
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let sums: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(sums.len(), 2, "{lines}");
    assert_ne!(sums[0]["sha256"], sums[1]["sha256"]);
    assert_good(&disks[0]);
    for disk in &disks {
        let record = Record::read(&region(disk.path())).expect("a record");
        let digest = record.digest();
        assert!(sums.iter().any(|sum| sum["sha256"] == digest.as_str()));
    }
}

#[test]
fn killed_at_any_moment_a_disk_is_whole_or_does_not_boot() {
    let Some(lab) = lab() else { return };
    let disk = LoopDevice::in_memory(DISK, 512);
    let begun = Instant::now();
    written(&lab, &[NODE], disk.path());
    let mut whole = begun.elapsed();
    let good = Record::read(&region(disk.path())).expect("a record");
    let mut head = vec![0; MIB as usize];
    disk.file().read_exact_at(&mut head, 0).expect("read");
    let rounds = count("IMGBUILD_SOAK_KILLS", 10);
    let mut dead = 0;
    for round in 0..rounds {
        // Without a table nothing is asked; the old record must not count.
        let mut write = lab
            .imgbuild()
            .current_dir(lab.dir.path())
            .args(["write", NODE])
            .arg(disk.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("imgbuild");
        thread::sleep(whole.mul_f64(f64::from(round % 10 + 1) / 10.0));
        // The first was slower, or the machine is quicker now: aim earlier.
        if write.try_wait().expect("wait").is_some() {
            whole = whole.mul_f64(0.7);
        }
        write.kill().expect("kill -9");
        write.wait().expect("wait");
        thread::sleep(Duration::from_millis(20));
        let mut now = vec![0; MIB as usize];
        disk.file().read_exact_at(&mut now, 0).expect("read");
        if now == head {
            let record =
                imgbuild::flash::check(&region(disk.path()), &mut imgbuild::progress::Silent);
            let checked = record.expect("a record");
            assert_eq!(
                (checked.record, checked.changed),
                (good.clone(), vec![]),
                "round {round}"
            );
        } else {
            let table = now[..4096].iter().all(|byte| *byte == 0);
            assert!(table, "round {round}: neither whole nor without a table");
            dead += 1;
        }
        // What is whole asks before it is written again.
        disk.file()
            .write_all_at(&vec![0; MIB as usize], 0)
            .expect("write");
        run(
            "blockdev",
            &["--flushbufs", disk.path().to_str().expect("UTF-8")],
        );
    }
    assert!(dead > 0, "no kill came in time");
    written(&lab, &[NODE], disk.path());
    assert_good(&disk);
}
