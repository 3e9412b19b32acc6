//! Writing a disk: a loop device on a file of the machine's own disk, and one in memory.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::race::{Contestant, race};
use super::site::Site;
use super::table::Row;
use super::{GOAL_MEMORY_MIB, peak, say};
use crate::cmd::Cmd;

/// Goals of issue 4, "Shown by".
const GOAL_VERIFIED: f64 = 1.2;
const GOAL_PLAIN: f64 = 0.9;
const GOAL_XZ: f64 = 0.6;
const GOAL_DD: f64 = 1.0;
const GOAL_FOUR: f64 = 1.5;

/// Runs of some ten seconds differ little: so many are enough.
const ROUNDS: u32 = 5;

/// What a disk has beyond the image: everybody's is larger.
const SLACK: u64 = 64 << 20;

/// Races `imgbuild write` against the usual tools, on both kinds of disk. Loop devices need root.
pub(super) fn rows(site: &Site, rounds: u32) -> Result<Vec<Row>> {
    let image = site.image();
    let packed = image.with_extension("img.xz");
    let bmap = image.with_extension("bmap");
    say("packing the image, and mapping its blocks");
    Cmd::new("bash")
        .args(["-c", r#"xz -T0 -1 --block-size=24MiB -c "$1" >"$2""#, "-"])
        .args([&image, &packed])
        .run()?;
    Cmd::new("bmaptool")
        .args(["-q", "create", "-o"])
        .args([&bmap, &image])
        .run()?;
    let mut rows = Vec::new();
    for (kind, dir) in [("disk", site.dir()), ("memory", Path::new("/dev/shm"))] {
        let disk = Disk::new(dir, kind, fs::metadata(&image)?.len() + SLACK)?;
        let ours = |what: &Path, verify: &'static str| Ours {
            line: line(site, verify, [what.into(), disk.link.clone()]),
            disk: &disk,
        };
        let verified = ours(&image, "ranges");
        let plain = ours(&image, "none");
        let node = ours(Path::new("pi-1"), "ranges");
        let shell = |script: String| Shell {
            script,
            disk: &disk,
        };
        let to = disk.device.display();
        let bmaptool = shell(format!(
            "bmaptool -q copy --bmap '{}' '{}' {to}",
            bmap.display(),
            image.display()
        ));
        let dd = shell(format!(
            "dd if='{}' of={to} bs=4M conv=fsync status=none",
            image.display()
        ));
        let xz = shell(format!(
            "xz -dc -T2 '{}' | dd of={to} bs=4M iflag=fullblock conv=fsync status=none",
            packed.display()
        ));
        let contestants: [&dyn Contestant; 6] = [&verified, &plain, &node, &bmaptool, &dd, &xz];
        let [verified, plain, node, bmaptool, dd, xz] = race(rounds.min(ROUNDS), contestants)?;
        let row = |what: &str, ours, peer, goal| {
            Row::seconds(format!("{kind}: {what}"), ours, peer, goal)
        };
        rows.extend([
            row(
                "image, read back, beside bmaptool",
                verified,
                bmaptool,
                GOAL_VERIFIED,
            ),
            row(
                "image, not read back, beside bmaptool",
                plain,
                bmaptool,
                GOAL_PLAIN,
            ),
            row("image, read back, beside dd", verified, dd, GOAL_DD),
            row("node, read back, beside xz and dd", node, xz, GOAL_XZ),
        ]);
        if kind == "memory" {
            disk.reset()?;
            let node = ["pi-1".into(), disk.link.clone()];
            let peak = peak::of(&line(site, "ranges", node))?;
            rows.push(Row::mib(
                "writing a node, peak memory",
                peak,
                GOAL_MEMORY_MIB,
            ));
        }
    }
    rows.push(four(site, &image, rounds)?);
    Ok(rows)
}

/// Four disks at once beside one alone.
fn four(site: &Site, image: &Path, rounds: u32) -> Result<Row> {
    let size = fs::metadata(image)?.len() + SLACK;
    let disks = (0..4)
        .map(|number| Disk::new(Path::new("/dev/shm"), &format!("four-{number}"), size))
        .collect::<Result<Vec<_>>>()?;
    let pair = |disk: &Disk| format!("{}={}", image.display(), disk.link.display()).into();
    let pairs = std::iter::once("--all".into()).chain(disks.iter().map(pair));
    let all = line(site, "ranges", pairs);
    let first = disks.first().context("a first disk")?;
    let one = Ours {
        line: line(site, "ranges", [image.into(), first.link.clone()]),
        disk: first,
    };
    let four = Four {
        line: all,
        disks: &disks,
    };
    let [four, one] = race(rounds, [&four as &dyn Contestant, &one])?;
    Ok(Row::seconds(
        "memory: four disks at once, beside one",
        four,
        one,
        GOAL_FOUR,
    ))
}

/// The command line that is measured.
fn line(site: &Site, verify: &str, what: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut line = site.command("write");
    line.extend(["--yes", "--no-eject", "--verify", verify].map(PathBuf::from));
    line.extend(what);
    line
}

/// A loop device, with the link that lets nobody be asked.
struct Disk {
    file: PathBuf,
    device: PathBuf,
    link: PathBuf,
}

impl Disk {
    fn new(dir: &Path, name: &str, size: u64) -> Result<Disk> {
        let file = dir.join(format!("imgbuild-bench-{name}.disk"));
        File::create(&file)
            .and_then(|new| new.set_len(size))
            .with_context(|| format!("making {}", file.display()))?;
        let device = Cmd::new("losetup")
            .args(["--find", "--show"])
            .arg(&file)
            .read()?;
        let device = PathBuf::from(device.trim());
        ensure!(device.starts_with("/dev"), "losetup gave no device");
        let dir = Path::new("/dev/disk/by-id");
        fs::create_dir_all(dir)?;
        let link = dir.join(format!("imgbuild-bench-{name}"));
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&device, &link).with_context(|| format!("making {}", link.display()))?;
        Ok(Disk { file, device, link })
    }

    /// As new: what was there before costs nobody anything.
    fn reset(&self) -> Result<()> {
        Cmd::new("blkdiscard")
            .args(["--force"])
            .arg(&self.device)
            .run()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A run that failed says why by itself.
        let _ = Cmd::new("losetup").arg("-d").arg(&self.device).run();
        let _ = fs::remove_file(&self.link);
        let _ = fs::remove_file(&self.file);
    }
}

struct Ours<'a> {
    line: Vec<PathBuf>,
    disk: &'a Disk,
}

impl Contestant for Ours<'_> {
    fn prepare(&self) -> Result<()> {
        self.disk.reset()
    }

    /// Durable when it returns, by itself.
    fn run(&self) -> Result<()> {
        Cmd::new(&self.line[0]).args(&self.line[1..]).run()
    }
}

struct Four<'a> {
    line: Vec<PathBuf>,
    disks: &'a [Disk],
}

impl Contestant for Four<'_> {
    fn prepare(&self) -> Result<()> {
        self.disks.iter().try_for_each(Disk::reset)
    }

    fn run(&self) -> Result<()> {
        Cmd::new(&self.line[0]).args(&self.line[1..]).run()
    }
}

struct Shell<'a> {
    script: String,
    disk: &'a Disk,
}

impl Contestant for Shell<'_> {
    fn prepare(&self) -> Result<()> {
        self.disk.reset()
    }

    /// All of them sync before they end.
    fn run(&self) -> Result<()> {
        Cmd::new("bash")
            .args(["-o", "pipefail", "-c", &self.script])
            .run()
    }
}
