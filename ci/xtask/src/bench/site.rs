//! The place of a comparison: a folder with a cluster file like the demo's, and a disk with the base alone to start from.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::image::Parts;
use super::race::Contestant;
use crate::cmd::Cmd;

const NODE: &str = "pi-1";
pub(super) const BASE: &str = "out/base/debian-trixie-arm64.img";
/// The time of every change `imgbuild` makes: by it they are found again (see `added`). Older than every package of the base.
const EPOCH: &str = "1000000000";
/// The same as debugfs shows it.
pub(super) const EPOCH_SHOWN: &str = "9-Sep-2001 01:46";

/// The folder of a run, made anew: the cache in it has to be cold once.
pub(super) fn clear(root: &Path) -> Result<PathBuf> {
    for (path, target) in [
        ("out/bin/imgbuild", "build"),
        ("out/bin/firstboot-agent", "build"),
        (BASE, "base"),
    ] {
        ensure!(
            root.join(path).exists(),
            "there is no {path}; run `make {target}`"
        );
    }
    let dir = root.join("out/bench/run");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("clearing {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// One node of a cluster, and everything made for it.
pub(super) struct Site {
    root: &'static Path,
    /// Shared by all sites of a run: they build from the same base.
    cache: PathBuf,
    dir: PathBuf,
}

impl Site {
    /// A cluster whose first node gets `payload` files of 14 MiB through its profile, which takes 16 MiB each.
    pub(super) fn prepare(
        root: &'static Path,
        run: &Path,
        name: &str,
        payload: usize,
    ) -> Result<Site> {
        let dir = run.join(name);
        for folder in ["keys", "profiles"] {
            fs::create_dir_all(dir.join(folder))
                .with_context(|| format!("making {}", dir.display()))?;
        }
        Cmd::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"])
            .arg(dir.join("keys/bench"))
            .run()?;
        let example = fs::read_to_string(root.join("cluster/cluster.toml"))
            .context("reading the example cluster")?;
        let cluster = example
            .replace("\"pi5-ssd\"", "\"bench\"")
            .replace("keys/example.pub", "keys/bench.pub");
        fs::write(dir.join("cluster.toml"), cluster).context("writing the cluster file")?;
        let mut profile = fs::read_to_string(root.join("profiles/qemu-arm64.toml"))
            .context("reading the profile qemu-arm64")?;
        profile = profile.replace("\"../out/", &format!("\"{}/out/", root.display()));
        for number in 0..payload {
            // No zeros, which a copy could leave out.
            let mut bytes = Vec::new();
            File::open("/dev/urandom")?
                .take(14 << 20)
                .read_to_end(&mut bytes)?;
            fs::write(dir.join(format!("profiles/payload-{number}")), bytes)
                .context("writing the payload")?;
            profile += &format!(
                "\n[[files]]\npath = \"/opt/payload-{number}\"\nsource = \"payload-{number}\"\n"
            );
        }
        fs::write(dir.join("profiles/bench.toml"), profile).context("writing the profile")?;
        Ok(Site {
            root,
            cache: run.join("cache"),
            dir,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn image(&self) -> PathBuf {
        self.dir.join("ours.img")
    }

    /// The command line that is measured.
    pub(super) fn build(&self) -> Vec<PathBuf> {
        let mut line = self.command("build");
        line.extend([
            NODE.into(),
            "--force".into(),
            "--output".into(),
            self.image(),
        ]);
        line
    }

    /// A command of `imgbuild` on this cluster.
    pub(super) fn command(&self, name: &str) -> Vec<PathBuf> {
        let options = [
            ("--cluster", self.dir.join("cluster.toml")),
            ("--profiles", self.dir.join("profiles")),
            ("--cache", self.cache.clone()),
        ];
        let program = [
            "env".into(),
            format!("SOURCE_DATE_EPOCH={EPOCH}").into(),
            self.root.join("out/bin/imgbuild"),
            name.into(),
        ];
        let options = options
            .into_iter()
            .flat_map(|(name, value)| [name.into(), value]);
        program.into_iter().chain(options).collect()
    }

    /// A disk with the bytes `imgbuild` starts from, laid out as its result is: what a peer copies. It is as sparse as `cp` makes it.
    pub(super) fn ready_base(&self) -> Result<PathBuf> {
        let (base, ours) = (self.root.join(BASE), self.image());
        let grown = only_file_in(&self.cache.join("root"))?;
        let (from, to) = (Parts::of(&base)?, Parts::of(&ours)?);
        let draft = self.dir.join("draft.img");
        let size = fs::metadata(&ours)?.len();
        File::create(&draft)?
            .set_len(size)
            .with_context(|| format!("making {}", draft.display()))?;
        let copy = |source: &Path, skip: u64, seek: u64, count: u64| {
            Cmd::new("dd")
                .args([
                    format!("if={}", source.display()),
                    format!("of={}", draft.display()),
                ])
                .args([
                    format!("skip={skip}"),
                    format!("seek={seek}"),
                    format!("count={count}"),
                    "bs=64K".into(),
                ])
                .args([
                    "iflag=skip_bytes,count_bytes",
                    "oflag=seek_bytes",
                    "conv=sparse,notrunc",
                ])
                .run()
        };
        let end = to.root.offset + to.root.len;
        copy(&ours, 0, 0, to.boot.offset)?;
        copy(&base, from.boot.offset, to.boot.offset, to.boot.len)?;
        copy(&grown, 0, to.root.offset, to.root.len)?;
        copy(&ours, end, end, size - end)?;
        let ready = self.dir.join("ready.img");
        Cmd::new("cp")
            .arg("--sparse=always")
            .args([&draft, &ready])
            .run()?;
        fs::remove_file(&draft)?;
        Cmd::new("e2fsck")
            .arg("-fn")
            .arg(to.root.for_e2fsprogs(&ready))
            .run()
            .context("checking the ready base")?;
        Ok(ready)
    }
}

impl Contestant for Site {
    fn outputs(&self) -> Vec<PathBuf> {
        vec![self.image()]
    }

    /// Durable when it returns, by itself.
    fn run(&self) -> Result<()> {
        let line = self.build();
        Cmd::new(&line[0]).args(&line[1..]).run()
    }
}

fn only_file_in(dir: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        files.len() == 1,
        "{} holds {} files, not one enlarged root",
        dir.display(),
        files.len()
    );
    files.into_iter().next().context("it was just there")
}
