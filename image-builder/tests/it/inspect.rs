//! Looking into disks that were cut off: what is there is shown, with its state.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use imgbuild::inspect::{Image, State, Summary, text};
use imgbuild::plan::Size;

use crate::fixture::{FEATURE_SETS, Scheme, debugfs, disk, ext4, fat, region, tree};

const START: u64 = 8 << 20;

fn boot() -> tempfile::NamedTempFile {
    fat(Size::mib(40), 1, &[("report.json", "{}\n")])
}

fn root() -> tempfile::NamedTempFile {
    ext4(FEATURE_SETS[4].1, Size::mib(64), |dir| {
        tree(dir);
        fs::write(dir.join("etc/os-release"), "PRETTY_NAME=\"\u{1b}[2JPi\"\n").expect("file");
        fs::write(dir.join("home/pi/\u{1b}]0;x"), "").expect("file");
    })
}

fn cut(dir: &Path, parts: &[&Path], spoil: impl FnOnce(&File)) -> PathBuf {
    let image = disk(dir, Scheme::Gpt, parts);
    let file = File::options().read(true).write(true).open(&image);
    spoil(&file.expect("open"));
    image
}

fn states(summary: &Summary) -> Vec<Option<State>> {
    let partitions = summary.partitions.iter();
    partitions
        .map(|partition| partition.filesystem.as_ref().map(|fs| fs.state))
        .collect()
}

#[test]
fn a_disk_that_was_cut_off_can_be_looked_into() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    debugfs(root.path(), "show_super_stats");
    let plain = ext4(FEATURE_SETS[2].1, Size::mib(64), tree);
    // A state without the clean bit, where no checksum tells on it.
    let state = plain.as_file().write_all_at(&[0, 0], 1024 + 0x3a);
    state.expect("spoil");
    let parts = [boot.path(), root.path(), plain.path()];
    let image = cut(dir.path(), &parts, |file| {
        file.write_all_at(&[1], START + 65).expect("dirty flag");
    });
    let image = Image::open(region(&image)).expect("open");
    let summary = image.summary();
    assert_eq!(
        states(&summary),
        [Some(State::Dirty), Some(State::Clean), Some(State::Dirty)]
    );
    let report = image.cat("/boot/firmware/report.json").expect("cat");
    assert_eq!(report.as_deref(), Some(&b"{}\n"[..]));
    let rows = image.ls("/boot/firmware").expect("ls").expect("directory");
    assert_eq!(rows[0].name, "report.json");
    assert!(image.cat("/etc/hostname").expect("cat").is_some());

    let shown = text::summary("image", &summary);
    let rows = image.ls("/home/pi").expect("ls").expect("directory");
    for text in [shown, text::listing(&rows)] {
        assert!(
            !text.contains('\u{1b}') && text.contains("\\u{1b}"),
            "{text}"
        );
    }
    let json = serde_json::to_value(&summary).expect("JSON");
    assert_eq!(json["partitions"][0]["filesystem"]["state"], "dirty");
}

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let parts = [boot.path(), root.path()];
    // A root directory that is its own end: readable is only the root.
    let image = cut(dir.path(), &parts, |file| {
        let mut reserved = [0; 2];
        file.read_exact_at(&mut reserved, START + 14).expect("read");
        let table = START + 512 * u64::from(u16::from_le_bytes(reserved));
        let circle = 2_u32.to_le_bytes();
        file.write_all_at(&circle, table + 8).expect("spoil");
    });
    let image = Image::open(region(&image)).expect("open");
    let summary = image.summary();
    assert_eq!(states(&summary), [Some(State::Damaged), Some(State::Clean)]);
    let error = image
        .cat("/boot/firmware/report.json")
        .expect_err("a circle");
    assert!(format!("{error:#}").contains("circle"), "{error:#}");
    assert!(image.cat("/etc/hostname").expect("cat").is_some());

    // Cut short within the root: the boot partition is all there.
    let image = cut(dir.path(), &parts, |file| {
        file.set_len(70 << 20).expect("cut");
    });
    let image = Image::open(region(&image)).expect("open");
    let summary = image.summary();
    assert_eq!(states(&summary), [Some(State::Clean), Some(State::Damaged)]);
    assert!(summary.partitions[1].problem.is_some());
    assert!(
        image
            .cat("/boot/firmware/report.json")
            .expect("cat")
            .is_some()
    );
}

#[test]
fn the_exit_code_tells_a_damaged_image_from_a_path_that_is_not_there() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let whole = disk(dir.path(), Scheme::Gpt, &[boot.path(), root.path()]);
    let end = |image: &Path, action: &str, path: &str| {
        let mut inspect = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        let output = inspect.arg("inspect").arg(image).args([action, path]);
        let output = output.output().expect("imgbuild");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let check = |image: &Path, action: &str, path: &str, code: i32, words: &str| {
        let (status, said) = end(image, action, path);
        assert_eq!(status, Some(code), "{action} {path}: {said}");
        assert!(said.contains(words), "{action} {path}: {said}");
    };
    for (action, path, code, words) in [
        ("cat", "/etc/absolute", 0, ""),
        ("ls", "/boot/firmware/report.json", 0, ""),
        ("cat", "/etc/no", 1, "has no /etc/no"),
        ("cat", "/etc/hostname/no", 1, "has no /etc/hostname/no"),
        ("ls", "/boot/firmware/no", 1, "has no /boot/firmware/no"),
        (
            "ls",
            "/boot/firmware/report.json/no",
            1,
            "has no /boot/firmware/report.json/no",
        ),
        ("cat", "/lib", 1, "/lib is not a file"),
        ("cat", "/boot/firmware", 1, "is not a file"),
        ("ls", "etc", 1, "write /etc"),
    ] {
        check(&whole, action, path, code, words);
    }

    let boot_alone = tempfile::tempdir().expect("temporary directory");
    let boot_alone = disk(boot_alone.path(), Scheme::Mbr, &[boot.path()]);
    check(&boot_alone, "cat", "/etc/hostname", 4, "no ext4 partition");
    // Cut short near the root's beginning.
    let file = File::options().write(true).open(&whole).expect("open");
    file.set_len(START + (41 << 20)).expect("cut");
    for action in ["ls", "cat"] {
        check(&whole, action, "/etc/hostname", 4, "the root file system");
        check(&whole, action, "/boot/firmware/report.json", 0, "");
    }
}
