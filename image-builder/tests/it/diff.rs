//! What two images differ in, each thing once and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use imgbuild::inspect::Image;
use imgbuild::inspect::diff::{Aspect, Difference, diff};
use imgbuild::plan::Size;

use crate::fixture::{FEATURE_SETS, Scheme, disk, ext4, fat, region, set_inode_field, tree};

const STATUS: &str = "var/lib/dpkg/status";

fn package(name: &str, version: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n\n"
    )
}

/// An image in `dir`: a system like any other, but for what is handed in.
fn image(dir: &Path, boot: &[(&str, &str)], owner: u64, more: impl FnOnce(&Path)) -> PathBuf {
    let boot = fat(Size::mib(40), 1, boot);
    let root = ext4(FEATURE_SETS[4].1, Size::mib(64), |dir| {
        tree(dir);
        fs::create_dir_all(dir.join("var/lib/dpkg")).expect("directory");
        fs::create_dir_all(dir.join("etc/systemd/system/a.target.wants")).expect("directory");
        more(dir);
    });
    set_inode_field(root.path(), "/etc/hostname", "uid", owner);
    // Its ids are not random.
    disk(dir, Scheme::Mbr, &[boot.path(), root.path()])
}

fn one(dir: &Path) -> PathBuf {
    let boot = [("cmdline.txt", "quiet root=A\n"), ("config.txt", "a=1\n")];
    image(dir, &boot, 0, |dir| {
        let status = [
            package("same", "1"),
            package("newer", "1.9"),
            package("gone", "3"),
        ];
        fs::write(dir.join(STATUS), status.concat()).expect("status");
        fs::write(dir.join("etc/only-one"), "").expect("file");
        fs::write(dir.join("etc/content"), "one").expect("file");
        fs::write(dir.join("etc/mode"), "").expect("file");
        symlink("/dev/null", dir.join("etc/systemd/system/b.service")).expect("link");
    })
}

fn two(dir: &Path) -> PathBuf {
    let boot = [
        ("cmdline.txt", "root=A panic=10\n"),
        ("config.txt", "a=2\n"),
    ];
    image(dir, &boot, 1000, |dir| {
        let status = [
            package("newer", "1.10"),
            package("same", "1"),
            package("added", "1"),
        ];
        fs::write(dir.join(STATUS), status.concat()).expect("status");
        fs::write(dir.join("etc/content"), "two").expect("file");
        fs::write(dir.join("etc/mode"), "").expect("file");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(dir.join("etc/mode"), private).expect("mode");
        let wants = dir.join("etc/systemd/system/a.target.wants/c.service");
        symlink("/usr/lib/systemd/system/c.service", wants).expect("link");
    })
}

fn look(path: &Path) -> Image {
    Image::open(region(path)).expect("an image")
}

fn lines(differences: &[Difference], aspect: Aspect) -> Vec<String> {
    let of = differences.iter().filter(|found| found.aspect == aspect);
    of.map(ToString::to_string).collect()
}

#[test]
fn every_kind_of_difference_is_told_once() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let [one_dir, two_dir] = ["one", "two"].map(|name| dir.path().join(name));
    for dir in [&one_dir, &two_dir] {
        fs::create_dir(dir).expect("directory");
    }
    let (one, two) = (one(&one_dir), two(&two_dir));
    let found = diff(&look(&one), &look(&two)).expect("compared");
    for same in [Aspect::Table, Aspect::Partition] {
        assert_eq!(lines(&found, same), Vec::<String>::new());
    }
    assert_eq!(
        lines(&found, Aspect::KernelWord),
        ["+ word      panic=10", "- word      quiet"]
    );
    assert_eq!(
        lines(&found, Aspect::Package),
        [
            "+ package   added:arm64  1",
            "- package   gone:arm64  3",
            "~ package   newer:arm64  1.9 -> 1.10",
        ]
    );
    assert_eq!(
        lines(&found, Aspect::Unit),
        [
            "- unit      b.service  masked",
            "+ unit      c.service (a.target)  wants, by a.target",
        ]
    );
    // Digests by sha256sum.
    assert_eq!(
        lines(&found, Aspect::Boot),
        [
            "~ boot      /cmdline.txt  file 13 bytes 7f4c884e358aa553 -> file 16 bytes 3a7569b1357812ab",
            "~ boot      /config.txt  file 4 bytes fe3209d6d4f51935 -> file 4 bytes e7a7672885cd4dbb",
        ]
    );
    let root = lines(&found, Aspect::Root);
    let of = |path: &str| {
        let word = format!(" {path} ");
        let mut lines = root.iter().filter(|line| line.contains(&word));
        let line = lines.next().map(String::as_str);
        assert_eq!(lines.next(), None, "once");
        line.unwrap_or_default()
    };
    assert_eq!(root.len(), 7, "{root:#?}");
    assert!(of("/etc/only-one").starts_with("- root"));
    assert!(of("/etc/content").starts_with("~ root"));
    let mode = of("/etc/mode");
    assert!(
        mode.contains("file 0644 0:0") && mode.contains("-> file 0600 0:0"),
        "{mode}"
    );
    let owner = of("/etc/hostname");
    assert!(
        owner.contains(" 0:0 ") && owner.contains(" 1000:0 "),
        "{owner}"
    );
    assert!(of("/etc/systemd/system/b.service").ends_with("link 0:0 to /dev/null"));

    let none = diff(&look(&one), &look(&one)).expect("compared");
    assert_eq!(none, Vec::new());
}

#[test]
fn the_same_as_json() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let one = one(dir.path());
    fs::rename(&one, dir.path().join("one.img")).expect("renamed");
    let two = two(dir.path());
    let run = |args: &[&Path]| {
        let mut imgbuild = std::process::Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        let inspect = imgbuild
            .arg("inspect")
            .arg(args[0])
            .arg("diff")
            .args(&args[1..]);
        let output = inspect.arg("--json").output().expect("imgbuild");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let found = run(&[&dir.path().join("one.img"), &two]);
    let package = serde_json::json!(
        {"aspect": "package", "name": "newer:arm64", "one": "1.9", "two": "1.10"}
    );
    let found = found.as_array().expect("a list");
    assert!(found.contains(&package), "{found:?}");
    assert!(run(&[&two, &two]).as_array().is_some_and(Vec::is_empty));
}
