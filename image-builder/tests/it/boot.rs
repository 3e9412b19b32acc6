//! Writing into FAT32, with the cluster sizes Raspberry Pi OS has used.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use imgbuild::bootfs::{BootFs, FatError, set_identity};
use imgbuild::cmd::Cmd;
use imgbuild::io::{CowRegion, ReadAt as _};
use imgbuild::overlay::{Change, Kind, Owner};
use imgbuild::plan::Size;

use crate::fixture::{EPOCH, assert_fat_clean, fat, materialise, region};

fn file(content: &[u8]) -> Change {
    Change::File {
        mode: 0o644,
        owner: Owner::ROOT,
        content: content.to_vec(),
        secret: false,
    }
}

/// The smallest FAT32 there is has 65525 clusters.
const SHAPES: &[(u32, Size)] = &[(1, Size::mib(40)), (4, Size::mib(140))];

fn compose(base: &Path) -> tempfile::NamedTempFile {
    let base = region(base);
    let len = base.len();
    let cow = Arc::new(CowRegion::new(base, len, Path::new("/tmp")).expect("cow"));
    let fs = BootFs::open(Arc::clone(&cow), EPOCH).expect("open");
    for (path, change) in [
        (
            "/config.txt",
            file(
                b"# replaced by something much longer\n"
                    .repeat(40)
                    .as_slice(),
            ),
        ),
        ("/cmdline.txt", file(b"root=PARTUUID=x\n")),
        ("/a long name.with dots.txt", file(b"long\n")),
        ("/user-data", Change::Remove),
        ("/not-there", Change::Remove),
        ("/kernel8.img", file(&vec![9; 3 << 20])),
        ("/overlays/new.dtbo", file(b"dtbo")),
    ] {
        fs.apply(path, &change).expect(path);
    }
    fs.finish().expect("finish");
    set_identity(&cow, 0xdead_beef, 8 << 20).expect("identity");
    materialise(&cow)
}

fn base(sectors_per_cluster: u32, size: Size) -> tempfile::NamedTempFile {
    let base = fat(
        size,
        sectors_per_cluster,
        &[
            ("config.txt", "# base\n"),
            ("cmdline.txt", "quiet\n"),
            ("user-data", "#cloud\n"),
        ],
    );
    Cmd::new("mmd", "run ci/setup")
        .arg("-i")
        .arg(base.path())
        .arg("::overlays")
        .run(&[0])
        .expect("mmd");
    base
}

#[test]
fn changes_are_clean_and_mtools_reads_them() {
    for &(sectors, size) in SHAPES {
        let base = base(sectors, size);
        let image = compose(base.path());
        assert_fat_clean(image.path());
        for (name, expected) in [
            ("cmdline.txt", b"root=PARTUUID=x\n".to_vec()),
            (
                "config.txt",
                b"# replaced by something much longer\n".repeat(40),
            ),
            ("a long name.with dots.txt", b"long\n".to_vec()),
            ("kernel8.img", vec![9; 3 << 20]),
            ("overlays/new.dtbo", b"dtbo".to_vec()),
        ] {
            let output = Cmd::new("mtype", "run ci/setup")
                .arg("-i")
                .arg(image.path())
                .arg(format!("::{name}"))
                .run(&[0]);
            assert_eq!(output.expect(name).stdout, expected, "{name}");
        }
        let fs = BootFs::open(region(image.path()), 0).expect("open");
        assert_eq!(fs.kind("/user-data").expect("kind"), None);
        assert_eq!(fs.kind("/CONFIG.TXT").expect("kind"), Some(Kind::File));
        assert_eq!(
            (fs.label().trim_end(), fs.serial()),
            ("bootfs", 0xdead_beef)
        );
        let again = compose(base.path());
        assert!(
            std::fs::read(again.path()).expect("again")
                == std::fs::read(image.path()).expect("image")
        );
    }
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let base = base(1, Size::mib(40));
    let whole = region(base.path());
    let len = whole.len();
    let cow = Arc::new(CowRegion::new(whole, len, Path::new("/tmp")).expect("cow"));
    let fs = BootFs::open(cow, EPOCH).expect("open");
    let link = Change::Symlink { target: "x".into() };
    let dir = Change::Dir {
        mode: 0o755,
        owner: Owner::ROOT,
    };
    for (path, change, reason) in [
        (
            "/new/file",
            file(b"x"),
            "does not exist on the boot partition",
        ),
        ("/overlays", file(b"x"), "there is a directory"),
        ("/link", link, "no symbolic links"),
        ("/new", dir, "cannot be made"),
        ("/huge", file(&vec![1; 41 << 20]), "space"),
    ] {
        let text = format!("{:#}", fs.apply(path, &change).expect_err(path)).to_lowercase();
        assert!(
            text.contains(reason) && text.contains(path),
            "{path}: {text}"
        );
    }
}

#[test]
fn unusable_boot_partitions_are_named() {
    let spoil = |offset: u64, bytes: &[u8]| {
        let base = fat(Size::mib(40), 1, &[]);
        base.as_file().write_all_at(bytes, offset).expect("spoil");
        BootFs::open(region(base.path()), 0).err()
    };
    assert!(spoil(0, &[]).is_none());
    assert!(matches!(spoil(510, &[0, 0]), Some(FatError::NotFat(_))));
    assert!(
        matches!(spoil(65, &[1]), Some(FatError::Dirty)),
        "dirty flag of the boot sector"
    );
    assert!(matches!(
        spoil(32, &200_000_u32.to_le_bytes()),
        Some(FatError::Truncated { .. })
    ));
    let small = tempfile::NamedTempFile::new().expect("temporary file");
    small.as_file().set_len(16 << 20).expect("size");
    Cmd::new("mkfs.vfat", "run ci/setup")
        .arg("-F")
        .arg("16")
        .arg(small.path())
        .run(&[0])
        .expect("mkfs.vfat");
    assert!(matches!(
        BootFs::open(region(small.path()), 0),
        Err(FatError::NotFat32(_))
    ));
}
