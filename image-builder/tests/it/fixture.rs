//! Images made in seconds by foreign tools, and those tools as judges.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgbuild::cmd::Cmd;
use imgbuild::io::{CowRegion, ReadAt as _, Region};
use imgbuild::plan::Size;

const HINT: &str = "run ci/setup";

/// Where every test file system begins its time.
pub(crate) const EPOCH: i64 = 1_760_000_000;

/// The five ways a root comes about (facts: pi-gen on bookworm and trixie, old
/// pi-gen, and mke2fs defaults of both), spelled out so that the host's
/// mke2fs.conf has no say.
pub(crate) const FEATURE_SETS: &[(&str, &str)] = &[
    ("mke2fs 1.47.0 default", "64bit,huge_file,metadata_csum"),
    (
        "mke2fs 1.47.2 default",
        "64bit,huge_file,metadata_csum,metadata_csum_seed,orphan_file",
    ),
    ("old pi-gen", ""),
    ("pi-gen on bookworm", "metadata_csum"),
    (
        "pi-gen on trixie",
        "metadata_csum,metadata_csum_seed,orphan_file",
    ),
];

const COMMON_FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,\
    sparse_super,large_file,dir_nlink,extra_isize";

/// Bytes that nothing packs, the same for the same seed: xorshift64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// A tree to make an ext4 of: enough of a Raspberry Pi OS root to work on.
pub(crate) fn tree(dir: &Path) {
    for path in [
        "etc/ssh",
        "usr/bin",
        "usr/lib",
        "home/pi",
        "var/lib",
        "boot/firmware",
        "root",
    ] {
        fs::create_dir_all(dir.join(path)).expect("directory");
    }
    fs::write(dir.join("etc/hostname"), "raspberrypi\n").expect("file");
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").expect("file");
    fs::write(dir.join("home/pi/.profile"), "# profile\n").expect("file");
    fs::write(dir.join("usr/bin/big"), vec![0x5a; 300_000]).expect("file");
    fs::hard_link(dir.join("usr/bin/big"), dir.join("usr/bin/big-too")).expect("hard link");
    symlink("usr/lib", dir.join("lib")).expect("link");
    symlink("/etc/hostname", dir.join("etc/absolute")).expect("link");
    symlink("loop-b", dir.join("etc/loop-a")).expect("link");
    symlink("loop-a", dir.join("etc/loop-b")).expect("link");
    symlink("../../..", dir.join("etc/outside")).expect("link");
    for index in 0..400 {
        fs::write(
            dir.join(format!("usr/lib/file-{index:03}")),
            format!("{index}\n"),
        )
        .expect("file");
    }
}

/// An ext4 file of `size` with the tree `fill` makes.
pub(crate) fn ext4(
    features: &str,
    size: Size,
    fill: impl FnOnce(&Path),
) -> tempfile::NamedTempFile {
    let dir = tempfile::tempdir().expect("temporary directory");
    fill(dir.path());
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    file.as_file().set_len(size.bytes()).expect("size");
    let features = if features.is_empty() {
        COMMON_FEATURES.to_owned()
    } else {
        format!("{COMMON_FEATURES},{features}")
    };
    Cmd::new("mke2fs", HINT)
        .env("E2FSPROGS_FAKE_TIME", &EPOCH.to_string())
        .arg("-q")
        .arg("-F")
        .arg("-t")
        .arg("ext4")
        .arg("-b")
        .arg("4096")
        .arg("-L")
        .arg("rootfs")
        .arg("-O")
        .arg(features)
        .arg("-U")
        .arg("22222222-3333-4444-5555-666666666666")
        .arg("-E")
        .arg("hash_seed=22222222-3333-4444-5555-666666666666,root_owner=0:0,lazy_itable_init=0")
        .arg("-d")
        .arg(dir.path())
        .arg(file.path())
        .run(&[0])
        .expect("mke2fs");
    file
}

/// A FAT32 file of `size` with the given files at its root.
pub(crate) fn fat(
    size: Size,
    sectors_per_cluster: u32,
    files: &[(&str, &str)],
) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    file.as_file().set_len(size.bytes()).expect("size");
    Cmd::new("mkfs.vfat", HINT)
        .arg("-F")
        .arg("32")
        .arg("-s")
        .arg(sectors_per_cluster.to_string())
        .arg("-n")
        .arg("bootfs")
        .arg("--invariant")
        .arg(file.path())
        .run(&[0])
        .expect("mkfs.vfat");
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("file");
        Cmd::new("mcopy", HINT)
            .arg("-i")
            .arg(file.path())
            .arg(path)
            .arg(format!("::{name}"))
            .run(&[0])
            .expect("mcopy");
    }
    file
}

/// How a fixture's partitions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Mbr,
    Gpt,
}

/// A disk image with a FAT and an ext4 partition, as Raspberry Pi OS lays them out.
pub(crate) fn disk(dir: &Path, scheme: Scheme, parts: &[&Path]) -> PathBuf {
    let path = dir.join("base.img");
    let file = File::create(&path).expect("image");
    let lens: Vec<u64> = parts
        .iter()
        .map(|part| fs::metadata(part).expect("part").len())
        .collect();
    let mut offset = 8 << 20;
    let mut script = match scheme {
        Scheme::Mbr => "label: dos\nlabel-id: 0x8a1b2c3d\n".to_owned(),
        Scheme::Gpt => "label: gpt\n".to_owned(),
    };
    for (part, len) in parts.iter().zip(&lens) {
        let bytes = fs::read(part).expect("part");
        file.write_all_at(&bytes, offset).expect("write");
        script += &format!("start={}, size={}\n", offset / 512, len / 512);
        offset = (offset + len).next_multiple_of(8 << 20);
    }
    file.set_len(offset + (1 << 20)).expect("size");
    drop(file);
    let input = dir.join("sfdisk.txt");
    fs::write(&input, script).expect("script");
    let shell = format!("sfdisk -q '{}' < '{}'", path.display(), input.display());
    Cmd::new("sh", HINT)
        .arg("-c")
        .arg(shell)
        .run(&[0])
        .expect("sfdisk");
    path
}

/// The whole of a file as a region.
pub(crate) fn region(path: &Path) -> Region {
    Region::whole(Arc::new(File::open(path).expect("open"))).expect("region")
}

/// A region as a file: what a sink would make of it.
pub(crate) fn materialise(cow: &CowRegion) -> tempfile::NamedTempFile {
    let out = tempfile::NamedTempFile::new().expect("temporary file");
    out.as_file().set_len(cow.len()).expect("size");
    for piece in cow.pieces().expect("pieces") {
        piece
            .bytes
            .copy_to(out.as_file(), piece.offset, &mut |_| Ok(()))
            .expect("copy");
    }
    out
}

/// `e2fsck -fn` finds nothing.
pub(crate) fn assert_ext4_clean(path: &Path, offset: u64) {
    let device = format!("{}?offset={offset}", path.display());
    if let Err(error) = Cmd::new("e2fsck", HINT).arg("-fn").arg(device).run(&[0]) {
        panic!("e2fsck: {error}");
    }
}

/// `fsck.vfat -n` finds nothing.
pub(crate) fn assert_fat_clean(path: &Path) {
    let output = Cmd::new("fsck.vfat", HINT)
        .arg("-n")
        .arg(path)
        .run(&[0])
        .expect("fsck.vfat");
    let text = String::from_utf8_lossy(&output.stdout);
    // Its notes do not change its exit status.
    assert!(
        !text.contains("differ") && !text.contains("wrong") && !text.contains("Dirty"),
        "{text}"
    );
}

/// Damages a file system: sets a field of the inode at a path. On one without
/// `metadata_csum`, where no checksum tells on it.
pub(crate) fn set_inode_field(path: &Path, inode: &str, field: &str, value: u64) {
    let request = format!("set_inode_field {inode} {field} {value}");
    let output = Cmd::new("debugfs", HINT)
        .arg("-w")
        .arg("-R")
        .arg(&request)
        .arg(path)
        .run(&[0])
        .expect("debugfs");
    // Its exit status says nothing; beyond the greeting it says nothing either.
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{request}: {said}");
}

/// Runs one debugfs request. Its exit status says nothing: its output does.
pub(crate) fn debugfs(path: &Path, request: &str) -> String {
    let output = Cmd::new("debugfs", HINT)
        .arg("-R")
        .arg(request)
        .arg(path)
        .run(&[0])
        .expect("debugfs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
