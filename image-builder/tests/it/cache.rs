//! The cache: what is kept, noticed, shared, verified and pruned.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use imgbuild::cmd::Cmd;
use imgbuild::progress::{Interrupted, Progress, Silent};
use imgbuild::source::{Cache, Kind, RawImage, State, raw_image};

use crate::fixture::noise;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A folder with a packed file, and a cache.
struct Lab {
    dir: tempfile::TempDir,
    packed: PathBuf,
    cache: Cache,
    image: Vec<u8>,
}

impl Lab {
    fn new(len: usize) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let image = noise(7, len);
        let raw = dir.path().join("image.img");
        fs::write(&raw, &image).expect("image");
        Cmd::new("xz", "run ci/setup")
            .arg("-T2")
            .arg("-0")
            .arg("--block-size=1MiB")
            .arg(&raw)
            .run(&[0])
            .expect("xz");
        Self {
            packed: dir.path().join("image.img.xz"),
            cache: Cache::new(dir.path().join("cache")),
            image,
            dir,
        }
    }

    fn open(&self, told: &mut Told) -> RawImage {
        raw_image(&self.packed, None, "image.img.xz", &self.cache, told).expect("raw image")
    }

    /// The steps of opening it, without notes about the missing pin.
    fn steps(&self) -> Vec<String> {
        let mut told = Told::default();
        let image = self.open(&mut told);
        assert!(
            fs::read(&image.path).expect("read") == self.image,
            "{told:?}"
        );
        told.said.retain(|line| !line.contains("is not pinned"));
        told.said
    }

    /// The program itself on this cache.
    fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        command.arg("--cache").arg(self.cache.dir()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.imgbuild(args).output().expect("imgbuild")
    }

    fn names(&self, kind: &str) -> Vec<String> {
        names(&self.cache.dir().join(kind))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("entry").file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

/// The steps and notes, in order.
#[derive(Debug, Default)]
struct Told {
    said: Vec<String>,
    stop: bool,
}

impl Progress for Told {
    fn step(&mut self, name: &str, _: Option<u64>) {
        self.said.push(name.to_owned());
    }

    fn advance(&mut self, _: u64) -> io::Result<()> {
        match self.stop {
            true => Err(Interrupted.into()),
            false => Ok(()),
        }
    }

    fn note(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }
}

#[test]
fn an_unpacked_base_is_made_once_and_again_only_when_somebody_changed_it() {
    let lab = Lab::new(3 << 20);
    assert_eq!(lab.steps(), ["unpacking the base"]);
    assert_eq!(lab.steps(), [""; 0]);

    let raw = lab.open(&mut Told::default()).path;
    let touched = fs::metadata(&raw)
        .expect("metadata")
        .modified()
        .expect("time");
    let file = File::options().write(true).open(&raw).expect("open");
    file.write_all_at(b"x", 12345).expect("change");
    // Setting the time back does not hide it.
    file.set_modified(touched).expect("time");
    let steps = lab.steps();
    assert!(steps[0].contains("was changed since"), "{steps:?}");
    assert_eq!(steps[1..], ["unpacking the base"]);
    assert_eq!(lab.steps(), [""; 0]);

    // The packed file is another one, with the same content: only that is read.
    let copy = lab.dir.path().join("copy.img.xz");
    fs::copy(&lab.packed, &copy).expect("copy");
    let pin = lab.names("raw")[0].trim_end_matches(".img").to_owned();
    let mut told = Told::default();
    raw_image(&copy, Some(&pin), "copy", &lab.cache, &mut told).expect("copy");
    assert_eq!(told.said, ["hashing the base"]);
}

#[test]
fn nothing_is_kept_of_what_was_refused_or_interrupted() {
    let lab = Lab::new(3 << 20);
    let open = |pin: Option<&str>, told: &mut Told| {
        raw_image(&lab.packed, pin, "x", &lab.cache, told).expect_err("refused");
        assert_eq!(lab.names("raw"), [""; 0]);
        assert_eq!(lab.names("digest"), [""; 0]);
        assert_eq!(lab.names("lock"), [""; 0]);
    };
    open(Some(&"0".repeat(64)), &mut Told::default());
    open(
        None,
        &mut Told {
            stop: true,
            ..Told::default()
        },
    );
    let len = fs::metadata(&lab.packed).expect("metadata").len();
    let file = File::options().write(true).open(&lab.packed).expect("open");
    file.set_len(len / 2).expect("cut");
    open(None, &mut Told::default());
}

/// Killed anywhere, a run leaves nothing that the next one takes for an image.
#[test]
fn a_killed_run_leaves_nothing_that_counts() {
    let lab = Lab::new(24 << 20);
    let packed = lab.packed.to_str().expect("text");
    for pause in [0, 5, 10, 20, 40, 80, 160] {
        let mut run = lab.imgbuild(&["cache", "add", packed]);
        let mut run = run
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("start");
        std::thread::sleep(Duration::from_millis(pause));
        run.kill().expect("kill -9");
        run.wait().expect("wait");
        for name in lab.names("raw") {
            let whole = fs::read(lab.cache.dir().join("raw").join(&name)).expect("read");
            assert!(
                name.ends_with(".partial") || whole == lab.image,
                "{name} at {pause} ms"
            );
        }
    }
    let steps = lab.steps();
    assert!(
        steps.is_empty() || steps == ["unpacking the base"],
        "{steps:?}"
    );
    // What they left goes when it is old enough to be nobody's.
    for name in lab
        .names("raw")
        .iter()
        .filter(|name| name.ends_with(".partial"))
    {
        let file = File::open(lab.cache.dir().join("raw").join(name)).expect("open");
        file.set_modified(SystemTime::now() - DAY).expect("time");
    }
    lab.cache.prune(30 * DAY, |_| false, false).expect("prune");
    assert_eq!(lab.names("raw").len(), 1);
    assert_eq!(lab.names("lock"), [""; 0]);
}

#[test]
fn a_second_run_waits_for_the_first_and_takes_its_result() {
    let lab = Lab::new(24 << 20);
    let said = std::thread::scope(|scope| {
        let open = || {
            let mut told = Told::default();
            let image = lab.open(&mut told);
            (told.said, image.file.metadata().expect("metadata").ino())
        };
        let runs = [scope.spawn(open), scope.spawn(open), scope.spawn(open)];
        runs.map(|run| run.join().expect("run"))
    });
    assert_eq!(lab.names("raw").len(), 1);
    let counted = |text: &str| {
        let lines = said.iter().flat_map(|(said, _)| said);
        lines.filter(|line| line.contains(text)).count()
    };
    assert_eq!(counted("unpacking the base"), 1, "{said:?}");
    assert_eq!(counted("waiting for another imgbuild"), 2, "{said:?}");
    assert!(
        said.iter().all(|(_, inode)| *inode == said[0].1),
        "{said:?}"
    );
}

#[test]
fn verify_names_what_is_damaged_and_removes_it_when_asked() {
    let lab = Lab::new(1 << 20);
    let raw = lab.open(&mut Told::default()).path;
    let verify = |args: &[&str]| {
        let output = lab.run(&[&["cache", "verify", "--json"], args].concat());
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), rows)
    };
    let (code, rows) = verify(&[]);
    assert_eq!((code, &rows[0]["state"]), (Some(0), &"good".into()));
    assert_eq!(rows[0]["from"], "image.img.xz");

    // Touched, not changed: known again, and not made again.
    fs::copy(&raw, lab.dir.path().join("aside")).expect("copy");
    fs::copy(lab.dir.path().join("aside"), &raw).expect("copy");
    assert_eq!(verify(&[]).0, Some(0));
    assert_eq!(lab.steps(), [""; 0]);

    let file = File::options().write(true).open(&raw).expect("open");
    file.write_all_at(b"x", 12345).expect("change");
    // A download is known by its name; this one is not what that says.
    let download = lab.cache.download(&"1".repeat(64), "base.img.xz");
    fs::create_dir_all(download.parent().expect("parent")).expect("directory");
    fs::write(&download, "no image").expect("write");
    let (code, rows) = verify(&[]);
    assert_eq!(code, Some(4));
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["state"]),
        (&"download".into(), &"damaged".into())
    );
    assert_eq!(
        (&rows[1]["kind"], &rows[1]["state"]),
        (&"raw-base".into(), &"damaged".into())
    );
    assert!(raw.exists() && download.exists(), "removed unasked");

    let (code, rows) = verify(&["--remove"]);
    assert_eq!((code, &rows[0]["removed"]), (Some(0), &true.into()));
    assert!(!raw.exists() && !download.exists());
    assert_eq!(lab.steps(), ["unpacking the base"]);
}

#[test]
fn prune_takes_the_unused_and_leaves_what_is_in_use() {
    let lab = Lab::new(1 << 20);
    let image = lab.open(&mut Told::default());
    let record = lab
        .cache
        .dir()
        .join("record/raw")
        .join(image.path.file_name().expect("name"));
    let age = |days: u32| {
        let used = SystemTime::now() - days * DAY;
        File::open(&record)
            .expect("record")
            .set_modified(used)
            .expect("time");
    };
    let prune = |unused, dry| {
        let pruned = lab.cache.prune(unused, |_| false, dry);
        pruned.expect("prune")
    };
    let wanted = lab.cache.prune(Duration::ZERO, |_| true, false);
    let wanted = wanted.expect("prune");
    assert!(wanted.removed.is_empty() && !wanted.wanted.is_empty());

    age(29);
    assert!(prune(30 * DAY, false).removed.is_empty());
    age(31);
    let pruned = prune(30 * DAY, false);
    assert_eq!(
        (pruned.removed.len(), pruned.in_use.len(), pruned.freed),
        (0, 1, 0)
    );
    assert_eq!(prune(Duration::ZERO, true).in_use.len(), 1, "all, and dry");

    drop(image);
    let dry = prune(30 * DAY, true);
    assert_eq!((dry.removed.len(), lab.names("raw").len()), (1, 1));
    // Use counts, whatever the file's own times say.
    lab.steps();
    assert!(prune(30 * DAY, false).removed.is_empty());

    let output = lab.run(&["cache", "prune", "--all"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("removed the raw base"), "{text}");
    let left: u64 = ["raw", "record/raw", "digest", "lock"]
        .map(|dir| lab.names(dir).len() as u64)
        .iter()
        .sum();
    assert_eq!(left, 0, "{output:?}");
    let freed = String::from_utf8_lossy(&output.stderr);
    assert!(
        freed.contains("came free") && dry.freed >= 1 << 20,
        "{freed}"
    );
}

#[test]
fn list_shows_what_there_is() {
    let lab = Lab::new(1 << 20);
    assert_eq!(lab.run(&["cache", "list", "--json"]).stdout, b"[]\n");
    let raw = lab.open(&mut Told::default()).path;
    let listed = lab.cache.list().expect("list");
    assert_eq!((listed.len(), listed[0].kind), (1, Kind::RawBase));
    assert_eq!(
        listed[0].bytes,
        fs::metadata(&raw).expect("metadata").blocks() * 512
    );
    let text = String::from_utf8(lab.run(&["cache", "list"]).stdout).expect("text");
    assert!(
        text.contains("raw base") && text.contains("today") && text.contains("image.img.xz"),
        "{text}"
    );
    let verdicts = lab.cache.verify(&mut Silent).expect("verify");
    assert_eq!(verdicts[0].state, State::Good);
}
