//! Bases good and bad: what is found, what is refused, and in which words.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use imgbuild::cmd::Cmd;
use imgbuild::layout::Table;
use imgbuild::plan::{BaseLocation, BaseRef, Size};
use imgbuild::progress::Silent;
use imgbuild::source::{self, Base, BaseError, Cache};

use crate::fixture::{FEATURE_SETS, Scheme, disk, ext4, fat, region, tree};

fn boot() -> tempfile::NamedTempFile {
    fat(Size::mib(40), 1, &[("config.txt", "# base\n")])
}

fn root() -> tempfile::NamedTempFile {
    ext4(FEATURE_SETS[4].1, Size::mib(64), tree)
}

fn open_pinned(image: &Path, sha256: Option<&str>) -> anyhow::Result<Base> {
    let dir = tempfile::tempdir().expect("temporary directory");
    let base = BaseRef {
        location: BaseLocation::File(image.into()),
        sha256: sha256.map(str::to_owned),
        signer: None,
    };
    source::open(&base, None, &Cache::new(dir.path()), &mut Silent)
}

fn refusal(image: &Path) -> String {
    let error = open_pinned(image, None).expect_err("refused");
    assert!(
        error.chain().any(|cause| cause.is::<BaseError>()),
        "not a base's fault: {error:#}"
    );
    let text = format!("{error:#}");
    assert!(
        text.contains(&image.display().to_string()),
        "the base is not named: {text}"
    );
    text
}

#[test]
fn compressed_bases_unpack_to_the_same_base() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let raw = disk(dir.path(), Scheme::Mbr, &[boot.path(), root.path()]);
    let plain = open_pinned(&raw, None).expect("raw");
    for (program, extension) in [("xz", "xz"), ("zstd", "zst"), ("gzip", "gz")] {
        let packed = PathBuf::from(format!("{}.{extension}", raw.display()));
        let shell = format!(
            "{program} -c -1 '{}' > '{}'",
            raw.display(),
            packed.display()
        );
        Cmd::new("sh", "run ci/setup")
            .arg("-c")
            .arg(shell)
            .run(&[0])
            .expect(program);
        // What it is shows in its bytes, not in its name.
        let renamed = dir.path().join(format!("{program}.img"));
        fs::rename(&packed, &renamed).expect("rename");
        let base = open_pinned(&renamed, None).expect(program);
        assert_eq!(base.digest, plain.digest, "{program}");

        let len = fs::metadata(&renamed).expect("size").len();
        File::options()
            .write(true)
            .open(&renamed)
            .expect("open")
            .set_len(len / 2)
            .expect("cut");
        assert!(
            refusal(&renamed).contains("cannot be unpacked"),
            "{program}"
        );
    }
}

#[test]
fn a_pin_is_held_to() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let raw = disk(dir.path(), Scheme::Gpt, &[boot.path(), root.path()]);
    let digest = open_pinned(&raw, None).expect("base").digest;
    open_pinned(&raw, Some(&digest)).expect("the right pin");
    let error = format!(
        "{:#}",
        open_pinned(&raw, Some(&"0".repeat(64))).expect_err("the wrong pin")
    );
    assert!(
        error.contains(&digest) && error.contains(&"0".repeat(64)),
        "{error}"
    );
}

#[test]
fn a_changed_file_is_hashed_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let raw = disk(dir.path(), Scheme::Mbr, &[boot.path(), root.path()]);
    let cache = Cache::new(dir.path().join("cache"));
    let digest = || cache.digest_of(&raw, &mut Silent).expect("digest");
    let first = digest();
    assert_eq!(digest(), first);
    File::options()
        .write(true)
        .open(&raw)
        .expect("open")
        .write_all_at(&[1], 100)
        .expect("write");
    assert_ne!(digest(), first);
}

#[test]
fn a_missing_download_says_what_to_do() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = "https://example.org/images/2026-09-15-raspios.img.xz";
    let base = BaseRef {
        location: BaseLocation::Url(url.into()),
        sha256: Some("ab".repeat(32)),
        signer: None,
    };
    let error =
        source::open(&base, None, &Cache::new(dir.path()), &mut Silent).expect_err("not here");
    let text = format!("{error:#}");
    assert!(text.contains(url) && text.contains("--base FILE"), "{text}");
}

#[test]
fn bases_that_cannot_be_used_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (boot, root) = (boot(), root());
    let path = |part: &tempfile::NamedTempFile| part.path().to_path_buf();
    let refused = |parts: &[PathBuf], reason: &str| {
        let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
        let text = refusal(&disk(dir.path(), Scheme::Mbr, &parts));
        assert!(text.contains(reason), "{reason}: {text}");
    };
    refused(&[path(&root)], "0 FAT partitions");
    refused(&[path(&boot)], "0 ext4 partitions");
    refused(
        &[path(&boot), path(&root), path(&root)],
        "2 ext4 partitions",
    );
    refused(&[path(&boot), path(&boot), path(&root)], "2 FAT partitions");

    let spoiled = |offset: u64, bytes: &[u8]| {
        let copy = tempfile::NamedTempFile::new().expect("temporary file");
        fs::copy(root.path(), copy.path()).expect("copy");
        copy.as_file().write_all_at(bytes, offset).expect("spoil");
        copy
    };
    // s_state without the clean bit; its checksum no longer fits either, which
    // a dirty file system's does: so on a root without checksums.
    let plain = ext4(FEATURE_SETS[2].1, Size::mib(64), tree);
    plain
        .as_file()
        .write_all_at(&[0, 0], 1024 + 0x3a)
        .expect("spoil");
    refused(&[path(&boot), path(&plain)], "it is dirty");
    refused(
        &[path(&boot), path(&spoiled(1024 + 0x3a, &[0, 0]))],
        "superblock is damaged",
    );
    let unsupported = ext4("inline_data", Size::mib(64), tree);
    refused(&[path(&boot), path(&unsupported)], "inline_data");
    // A name in two places at once: only a check of the whole file system sees it.
    let two = fat(Size::mib(40), 1, &[("one", "1\n"), ("two", "2\n")]);
    let mut bytes = fs::read(two.path()).expect("read");
    let at = |name: &[u8]| {
        let entry = bytes.windows(11).position(|bytes| bytes == name);
        entry.expect("entry") + 26
    };
    let (first, second) = (at(b"ONE        "), at(b"TWO        "));
    bytes[second] = bytes[first];
    two.as_file().write_all_at(&bytes, 0).expect("spoil");
    refused(&[path(&two), path(&root)], "shares a cluster");
    // A group descriptor: only a check of the whole file system sees it.
    refused(
        &[path(&boot), path(&spoiled(4096 + 8, &[0xff; 4]))],
        "root file system is damaged",
    );

    let image = disk(dir.path(), Scheme::Mbr, &[boot.path(), root.path()]);
    let file = File::options().write(true).open(&image).expect("open");
    file.set_len(70 << 20).expect("cut");
    assert!(refusal(&image).contains("cut short"));
    file.write_all_at(&[0, 0], 510).expect("spoil");
    assert!(refusal(&image).contains("no partition table"));
    fs::write(&image, "").expect("empty");
    assert!(refusal(&image).contains("no partition table"));
    fs::remove_file(&image).expect("remove");
    assert!(refusal(&image).contains("cannot be opened"));
}

/// UEFI allows what the crate that reads the table does not survive.
#[test]
fn hostile_gpt_headers_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let boot = boot();
    let image = disk(dir.path(), Scheme::Gpt, &[boot.path()]);
    let file = File::options().read(true).write(true).open(&image);
    let file = file.expect("open");
    file.set_len(8 << 30).expect("sparse");
    let mut header = [0; 92];
    file.read_exact_at(&mut header, 512).expect("header");
    for (entries, len, start, reason) in [
        (64_u32, 256_u32, 2_u64, "256 bytes long"),
        (0x200_0000, 128, 2, "33554432 partitions"),
        (128, 128, u64::MAX, "damaged"),
        (128, 128, u64::MAX / 512, "damaged"),
        (128, 128, 0, "damaged"),
    ] {
        header[72..80].copy_from_slice(&start.to_le_bytes());
        header[80..84].copy_from_slice(&entries.to_le_bytes());
        header[84..88].copy_from_slice(&len.to_le_bytes());
        header[16..20].fill(0);
        let mut sum = flate2::Crc::new();
        sum.update(&header);
        header[16..20].copy_from_slice(&sum.sum().to_le_bytes());
        for sector in [1, (8 << 30) / 512 - 1] {
            file.write_all_at(&header, sector * 512).expect("spoil");
        }
        let error = Table::read(&region(&image)).expect_err(reason).to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
