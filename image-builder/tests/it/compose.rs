//! The whole disk, on every shape a base may have.

use std::path::{Path, PathBuf};

use imgbuild::bootfs::BootFs;
use imgbuild::cmd::Cmd;
use imgbuild::compose::{Composed, Recipe, compose};
use imgbuild::ids::NodeIds;
use imgbuild::layout::{Scheme as Found, Table};
use imgbuild::overlay::{BaseView as _, Overlay, Part};
use imgbuild::plan::{BaseLocation, BaseRef, Disk, Extent, Size};
use imgbuild::progress::{Interrupted, Progress, Silent};
use imgbuild::rootfs::{PathError, RootView, Superblock};
use imgbuild::sink::{ImageFile, SinkError};
use imgbuild::source::{self, Base, Cache, find_partitions};
use imgbuild::view::{ImageView, Unreadable};
use uuid::Uuid;

use crate::fixture::{
    EPOCH, FEATURE_SETS, Scheme, assert_ext4_clean, assert_fat_clean, disk, ext4, fat, region, tree,
};

const CLUSTER: Uuid = Uuid::from_u128(0x0d5f_6a52_6a3e_4f39_9a2c_0f2d_3b7c_1e11);

fn overlay() -> Overlay {
    let mut overlay = Overlay::default();
    overlay.file(Part::Boot, "/config.txt", 0o644, "# ours\n");
    overlay.file(Part::Root, "/etc/hostname", 0o644, "pi-1\n");
    overlay.file(
        Part::Root,
        "/usr/lib/imgbuild/firstboot-agent",
        0o755,
        vec![7; 700_000],
    );
    overlay
}

struct Bench {
    dir: tempfile::TempDir,
    base: Base,
    cache: Cache,
}

impl Bench {
    fn new(scheme: Scheme, sectors: u32, features: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let boot = fat(
            Size::mib(if sectors == 1 { 40 } else { 140 }),
            sectors,
            &[("config.txt", "# base\n")],
        );
        let root = ext4(features, Size::mib(96), tree);
        let image = disk(dir.path(), scheme, &[boot.path(), root.path()]);
        let cache = Cache::new(dir.path().join("cache"));
        let base = open(&image, &cache).expect("base");
        Self { dir, base, cache }
    }

    fn compose(&self, overlay: &Overlay, disk: Disk) -> anyhow::Result<Composed> {
        let ids = NodeIds::derive(CLUSTER, "pi-1");
        let recipe = Recipe {
            base: &self.base,
            overlay,
            ids,
            disk,
            frame: None,
            epoch: EPOCH,
        };
        compose(recipe, &self.cache, self.dir.path(), &mut Silent)
    }

    fn build(&self, name: &str, disk: Disk) -> PathBuf {
        let path = self.dir.path().join(name);
        let composed = self.compose(&overlay(), disk).expect("compose");
        ImageFile::new(&path, false)
            .expect("output")
            .write(&composed, &mut Silent)
            .expect("write");
        path
    }
}

fn open(image: &Path, cache: &Cache) -> anyhow::Result<Base> {
    let base = BaseRef {
        location: BaseLocation::File(image.into()),
        sha256: None,
        signer: None,
    };
    source::open(&base, None, cache, &mut Silent)
}

/// p1 begins at 8 MiB, always; p2 after it.
fn assert_clean(image: &Path) {
    let output = Cmd::new("sgdisk", "run ci/setup")
        .arg("-v")
        .arg(image)
        .run(&[0])
        .expect("sgdisk");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("No problems found"), "{text}");
    let table = Table::read(&region(image)).expect("table");
    assert_ext4_clean(image, table.partitions[1].offset);
    let boot = tempfile::NamedTempFile::new().expect("temporary file");
    let mut bytes = vec![0; table.partitions[0].len as usize];
    let part = region(image)
        .slice(table.partitions[0].offset, table.partitions[0].len)
        .expect("slice");
    imgbuild::io::ReadAt::read_exact_at(&part, 0, &mut bytes).expect("read");
    std::fs::write(boot.path(), bytes).expect("write");
    assert_fat_clean(boot.path());
}

#[test]
fn every_shape_of_base_gives_a_clean_disk() {
    let disk = Disk {
        root: Extent::Fixed(Size::mib(160)),
        data: Some(Extent::Fixed(Size::mib(16))),
    };
    for (index, (name, features)) in FEATURE_SETS.iter().enumerate() {
        // Every feature set, and both schemes and cluster sizes among them.
        let scheme = if index % 2 == 0 {
            Scheme::Mbr
        } else {
            Scheme::Gpt
        };
        let bench = Bench::new(scheme, if index % 3 == 0 { 4 } else { 1 }, features);
        let before = std::fs::read(bench.dir.path().join("base.img")).expect("base");
        let image = bench.build("pi-1.img", disk);
        assert_clean(&image);
        let parts = find_partitions(&region(&image)).expect(name);
        let ids = NodeIds::derive(CLUSTER, "pi-1");
        assert_eq!(parts.table.scheme, Found::Gpt(ids.disk));
        let guids: Vec<_> = parts
            .table
            .partitions
            .iter()
            .map(|part| part.partuuid.as_str())
            .collect();
        assert_eq!(
            guids,
            [
                ids.boot.to_string(),
                ids.root.to_string(),
                ids.data.to_string()
            ]
        );
        assert_eq!(parts.superblock.len(), 160 << 20, "{name}");
        assert_eq!(
            parts.superblock.uuid() == ids.root_fs,
            parts.superblock.uuid_is_cheap(),
            "{name}"
        );
        let boot = BootFs::open(parts.boot, 0).expect("boot");
        assert_eq!(boot.serial(), ids.boot_serial);
        assert_eq!(
            boot.read("/config.txt").expect("read").as_deref(),
            Some(&b"# ours\n"[..])
        );
        let root = RootView::open(parts.root).expect("root");
        assert_eq!(
            root.read("/etc/hostname").expect("read").as_deref(),
            Some(&b"pi-1\n"[..])
        );
        assert!(
            std::fs::read(bench.dir.path().join("base.img")).expect("base") == before,
            "the base was written"
        );
        let again = bench.build("again.img", disk);
        assert!(
            std::fs::read(again).expect("again") == std::fs::read(&image).expect("image"),
            "{name}: other bytes"
        );
    }
}

#[test]
fn rest_takes_what_is_needed_and_no_more() {
    let bench = Bench::new(Scheme::Mbr, 1, FEATURE_SETS[4].1);
    let rest = Disk {
        root: Extent::Rest,
        data: Some(Extent::Rest),
    };
    let small = bench.compose(&overlay(), rest).expect("compose");
    assert_eq!((small.layout.root.len, small.layout.data), (96 << 20, None));
    let mut large = overlay();
    large.file(Part::Root, "/usr/lib/large", 0o644, vec![1; 120 << 20]);
    let grown = bench.compose(&large, rest).expect("compose");
    assert_eq!(grown.layout.root.len, (96 + 256) << 20);
}

#[test]
fn sizes_that_cannot_be_are_refused_with_one_that_can() {
    let bench = Bench::new(Scheme::Mbr, 1, FEATURE_SETS[4].1);
    let fixed = |mib| Disk {
        root: Extent::Fixed(Size::mib(mib)),
        data: None,
    };
    let words = |overlay: &Overlay, disk| {
        format!("{:#}", bench.compose(overlay, disk).expect_err("too small"))
    };
    assert!(words(&overlay(), fixed(80)).contains("smaller than the base's, 96MiB"));
    let mut large = overlay();
    large.file(Part::Root, "/usr/lib/large", 0o644, vec![1; 120 << 20]);
    assert!(
        words(&large, fixed(104)).contains("write at least 256MiB"),
        "{}",
        words(&large, fixed(104))
    );
}

#[test]
fn a_base_whose_links_lead_astray_is_refused() {
    let bench = Bench::new(Scheme::Mbr, 1, FEATURE_SETS[4].1);
    let (boot, root) = (bench.base.boot.clone(), bench.base.root.clone());
    let view = ImageView::open(boot, root).expect("view");
    // Rendering looks at the base, composing writes where its links lead.
    let seen = view
        .kind(Part::Root, "/etc/loop-a/file")
        .expect_err("a loop");
    assert!(seen.is::<Unreadable>(), "{seen:#}");
    let disk = Disk {
        root: Extent::Rest,
        data: None,
    };
    for (path, reason) in [
        ("/etc/loop-a/file", "a loop"),
        ("/etc/outside/escape", "leads out of the root"),
    ] {
        let mut overlay = overlay();
        overlay.file(Part::Root, path, 0o644, "x");
        let error = bench.compose(&overlay, disk).expect_err(path);
        assert!(
            error.chain().any(|cause| cause.is::<PathError>()),
            "{error:#}"
        );
        assert!(format!("{error:#}").contains(reason), "{path}: {error:#}");
    }
}

#[test]
fn an_output_that_is_there_is_kept() {
    let bench = Bench::new(Scheme::Mbr, 1, FEATURE_SETS[4].1);
    let path = bench.dir.path().join("kept.img");
    std::fs::write(&path, "precious").expect("write");
    assert!(matches!(
        ImageFile::new(&path, false),
        Err(SinkError::Exists(_))
    ));
    assert!(matches!(
        ImageFile::new(bench.dir.path(), true),
        Err(SinkError::NotAFile(_))
    ));
    assert!(matches!(
        ImageFile::new(Path::new("/dev/null"), true),
        Err(SinkError::NotAFile(_))
    ));
    let link = bench.dir.path().join("link.img");
    std::os::unix::fs::symlink(&path, &link).expect("link");
    assert!(matches!(
        ImageFile::new(&link, true),
        Err(SinkError::NotAFile(_))
    ));
    assert_eq!(std::fs::read(&path).expect("read"), b"precious");
    // One that appears while the image is made is kept as well.
    let late = bench.dir.path().join("late.img");
    let output = ImageFile::new(&late, false).expect("output");
    let disk = Disk {
        root: Extent::Rest,
        data: None,
    };
    let composed = bench.compose(&overlay(), disk).expect("compose");
    std::fs::write(&late, "precious").expect("write");
    let error = output.write(&composed, &mut Silent).expect_err("taken");
    assert!(
        matches!(error.downcast_ref(), Some(SinkError::Exists(_))),
        "{error:#}"
    );
    assert_eq!(std::fs::read(&late).expect("read"), b"precious");
}

/// Stops at a given call.
struct Until(u32);

impl Progress for Until {
    fn step(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) -> std::io::Result<()> {
        self.0 = self.0.checked_sub(1).ok_or(Interrupted)?;
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}

#[test]
fn an_interruption_anywhere_leaves_nothing_half_written() {
    let bench = Bench::new(Scheme::Mbr, 1, FEATURE_SETS[4].1);
    let out = tempfile::tempdir().expect("temporary directory");
    let path = out.path().join("pi-1.img");
    let composed = bench
        .compose(
            &overlay(),
            Disk {
                root: Extent::Rest,
                data: None,
            },
        )
        .expect("compose");
    let mut calls = 0;
    while ImageFile::new(&path, false)
        .expect("output")
        .write(&composed, &mut Until(calls))
        .is_err()
    {
        let left: Vec<_> = std::fs::read_dir(out.path()).expect("directory").collect();
        assert!(left.is_empty(), "stopped at call {calls}: {left:?}");
        calls += 1;
    }
    assert!(calls > 3, "only {calls} places to stop at");
    assert!(path.exists());
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).expect("image").permissions()
        ) & 0o777,
        0o600,
        "a node's image holds its keys"
    );
    Superblock::read(&find_partitions(&region(&path)).expect("partitions").root)
        .expect("superblock");
}
