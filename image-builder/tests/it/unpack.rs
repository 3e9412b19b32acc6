//! Compressed files, made by the real tools, whole and broken.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use imgbuild::cmd::Cmd;
use imgbuild::progress::{Interrupted, Progress, Silent};
use imgbuild::source::unpack::{Options, RAW_MAX, UnpackError, Unpacked, unpack};

use crate::fixture::noise;

/// What unpacking is allowed unless a test says otherwise.
const FREE: Options<'static> = Options {
    known: None,
    pinned: None,
    raw_max: RAW_MAX,
};

fn sh(dir: &Path, script: &str) {
    Cmd::new("sh", "run ci/setup")
        .arg("-c")
        .arg(format!("cd '{}' && {script}", dir.display()))
        .run(&[0])
        .expect(script);
}

fn sha256sum(path: &Path) -> String {
    let output = Cmd::new("sha256sum", "run ci/setup").arg(path).run(&[0]);
    let text = String::from_utf8(output.expect("sha256sum").stdout).expect("text");
    text.split(' ').next().expect("digest").to_owned()
}

/// An image of three parts, `a`, `b` and `c`: data, a long run of zeros, data of
/// no whole block, zeros to the end. About 40 times `unit` bytes.
fn parts(dir: &Path, unit: usize) {
    let mut a = noise(1, 3 * unit);
    a.resize(20 * unit, 0);
    let b = [b"text, again and again; ".repeat(unit / 5), noise(2, 5000)].concat();
    let c = vec![0; 15 * unit];
    for (name, bytes) in [("a", a), ("b", b), ("c", c)] {
        fs::write(dir.join(name), bytes).expect("part");
    }
    sh(dir, "cat a b c > image.img");
}

/// How a file may be packed: a name, and a script that makes `packed` of the
/// parts.
const WAYS: [(&str, &str); 17] = [
    ("xz", "xz -c -T1 image.img > packed"),
    (
        "xz blocks",
        "xz -c -T2 --block-size=16KiB image.img > packed",
    ),
    ("xz sha256", "xz -c --check=sha256 image.img > packed"),
    ("xz -9 -e", "xz -c -9e image.img > packed"),
    (
        "xz streams",
        "for p in a b c; do xz -c -T2 --block-size=16KiB $p; done > packed",
    ),
    (
        "xz padding",
        "for p in a b c; do xz -c $p; head -c 8 /dev/zero; done > packed",
    ),
    (
        "xz streams, one empty",
        "for p in a b /dev/null c; do xz -c $p; done > packed",
    ),
    ("zstd", "zstd -q -c image.img > packed"),
    (
        "zstd threads",
        "zstd -q -c -T2 -B1M --long=27 image.img > packed",
    ),
    (
        "zstd frames",
        "for p in a b c; do zstd -q -c $p; done > packed",
    ),
    (
        "zstd skippable",
        "{ zstd -q -c a; printf '\\120\\052\\115\\030\\003\\000\\000\\000abc'; zstd -q -c b; zstd -q -c c; } > packed",
    ),
    ("gzip", "gzip -c image.img > packed"),
    (
        "gzip members",
        "for p in a b c; do gzip -c $p; done > packed",
    ),
    ("zip", "bsdtar --format zip -cf packed image.img"),
    (
        "zip stored",
        "bsdtar --format zip --options zip:compression=store -cf packed image.img",
    ),
    (
        "zip, not alone",
        "mkdir -p d && mv image.img d/ && cp a notes.txt && bsdtar --format zip -cf packed notes.txt d; mv d/image.img .",
    ),
    (
        "zip, capitals",
        "cp image.img IMAGE.IMG && bsdtar --format zip -cf packed IMAGE.IMG",
    ),
];

fn try_unpack(packed: &Path, options: Options<'_>) -> (Result<Unpacked, UnpackError>, File) {
    let raw = tempfile::tempfile().expect("temporary file");
    let packed = File::open(packed).expect("packed");
    (unpack(&packed, &raw, options, &mut Silent), raw)
}

fn read(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().expect("metadata").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("read");
    bytes
}

#[test]
fn every_way_of_packing_gives_the_same_sparse_image() {
    let dir = tempfile::tempdir().expect("temporary directory");
    parts(dir.path(), 100_000);
    let image = fs::read(dir.path().join("image.img")).expect("image");
    let digest = sha256sum(&dir.path().join("image.img"));
    let data = image
        .chunks(4096)
        .filter(|block| block.iter().any(|byte| *byte != 0));
    let data_blocks = data.count() as u64;
    for (way, script) in WAYS {
        sh(dir.path(), script);
        let packed = dir.path().join("packed");
        let mut told = Told::default();
        let raw = tempfile::tempfile().expect("temporary file");
        let unpacked = unpack(&File::open(&packed).expect("open"), &raw, FREE, &mut told);
        let packed_len = fs::metadata(&packed).expect("metadata").len();
        assert_eq!(
            unpacked.expect(way),
            Unpacked {
                packed_sha256: sha256sum(&packed),
                packed_len,
                raw_sha256: digest.clone(),
                raw_len: image.len() as u64,
            },
            "{way}"
        );
        assert_eq!(told.bytes, packed_len, "{way}: progress is packed bytes");
        assert!(read(&raw) == image, "{way}");
        let meta = raw.metadata().expect("metadata");
        assert_eq!(meta.blocks() * 512, data_blocks * 4096, "{way}: holes");
    }
}

/// What an error has to say, and how the file was made.
#[test]
fn what_cannot_be_right_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("temporary directory");
    parts(dir.path(), 100_000);
    for (reason, script) in [
        (
            "unpacked as xz: there is something else behind",
            "{ xz -c a; echo more; } > packed",
        ),
        (
            "unpacked as xz: there is something else behind",
            "{ xz -c a; printf '\\0\\0\\0\\0more, and more'; } > packed",
        ),
        ("stray zeros", "{ xz -c a; printf '\\0\\0\\0'; } > packed"),
        (
            "stray zeros",
            "{ xz -c a; printf '\\0\\0\\0\\0\\0'; xz -c b; } > packed",
        ),
        ("unpacked as zstd", "{ zstd -q -c a; echo more; } > packed"),
        (
            "unpacked as gzip",
            "{ gzip -c a; echo more and more and more; } > packed",
        ),
        ("192 MiB of memory", "xz -c --lzma2=dict=256MiB a > packed"),
        (
            "unpacked as zstd",
            "zstd -q -c --ultra --long=31 -22 - < a > packed",
        ),
        (
            "no file that ends in .img",
            "bsdtar --format zip -cf packed a b",
        ),
        (
            "2 files that end in .img: ",
            "cp a a.img; cp b b.img; bsdtar --format zip -cf packed a.img b.img",
        ),
        (
            "is encrypted",
            "bsdtar --format zip --options zip:encryption=zipcrypt --passphrase x -cf packed image.img",
        ),
        ("not compressed in a way", "cp a packed"),
        ("not compressed in a way", ": > packed"),
    ] {
        sh(dir.path(), script);
        let (result, _) = try_unpack(&dir.path().join("packed"), FREE);
        let error = result.expect_err(script).to_string();
        assert!(error.contains(reason), "{script}: {error}");
    }
}

#[test]
fn more_than_is_allowed_is_refused_early() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for script in [
        "head -c 64M /dev/zero | xz -T2 --block-size=4MiB > packed",
        "head -c 64M /dev/zero | xz -T1 > packed",
        "head -c 64M /dev/zero | zstd -q > packed",
        "head -c 64M /dev/zero | gzip > packed",
        "head -c 64M /dev/zero > i.img; bsdtar --format zip -cf packed i.img",
    ] {
        sh(dir.path(), script);
        let limit = |raw_max| Options { raw_max, ..FREE };
        let packed = dir.path().join("packed");
        let (result, raw) = try_unpack(&packed, limit((64 << 20) - 1));
        assert!(
            matches!(result, Err(UnpackError::TooLarge(_))),
            "{script}: {result:?}"
        );
        assert_eq!(raw.metadata().expect("metadata").blocks(), 0, "{script}");
        try_unpack(&packed, limit(64 << 20)).0.expect(script);
    }
}

#[test]
fn a_pin_is_held_to_whatever_else_is_wrong() {
    let dir = tempfile::tempdir().expect("temporary directory");
    parts(dir.path(), 100_000);
    sh(
        dir.path(),
        "xz -c -T2 --block-size=16KiB image.img > packed",
    );
    let packed = dir.path().join("packed");
    let (pin, wrong) = (sha256sum(&packed), "0".repeat(64));
    let pinned = |pin| Options {
        pinned: Some(pin),
        ..FREE
    };
    try_unpack(&packed, pinned(&pin)).0.expect("the right pin");
    let digest = |result| match result {
        Err(UnpackError::Digest { found, .. }) => found,
        other => panic!("not refused for its digest: {other:?}"),
    };
    assert_eq!(digest(try_unpack(&packed, pinned(&wrong)).0), pin);

    // Somebody hashed it before: that is believed, and not done again.
    let known = Options {
        known: Some(&wrong),
        ..FREE
    };
    let unpacked = try_unpack(&packed, known).0.expect("known");
    assert_eq!(unpacked.packed_sha256, wrong);
    let known = Options {
        pinned: Some(&pin),
        ..known
    };
    assert_eq!(digest(try_unpack(&packed, known).0), wrong);

    // Damaged: the pin is the better explanation; without one, the damage is.
    let file = File::options().write(true).open(&packed).expect("open");
    file.write_all_at(b"damage", 1000).expect("damage");
    assert_eq!(
        digest(try_unpack(&packed, pinned(&pin)).0),
        sha256sum(&packed)
    );
    let (damaged, _) = try_unpack(&packed, FREE);
    assert!(
        matches!(damaged, Err(UnpackError::Damaged { .. })),
        "{damaged:?}"
    );
}

/// Cut anywhere, or with a bit turned: an error, or the right bytes.
#[test]
fn damage_is_never_taken_for_an_image() {
    let dir = tempfile::tempdir().expect("temporary directory");
    parts(dir.path(), 2000);
    let digest = sha256sum(&dir.path().join("image.img"));
    for (way, script) in WAYS {
        sh(dir.path(), script);
        let whole = fs::read(dir.path().join("packed")).expect("packed");
        let broken = dir.path().join("broken");
        let check = |bytes: &[u8], what: &dyn Fn() -> String| {
            fs::write(&broken, bytes).expect("write");
            if let (Ok(unpacked), _) = try_unpack(&broken, FREE) {
                assert_eq!(unpacked.raw_sha256, digest, "{way}: {}", what());
            }
        };
        let several = ["streams", "padding", "frames", "skippable", "members"];
        let is_several = several.iter().any(|word| way.contains(word));
        for offset in offsets(whole.len()) {
            // Cut between two of several, the rest is a good, shorter image: only
            // a pin knows better.
            if !is_several {
                check(&whole[..offset], &|| format!("cut at {offset}"));
            }
            let mut flipped = whole.clone();
            flipped[offset] ^= 1 << (offset % 8);
            check(&flipped, &|| format!("bit {} of byte {offset}", offset % 8));
        }
    }
}

/// The ends of a file, where the formats have their words, and some between.
fn offsets(len: usize) -> impl Iterator<Item = usize> {
    let middle = (1..20).map(move |step| len * step / 20);
    (0..40.min(len))
        .chain(middle)
        .chain(len.saturating_sub(40)..len)
}

#[test]
fn an_interruption_is_heard_at_any_step() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut packed = Vec::new();
    for seed in 0..6 {
        packed.extend(noise(seed, 1 << 20));
    }
    fs::write(dir.path().join("image.img"), packed).expect("write");
    sh(dir.path(), "gzip -c image.img > packed");
    let packed = File::open(dir.path().join("packed")).expect("open");
    for calls in 0..5 {
        let mut progress = Told {
            stop_after: Some(calls),
            ..Told::default()
        };
        let raw = tempfile::tempfile().expect("temporary file");
        let result = unpack(&packed, &raw, FREE, &mut progress);
        let Err(UnpackError::Stopped(error)) = result else {
            panic!("after {calls} calls: {result:?}")
        };
        assert!(
            error
                .get_ref()
                .is_some_and(|inner| inner.is::<Interrupted>())
        );
    }
}

/// A disk that is full ends everything, and says so.
#[test]
fn a_disk_that_cannot_be_written_is_no_fault_of_the_base() {
    let dir = tempfile::tempdir().expect("temporary directory");
    parts(dir.path(), 100_000);
    sh(dir.path(), "xz -c image.img > packed");
    let packed = File::open(dir.path().join("packed")).expect("open");
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let result = unpack(&packed, &full, FREE, &mut Silent);
    let Err(UnpackError::Write(error)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// Counts, and stops when told to.
#[derive(Debug, Default)]
struct Told {
    bytes: u64,
    calls: usize,
    stop_after: Option<usize>,
}

impl Progress for Told {
    fn step(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        self.calls += 1;
        match self.stop_after {
            Some(calls) if self.calls > calls => Err(Interrupted.into()),
            _ => Ok(()),
        }
    }

    fn note(&mut self, _: &str) {}
}
