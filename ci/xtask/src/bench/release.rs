//! A release: packing the image, what that comes to, and verifying it again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::race::{Contestant, Script, race};
use super::say;
use super::site::Site;
use super::table::Row;
use crate::cmd::Cmd;

/// Goals of issue 8, "Shown by".
const GOAL_PACK: f64 = 1.05;
const GOAL_SIZE: f64 = 1.01;
/// No slower than the programs that do the same one after the other.
const GOAL_VERIFY: f64 = 1.0;

/// Runs of a minute differ little: so many are enough.
const ROUNDS: u32 = 3;

const NAME: &str = "imgbuild-bench-1";

/// Races `imgbuild release` and `imgbuild verify` against xz, zstd and sha256sum on the same image.
pub(super) fn rows(site: &Site, rounds: u32) -> Result<Vec<Row>> {
    let dir = site.dir();
    let key = dir.join("signing");
    let mut keygen = site.command("keygen");
    keygen.extend([key.clone(), "--no-password".into()]);
    let public = Cmd::new(&keygen[0]).args(&keygen[1..]).read()?;
    let release = dir.join("release");
    let mut line = site.command("release");
    line.extend(["bench", "--version", "1", "--without-k3s", "--key"].map(PathBuf::from));
    line.extend([key, "--output".into(), release.clone()]);
    let pack = Program {
        line,
        outputs: vec![release.clone()],
    };
    say("a first release");
    pack.run()?;
    let [xz, zst] = ["xz", "zst"].map(|end| release.join(format!("{NAME}.img.{end}")));
    let raw = dir.join("release.img");
    let unpack = Cmd::new("zstd").args(["-dqf", "-o"]);
    unpack.args([&raw, &zst]).run()?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (peer_xz, peer_zst) = (dir.join("peer.img.xz"), dir.join("peer.img.zst"));
    let packers = Script {
        text: format!(
            "xz -T{cores} -6 -c '{raw}' >'{xz}' && zstd -q -T{cores} -10 -c '{raw}' >'{zst}' && sync '{xz}' '{zst}'",
            raw = raw.display(),
            xz = peer_xz.display(),
            zst = peer_zst.display(),
        ),
        outputs: vec![peer_xz.clone(), peer_zst],
    };
    let rounds = rounds.min(ROUNDS);
    let [packed, peer] = race(rounds, [&pack as &dyn Contestant, &packers])?;

    let mut line = site.command("verify");
    line.extend([release.clone(), "--key".into(), public.trim().into()]);
    let verify = Program {
        line,
        outputs: vec![],
    };
    let checkers = Script {
        text: format!(
            "cd '{}' && sha256sum --quiet -c SHA256SUMS && xz -dc -T{cores} '{}' | sha256sum && zstd -dqc '{}' | sha256sum",
            release.display(),
            xz.display(),
            zst.display(),
        ),
        outputs: vec![],
    };
    let [verified, checked] = race(rounds, [&verify as &dyn Contestant, &checkers])?;
    Ok(vec![
        Row::seconds(
            "release, beside xz -6 and zstd -10",
            packed,
            peer,
            GOAL_PACK,
        ),
        Row::size(
            "release, size of the .img.xz",
            mib(&xz)?,
            mib(&peer_xz)?,
            GOAL_SIZE,
        ),
        Row::seconds(
            "verify, beside sha256sum, xz, zstd",
            verified,
            checked,
            GOAL_VERIFY,
        ),
    ])
}

fn mib(path: &Path) -> Result<f64> {
    let file = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    Ok(file.len() as f64 / f64::from(1 << 20))
}

/// Ours: durable when it returns, by itself.
struct Program {
    line: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
}

impl Contestant for Program {
    fn outputs(&self) -> Vec<PathBuf> {
        self.outputs.clone()
    }

    fn run(&self) -> Result<()> {
        Cmd::new(&self.line[0]).args(&self.line[1..]).run()
    }
}
