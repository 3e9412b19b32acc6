//! What is on a disk.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::device::testing::GIB;
use crate::io::Region;

const MIB: u64 = 1 << 20;

/// A machine with one disk, and that disk's bytes.
fn disk(size: u64) -> (Tree, File) {
    let tree = Tree::new();
    tree.disk("sda", "pci0000:00/usb1/1-1", size);
    let node = node(&tree, "sda");
    (tree, node)
}

fn contents(tree: &Tree) -> String {
    tree.system().contents(&device(tree, "sda")).to_string()
}

/// A FAT32 with the files, as any other tool makes it.
fn fat(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![0; 40 << 20]);
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(fatfs::FatType::Fat32)
        .bytes_per_cluster(512)
        .volume_label(*b"bootfs     ");
    fatfs::format_volume(&mut bytes, options).expect("format");
    {
        let fs = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new()).expect("FAT");
        for (name, text) in files {
            let mut file = fs.root_dir().create_file(name).expect(name);
            file.write_all(text.as_bytes()).expect(name);
        }
    }
    bytes.into_inner()
}

const MANIFEST: &str = r#"{
  "version": 1,
  "image_id": "11111111-2222-5333-8444-555555555555",
  "builder": "imgbuild 0.1.0",
  "base_sha256": "00",
  "profile": "pi5-ssd",
  "cluster": { "name": "home", "id": "5d8f2a52-0f60-44cb-9d3c-6b7a9d1f0c55" },
  "node": { "name": "pi-1", "role": "server", "address": "192.168.4.11/24" },
  "host_keys": []
}"#;

#[test]
fn a_disk_of_ours_is_known_by_its_manifest() {
    let (tree, disk) = disk(GIB);
    mbr(&disk, &[(8 * MIB, 40 * MIB), (64 * MIB, 64 * MIB)]);
    let boot = fat(&[("imgbuild.json", MANIFEST)]);
    disk.write_all_at(&boot, 8 * MIB).expect("boot");
    assert_eq!(contents(&tree), "node pi-1 of the cluster home");

    // What is no manifest is no reason to call the disk ours.
    for (name, text) in [
        ("imgbuild.json", "{}"),
        ("imgbuild.json", &"x".repeat(70 << 10)),
        ("other.json", MANIFEST),
    ] {
        let boot = fat(&[(name, text)]);
        disk.write_all_at(&boot, 8 * MIB).expect("boot");
        let wanted = "2 partitions: vfat \"bootfs\" 41.9 MB, unknown 67.1 MB";
        assert_eq!(contents(&tree), wanted);
    }
}

#[test]
fn a_file_system_without_a_table_is_one() {
    let (tree, disk) = disk(GIB);
    assert_eq!(contents(&tree), "nothing that is recognised");
    // Its boot sector ends as an MBR does.
    disk.write_all_at(&fat(&[]), 0).expect("FAT");
    assert_eq!(contents(&tree), "vfat \"bootfs\", no partitions");
    let mut ntfs = [0xff; 512];
    ntfs[3..11].copy_from_slice(b"NTFS    ");
    ntfs[510..].copy_from_slice(&[0x55, 0xaa]);
    disk.write_all_at(&ntfs, 0).expect("NTFS");
    assert_eq!(contents(&tree), "ntfs, no partitions");
    disk.write_all_at(&[0; 512], 0).expect("zeros");
    disk.write_all_at(b"_BHRfS_M", 65536 + 64).expect("btrfs");
    assert_eq!(contents(&tree), "btrfs, no partitions");
}

#[test]
fn many_partitions_are_one_line_and_those_behind_the_end_no_fault() {
    let (tree, disk) = disk(GIB);
    mbr(
        &disk,
        &[(MIB, MIB), (2 * MIB, MIB), (3 * MIB, MIB), (GIB + MIB, GIB)],
    );
    disk.write_all_at(b"LUKS\xba\xbe", 2 * MIB).expect("LUKS");
    assert_eq!(
        contents(&tree),
        "4 partitions: unknown 1.0 MB, LUKS 1.0 MB, unknown 1.0 MB, unknown 1.0 GB"
    );
}

#[test]
fn what_is_not_recognised_others_may_know() {
    let (tree, _disk) = disk(GIB);
    tree.udev(
        "sda",
        &[
            ("ID_FS_TYPE", "reiserfs"),
            ("ID_FS_LABEL_ENC", "old\\x20one"),
        ],
    );
    assert_eq!(contents(&tree), "reiserfs \"old one\", no partitions");
    let first = tree.partition("sda", 1, MIB, 100 * MIB);
    tree.udev(&first, &[("ID_FS_TYPE", "ext4"), ("ID_FS_LABEL", "root")]);
    assert_eq!(contents(&tree), "1 partition: ext4 \"root\" 104.8 MB");
}

#[test]
fn a_disk_that_cannot_be_read_says_so() {
    let (tree, _disk) = disk(GIB);
    // A directory opens, and cannot be read: as a disk that gives errors.
    std::fs::remove_file(tree.path("dev/sda")).expect("remove");
    let device = devices(&tree).remove(0);
    let of = || tree.system().contents(&device);
    assert!(matches!(of(), Contents::Unreadable(why) if why.starts_with("reading /dev/sda: ")));
    std::fs::create_dir_all(tree.path("dev/sda")).expect("directory");
    assert!(matches!(of(), Contents::Unreadable(_)), "{}", of());
}

#[test]
fn every_length_is_looked_at_without_a_fault() {
    for len in [
        0, 1, 511, 512, 1023, 1024, 4096, 65_536, 131_072, 262_144, 262_145,
    ] {
        let file = tempfile::tempfile().expect("file");
        file.set_len(len).expect("length");
        let region = Region::whole(std::sync::Arc::new(file)).expect("region");
        assert_eq!(look(&region).expect("look"), Contents::Nothing, "{len}");
    }
}
