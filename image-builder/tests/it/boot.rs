//! Writing into FAT32, with the cluster sizes Raspberry Pi OS has used.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use imgbuild::bootfs::{BootFs, FatError, check, examine, set_identity};
use imgbuild::cmd::Cmd;
use imgbuild::io::{CowRegion, ReadAt as _};
use imgbuild::overlay::{Change, Kind, Owner};
use imgbuild::plan::Size;

use crate::fixture::{EPOCH, assert_fat_clean, fat, materialise, region};

fn file(content: &[u8]) -> Change {
    Change::File {
        mode: 0o644,
        owner: Owner::ROOT,
        content: content.into(),
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

/// A boot partition of 512-byte clusters with two files of four clusters each,
/// a long name and directories, and the numbers needed to damage it.
struct Victim {
    bytes: Vec<u8>,
    fat: usize,
    fat_len: usize,
    data: usize,
}

impl Victim {
    fn new() -> Self {
        let long = "x".repeat(2000);
        let files = [
            ("one.bin", long.as_str()),
            ("two.bin", &long),
            ("A long name.with dots.txt", "long\n"),
        ];
        let image = fat(Size::mib(40), 1, &files);
        for dir in ["::overlays", "::overlays/deeper"] {
            Cmd::new("mmd", "run ci/setup")
                .arg("-i")
                .arg(image.path())
                .arg(dir)
                .run(&[0])
                .expect("mmd");
        }
        assert_fat_clean(image.path());
        let bytes = std::fs::read(image.path()).expect("read");
        let fat = 512 * usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
        let fat_len = 512 * usize::from(u16::from_le_bytes([bytes[36], bytes[37]]));
        let data = fat + 2 * fat_len;
        Self {
            bytes,
            fat,
            fat_len,
            data,
        }
    }

    /// Sets a table entry in both copies.
    fn link(&mut self, cluster: u16, next: u32) {
        for copy in 0..2 {
            let at = self.fat + copy * self.fat_len + usize::from(cluster) * 4;
            self.bytes[at..at + 4].copy_from_slice(&next.to_le_bytes());
        }
    }

    /// Where the directory entry of a file of the root begins.
    fn entry(&self, short_name: &[u8; 11]) -> usize {
        (self.data..)
            .step_by(32)
            .find(|at| self.bytes[*at..].starts_with(short_name))
            .expect("entry")
    }

    fn first_cluster(&self, short_name: &[u8; 11]) -> u16 {
        let at = self.entry(short_name) + 26;
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        file.as_file().write_all_at(&self.bytes, 0).expect("write");
        file
    }

    /// What the check says, and whether `fsck.vfat -n` finds a fault as well.
    fn verdict(&self) -> (String, bool) {
        let file = self.file();
        let fsck = Cmd::new("fsck.vfat", "run ci/setup")
            .arg("-n")
            .arg(file.path())
            .run(&[0, 1])
            .expect("fsck.vfat");
        let text = match check(&region(file.path())) {
            Ok(()) => "good".to_owned(),
            Err(error) => error.to_string(),
        };
        (text, fsck.status.code() == Some(1))
    }
}

#[test]
fn good_file_systems_pass_the_check() {
    for &(sectors, size) in SHAPES {
        let base = base(sectors, size);
        check(&region(base.path())).expect("base");
        check(&region(compose(base.path()).path())).expect("composed");
    }
    assert_eq!(Victim::new().verdict(), ("good".into(), false));
    // What a power cut leaves behind is no damage: clusters of no file.
    let mut lost = Victim::new();
    lost.link(5000, 0x0fff_ffff);
    assert_eq!(lost.verdict().0, "good");
}

#[test]
fn damaged_chains_are_refused() {
    type Spoil = fn(&mut Victim);
    let cases: &[(&str, bool, Spoil)] = &[
        ("directory / leads in a circle", false, |victim| {
            // Full, so that nobody stops at an end within the first cluster.
            let (from, to) = (victim.data, victim.data + 512);
            for entry in victim.bytes[from..to].chunks_exact_mut(32) {
                if entry[0] == 0 {
                    entry[..12].copy_from_slice(b"F       TXT ");
                }
            }
            victim.link(2, 2);
        }),
        ("directory /OVERLAYS leads in a circle", false, |victim| {
            let at = victim.entry(b"OVERLAYS   ") + 26;
            victim.bytes[at] = 2;
        }),
        ("shares a cluster", true, |victim| {
            let first = victim.first_cluster(b"ONE     BIN");
            let at = victim.entry(b"TWO     BIN") + 26;
            victim.bytes[at..at + 2].copy_from_slice(&first.to_le_bytes());
        }),
        ("/ONE.BIN shares a cluster", true, |victim| {
            let first = victim.first_cluster(b"ONE     BIN");
            victim.link(first + 1, first.into());
        }),
        ("/ONE.BIN leads to cluster 200000", false, |victim| {
            let first = victim.first_cluster(b"ONE     BIN");
            victim.link(first, 200_000);
        }),
        ("/ONE.BIN leads to cluster 1,", false, |victim| {
            let first = victim.first_cluster(b"ONE     BIN");
            victim.link(first, 1);
        }),
        ("allocation tables differ", true, |victim| {
            let at = victim.fat + victim.fat_len + 4 * 100;
            victim.bytes[at] ^= 1;
        }),
        (
            "2000 bytes long and has clusters for 1024",
            true,
            |victim| {
                let first = victim.first_cluster(b"ONE     BIN");
                victim.link(first + 1, 0x0fff_ffff);
            },
        ),
        (
            "/ONE.BIN leads to a cluster that is not in use",
            true,
            |victim| {
                let first = victim.first_cluster(b"ONE     BIN");
                victim.link(first + 1, 0);
            },
        ),
        ("/OVERLAYS/.. leads elsewhere", false, |victim| {
            let cluster = usize::from(victim.first_cluster(b"OVERLAYS   "));
            let at = victim.data + (cluster - 2) * 512 + 32 + 26;
            victim.bytes[at] = 1;
        }),
        ("a control character or a slash", false, |victim| {
            let at = victim.entry(b"ONE     BIN");
            victim.bytes[at] = b'/';
        }),
    ];
    for (reason, readable, spoil) in cases {
        let mut victim = Victim::new();
        spoil(&mut victim);
        let (text, fsck) = victim.verdict();
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(fsck, "{reason}: fsck.vfat finds no fault");
        let health = examine(&region(victim.file().path())).expect("boot sector");
        if *readable {
            assert!(health.readable, "{reason}");
        }
    }
}

#[test]
fn hostile_boot_sectors_are_refused_before_anything_computes_with_them() {
    for (offset, bytes, reason) in [
        (11, &1024_u16.to_le_bytes()[..], "only 512"),
        (13, &[3], "3 sectors per cluster"),
        (13, &[0], "0 sectors per cluster"),
        (14, &[0, 0], "no reserved sectors"),
        (16, &[0], "neither one nor two"),
        (16, &[255], "no room for data"),
        (36, &[1, 0, 0, 0], "too short"),
        (36, &[0xff; 4], "no room for data"),
        (40, &[0x80], "not mirrored"),
        (44, &[0; 4], "root directory lies outside"),
        (44, &[0xff; 4], "root directory lies outside"),
        (50, &[200, 0], "backup"),
    ] {
        let mut victim = Victim::new();
        victim.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        let file = victim.file();
        let open = BootFs::open(region(file.path()), 0).err();
        let checked = check(&region(file.path())).expect_err(reason);
        assert_eq!(open.map(|e| e.to_string()), Some(checked.to_string()));
        assert!(checked.to_string().contains(reason), "{reason}: {checked}");

        let whole = region(file.path());
        let len = whole.len();
        let cow = CowRegion::new(whole, len, Path::new("/tmp")).expect("cow");
        assert!(set_identity(&cow, 1, 0).is_err(), "{reason}");
        assert_eq!(
            std::fs::read(materialise(&cow).path()).expect("read"),
            victim.bytes
        );
    }
}
