//! From names to disks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::device::testing::GIB;

fn error(tree: &Tree, path: &str) -> String {
    let error = tree.system().find(Path::new(path)).expect_err(path);
    error
        .to_string()
        .split(';')
        .next()
        .expect("words")
        .to_owned()
}

#[test]
fn a_disk_is_found_by_its_node_and_by_links() {
    let tree = Tree::workshop();
    tree.disk("cciss!c0d0", "pci0000:00/cciss0", GIB);
    symlink("disk/by-id/wwn-0x5002538e40000000", tree.path("dev/mine")).expect("link");
    for path in [
        "/dev/sda",
        "/dev/../dev/sda",
        "/dev/mine",
        "/dev/disk/by-id/usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0",
    ] {
        let found = tree.system().find(Path::new(path)).expect(path);
        assert_eq!(found.path, Path::new("/dev/sda"));
        let links: Vec<_> = found.by_id.iter().map(|link| link.file_name()).collect();
        let wanted = [
            "usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0",
            "wwn-0x5002538e40000000",
        ];
        assert_eq!(links, wanted.map(|name| Some(name.as_ref())));
    }
    let odd = device(&tree, "cciss/c0d0");
    assert_eq!((odd.name.as_str(), odd.size), ("cciss!c0d0", GIB));
}

#[test]
fn what_is_no_disk_is_called_by_its_kind() {
    let tree = Tree::workshop();
    tree.write("home/pi-1.img", "");
    tree.write("dev/sdz", "");
    symlink("gone", tree.path("dev/dangling")).expect("link");
    let cases = [
        ("/dev/sdq", "there is no /dev/sdq"),
        ("/dev/dangling", "there is no /dev/dangling"),
        ("/home/pi-1.img", "/home/pi-1.img is a file, not a disk"),
        ("/dev/sdz", "/dev/sdz is a file, not a disk"),
        ("/home", "/home is a directory, not a disk"),
        (
            "/dev/nvme0n1p3",
            "/dev/nvme0n1p3 is partition 3 of /dev/nvme0n1",
        ),
        (
            "/dev/disk/by-id/usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0-part1",
            "/dev/disk/by-id/usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0-part1 is partition 1 of /dev/sda",
        ),
    ];
    for (path, wanted) in cases {
        assert_eq!(error(&tree, path), wanted);
    }
}

#[test]
fn on_this_machine_devices_are_what_they_are() {
    let find = |path: &str| System::host().find(Path::new(path)).expect_err(path);
    assert!(find("/dev/null").to_string().contains("a character device"));
    let file = tempfile::NamedTempFile::new().expect("file");
    let path = file.path().to_str().expect("UTF-8");
    assert!(find(path).to_string().contains("is a file, not a disk"));
    fs::remove_file(path).expect("remove");
    assert!(find(path).to_string().contains("there is no"));
}

#[test]
fn a_machine_without_sysfs_says_so() {
    let empty = tempfile::tempdir().expect("directory");
    let error = System::at(empty.path()).devices().expect_err("no sysfs");
    assert!(error.to_string().contains("Linux only"), "{error}");
}
