//! Unpacking and verifying a compressed base: an .xz of several blocks, as pi-gen publishes them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::race::{Contestant, Script, race};
use super::site::BASE;
use super::table::Row;
use super::{GOAL_MEMORY_MIB, peak, say};
use crate::cmd::Cmd;

/// Goals: no slower than the pipeline that only unpacks and hashes, though it writes nothing.
const GOAL: f64 = 1.0;

/// Runs of some ten seconds differ little: so many are enough.
const ROUNDS: u32 = 5;

/// How often the base's data is in the input.
const COPIES: usize = 4;

/// Bytes of the base that are looked at, and left out when all are zero.
const PIECE: usize = 1 << 20;

/// Races `imgbuild cache add` into an empty cache against both pipelines.
pub(super) fn rows(root: &Path, run: &Path, rounds: u32) -> Result<Vec<Row>> {
    let packed = input(root)?;
    let dir = run.join("unpack");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let ours = Ours {
        program: root.join("out/bin/imgbuild"),
        packed: packed.clone(),
        cache: dir.join("cache"),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let xz = format!("xz -dc -T{cores} '{}'", packed.display());
    let raw = dir.join("peer.img");
    let hashed = Script {
        text: format!("{xz} | sha256sum"),
        outputs: vec![],
    };
    let written = Script {
        text: format!(
            "sha256sum '{packed}' & {xz} | tee >(sha256sum) | dd of='{raw}' bs=1M iflag=fullblock conv=sparse,fsync status=none; wait",
            packed = packed.display(),
            raw = raw.display(),
        ),
        outputs: vec![raw],
    };
    let [our_time, hashed, written] = race(
        rounds.min(ROUNDS),
        [&ours, &hashed as &dyn Contestant, &written],
    )?;
    for output in ours.outputs() {
        fs::remove_dir_all(output)?;
    }
    let peak = peak::of(&ours.line())?;
    Ok(vec![
        Row::seconds("unpack, beside xz and sha256sum", our_time, hashed, GOAL),
        Row::seconds("unpack, beside the same work", our_time, written, GOAL),
        Row::mib("unpack, peak memory", peak, GOAL_MEMORY_MIB),
    ])
}

/// The input, made once: the base as it is, then what is data in it thrice more, each time moved by other bytes.
fn input(root: &Path) -> Result<PathBuf> {
    let path = root.join("out/bench/base.img.xz");
    if path.exists() {
        return Ok(path);
    }
    say("packing the input of `unpack`, once");
    let new = path.with_extension("new");
    let mut xz = Command::new("xz")
        .args(["-1", "-T0", "--block-size=24MiB"])
        .stdin(Stdio::piped())
        .stdout(File::create(&new).with_context(|| format!("making {}", new.display()))?)
        .spawn()
        .context("starting xz")?;
    let mut to = xz.stdin.take().context("xz takes its input")?;
    for copy in 0..COPIES {
        to.write_all(format!("{copy}\n").repeat(500 * (copy + 1)).as_bytes())?;
        let mut base = File::open(root.join(BASE)).context("opening the base")?;
        let mut piece = Vec::with_capacity(PIECE);
        while (&mut base).take(PIECE as u64).read_to_end(&mut piece)? > 0 {
            if copy == 0 || piece.iter().any(|byte| *byte != 0) {
                to.write_all(&piece).context("packing")?;
            }
            piece.clear();
        }
    }
    drop(to);
    ensure!(xz.wait()?.success(), "xz failed");
    fs::rename(&new, &path).with_context(|| format!("naming {}", path.display()))?;
    Ok(path)
}

struct Ours {
    program: PathBuf,
    packed: PathBuf,
    cache: PathBuf,
}

impl Ours {
    fn line(&self) -> Vec<PathBuf> {
        let words = [
            "--cache".into(),
            self.cache.clone(),
            "cache".into(),
            "add".into(),
        ];
        let program = std::iter::once(self.program.clone());
        program.chain(words).chain([self.packed.clone()]).collect()
    }
}

impl Contestant for Ours {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.cache.clone()]
    }

    /// Durable when it returns, by itself.
    fn run(&self) -> Result<()> {
        let line = self.line();
        Cmd::new(&line[0]).args(&line[1..]).run()
    }
}
