//! Which disks may be written to, on real ones.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use imgbuild::device::{Ask, Contents, FindError, Refusal, System};
use serde_json::Value;

use crate::lab::IMGBUILD;
use crate::loops::{self, LoopDevice, Mount, run};

const MIB: u64 = 1 << 20;

/// The helper itself: what is written arrives, sectors and partitions are real.
#[test]
fn a_loop_device_is_a_disk_until_it_is_dropped() {
    if !loops::available() {
        return;
    }
    let attached = |path: &Path| {
        let name = path.file_name().expect("a name").to_owned();
        Path::new("/sys/class/block")
            .join(name)
            .join("loop")
            .exists()
    };
    for disk in [
        LoopDevice::new(16 * MIB, 512),
        LoopDevice::in_memory(16 * MIB, 4096),
    ] {
        let path = disk.path().to_owned();
        let opened = fs::OpenOptions::new().write(true).open(&path);
        let opened = opened.expect("the device");
        opened.write_all_at(b"arrived", 8192).expect("write");
        opened.sync_all().expect("sync");
        drop(opened);
        let mut seen = [0; 7];
        disk.file().read_exact_at(&mut seen, 8192).expect("read");
        assert_eq!(&seen, b"arrived");
        partition(&disk);
        let partition = disk.partition(1);
        assert!(partition.exists(), "{}", partition.display());
        let over = LoopDevice::over(&partition, 512, &["--read-only"]);
        assert!(attached(over.path()) && attached(&path));
        drop(over);
        drop(disk);
        assert!(!attached(&path), "{}", path.display());
    }
}

#[test]
fn a_free_disk_is_found_and_not_refused() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    let device = System::host().find(disk.path()).expect("the disk");
    assert_eq!(device.path, disk.path());
    assert_eq!((device.size, device.sector), (64 * MIB, 512));
    assert_eq!(refusals(&disk), []);
    assert_eq!(System::host().contents(&device), Contents::Nothing);
    let needs = 64 * MIB + 1;
    let ask = Ask {
        needed: Some(needs),
        ..Ask::default()
    };
    let has = 64 * MIB;
    let too_small = System::host().refusals(&device, &ask).expect("refusals");
    assert_eq!(too_small, [Refusal::TooSmall { needs, has }]);
}

#[test]
fn sectors_of_4096_bytes_and_write_protection_are_seen() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::in_memory(64 * MIB, 4096);
    assert_eq!(refusals(&disk), [Refusal::SectorSize(4096)]);
    let file = tempfile::NamedTempFile::new().expect("file");
    file.as_file().set_len(MIB).expect("length");
    let disk = LoopDevice::over(file.path(), 512, &["--read-only"]);
    assert_eq!(refusals(&disk), [Refusal::ReadOnly]);
}

#[test]
fn a_mounted_disk_says_where() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    run("mkfs.ext4", &["-q", "-L", "mine", text(disk.path())]);
    let device = System::host().find(disk.path()).expect("the disk");
    let contents = System::host().contents(&device).to_string();
    assert_eq!(contents, "ext4 \"mine\", no partitions");
    let dir = tempfile::tempdir().expect("directory");
    let point = dir.path().join("a b\\c\nd");
    fs::create_dir(&point).expect("mount point");
    let mount = Mount::new(disk.path(), &point);
    assert_eq!(
        refusals(&disk),
        [Refusal::Mounted {
            what: disk.path().to_owned(),
            at: point.clone(),
            more: 0,
            process: None,
        }]
    );
    // What the run needs is on it as well.
    let keep_off = [point.join("cache")];
    let ask = Ask {
        keep_off: &keep_off,
        ..Ask::default()
    };
    let refused = System::host().refusals(&device, &ask).expect("refusals");
    assert!(matches!(&refused[0], Refusal::Backs { what } if *what == keep_off[0]));
    drop(mount);
    assert_eq!(refusals(&disk), []);
}

#[test]
fn a_disk_that_only_another_namespace_has_mounted_is_refused() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    run("mkfs.ext4", &["-q", text(disk.path())]);
    let dir = tempfile::tempdir().expect("directory");
    let _alone = loops::mounting();
    let script = r#"mount "$0" "$1" && echo mounted && read -r end"#;
    let mut other = Command::new("unshare");
    let other = other
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .args([disk.path(), dir.path()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut other = Running(other.spawn().expect("unshare"));
    let mut line = [0; 8];
    let stdout = other.0.stdout.as_mut().expect("stdout");
    std::io::Read::read_exact(stdout, &mut line).expect("mounted");
    let pid = other.0.id();
    let found = refusals(&disk);
    let [Refusal::Mounted { at, process, .. }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(at, dir.path());
    assert_eq!(process.as_deref(), Some(format!("{pid} (sh)").as_str()));
    let advice = found[0].to_string();
    let nsenter = format!("`nsenter --target {pid} --mount umount {}`", at.display());
    assert!(advice.ends_with(&nsenter), "{advice}");
    // What is advised does it.
    run("sh", &["-c", nsenter.trim_matches('`')]);
    assert_eq!(refusals(&disk), []);
}

#[test]
fn a_disk_in_use_as_swap_is_refused() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    let path = text(disk.path());
    run("mkswap", &["-q", path]);
    let device = System::host().find(disk.path()).expect("the disk");
    let contents = System::host().contents(&device).to_string();
    assert_eq!(contents, "swap, no partitions");
    run("swapon", &[path]);
    let _off = Undo("swapoff", disk.path().to_owned());
    let what = disk.path().to_owned();
    assert_eq!(refusals(&disk), [Refusal::Swap { what }]);
}

/// The foreign tools' opinion of the same disks.
#[test]
fn lsblk_and_blkid_say_the_same() {
    if !loops::available() {
        return;
    }
    let says = |program: &str, args: &[&str], disk: &LoopDevice| {
        let mut command = Command::new(program);
        let output = command.args(args).arg(disk.path()).output();
        let text = output.expect(program).stdout;
        String::from_utf8(text).expect("UTF-8").trim().to_owned()
    };
    for (make, sector) in [
        ("mkfs.ext2 -q -L second", 512),
        ("mkfs.ext3 -q -L third", 4096),
        ("mkfs.ext4 -q -L fourth", 512),
        ("mkfs.vfat -F 32 -n BOOT", 512),
        ("mkfs.vfat -F 16 -n SMALL", 512),
        ("mkswap -q -L swap", 512),
    ] {
        let disk = LoopDevice::in_memory(64 * MIB, sector);
        let command = format!("{make} {} >&2", text(disk.path()));
        run("sh", &["-c", &command]);
        let device = System::host().find(disk.path()).expect("the disk");
        let Contents::FileSystem(holds) = System::host().contents(&device) else {
            panic!("{make}: {}", System::host().contents(&device));
        };
        let blkid = |tag| says("blkid", &["-p", "-o", "value", "-s", tag], &disk);
        assert_eq!(holds.kind, blkid("TYPE"), "{make}");
        // Of others than these two, only udev's labels are shown.
        if let Some(label) = holds.label {
            assert_eq!(label, blkid("LABEL"), "{make}");
        }
        let columns = "SIZE,LOG-SEC,RO,RM,MAJ:MIN";
        let row = says("lsblk", &["-bdnro", columns], &disk);
        let ours = format!(
            "{} {} {} {} {}",
            device.size,
            device.sector,
            u8::from(device.read_only),
            u8::from(device.removable),
            device.number
        );
        assert_eq!(row, ours);
    }
}

#[test]
fn a_disk_below_another_loop_device_is_refused() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    partition(&disk);
    let first = disk.partition(1);
    assert_eq!(refusals(&disk), []);
    let over = LoopDevice::over(&first, 512, &[]);
    let found = refusals(&disk);
    let [Refusal::Holder { what, holder, .. }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((what, holder.as_str()), (&first, text(over.path())));
    // And what is mounted from there is what holds it too.
    run("mkfs.ext4", &["-q", text(over.path())]);
    let dir = tempfile::tempdir().expect("directory");
    let _mount = Mount::new(over.path(), dir.path());
    let found = refusals(&disk);
    assert!(matches!(&found[..], [_, Refusal::Mounted { what, .. }] if what == over.path()));
}

#[test]
fn partitions_are_no_disks_and_count_for_theirs() {
    if !loops::available() {
        return;
    }
    let disk = LoopDevice::new(64 * MIB, 512);
    partition(&disk);
    let first = disk.partition(1);
    let error = System::host().find(&first).expect_err("a partition");
    assert!(
        matches!(&error, FindError::Partition { number: 1, disk: of, .. } if of == disk.path()),
        "{error}"
    );
    run("mkfs.ext4", &["-q", "-L", "first", text(&first)]);
    let device = System::host().find(disk.path()).expect("the disk");
    let contents = System::host().contents(&device).to_string();
    assert_eq!(contents, "1 partition: ext4 \"first\" 66.0 MB");
    let dir = tempfile::tempdir().expect("directory");
    let _mount = Mount::new(&first, dir.path());
    let found = refusals(&disk);
    assert!(matches!(&found[..], [Refusal::Mounted { what, .. }] if *what == first));
}

#[test]
fn the_command_lists_disks_and_needs_no_privilege() {
    if !loops::available() {
        return;
    }
    let good = LoopDevice::new(64 * MIB, 512);
    let bad = LoopDevice::new(64 * MIB, 4096);
    // Where everybody may run it.
    let dir = tempfile::tempdir_in("/var/tmp").expect("directory");
    let program = dir.path().join("imgbuild");
    fs::copy(IMGBUILD, &program).expect("copy");
    run("chmod", &["755", text(dir.path()), text(&program)]);
    let devices = |command: &mut Command, args: &[&str]| -> String {
        let command = command.current_dir("/").arg("devices").args(args);
        let output = command
            .env("HOME", "/nonexistent")
            .output()
            .expect("imgbuild");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let plain = devices(&mut Command::new(&program), &[]);
    let (free, refused) = plain.split_once("\nRefused:\n").expect("both");
    let begins = |disk: &LoopDevice| format!("{}  67.1 MB (64.0 MiB)  loop", text(disk.path()));
    assert!(free.contains(&begins(&good)), "{plain}");
    assert!(refused.contains(&begins(&bad)), "{plain}");

    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let json = devices(nobody.arg(&program), &["--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let row = |disk: &LoopDevice| {
        let mut rows = json.as_array().expect("rows").iter();
        let row = rows.find(|row| row["path"] == text(disk.path()));
        row.expect("the disk").clone()
    };
    assert_eq!(row(&good)["refused"], serde_json::json!([]));
    assert_eq!(row(&good)["contents"]["is"], "unreadable");
    let why = row(&good)["contents"]["with"].to_string();
    assert!(why.contains("may not be read: run this with sudo"), "{why}");
    assert_eq!(row(&bad)["refused"][0]["reason"], "sector_size");
}

/// Every reason against writing to a disk, with nothing asked of it.
fn refusals(disk: &LoopDevice) -> Vec<Refusal> {
    let device = System::host().find(disk.path()).expect("the disk");
    let refusals = System::host().refusals(&device, &Ask::default());
    refusals.expect("refusals")
}

/// Gives it one partition over all of it.
fn partition(disk: &LoopDevice) {
    let command = format!("echo , | sfdisk --quiet {}", text(disk.path()));
    run("sh", &["-c", &command]);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a program on a path when it is dropped.
struct Undo(&'static str, PathBuf);

impl Drop for Undo {
    fn drop(&mut self) {
        match Command::new(self.0).arg(&self.1).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{} {}: {other:?}", self.0, self.1.display()),
        }
    }
}

/// A process that is ended when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
