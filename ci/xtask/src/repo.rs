//! A small signed repository of real Debian arm64 packages, and beside it the full index of the release it is taken from.
//!
//! `out/repo` holds `key.asc` (who signed), `dists/` and `pool/` (what open-iscsi, nfs-common, cryptsetup and a kernel need, down to the
//! C library), and `full/dists/` (every package by name, no file of it). All of it comes from the machine's own apt sources by its own
//! apt, in a root of its own; the key is made for the occasion and thrown away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::base::{Suite, machine};
use crate::cache::{self, Entry};
use crate::cmd::Cmd;
use crate::steps::Steps;

/// What the repository is for: packages that nodes get, and what a kernel for QEMU is borrowed from.
const PACKAGES: &[&str] = &[
    "open-iscsi",
    "nfs-common",
    "cryptsetup",
    "linux-image-arm64",
    "busybox-static",
];
/// What changes the repository: this file.
const RECIPE: &str = include_str!("repo.rs");
/// Name in the cache entry.
const NAME: &str = "repo";
const ARCHITECTURE: &str = "arm64";
const SIGNER: &str = "imgbuild's tests <tests@imgbuild.invalid>";

#[derive(Args)]
pub(crate) struct Request {
    /// Debian release to take the packages from
    #[arg(long, value_enum, default_value_t = Suite::Trixie)]
    suite: Suite,
    /// Where to put the link to the finished repository [default: out/repo]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// The recipe: lists, full index, packages, their index, signatures; into the cache, link to it.
pub(crate) fn make(request: &Request) -> Result<()> {
    let steps = Steps::start("repo");
    let out = request.out.clone().unwrap_or_else(|| cache::out("repo"));
    let entry = Entry::of("repo", [request.suite.codename(), RECIPE], NAME)?;
    if !entry.is_ready() {
        let room = entry.begin(steps)?;
        let repo = room.dir().join(NAME);
        let apt = Apt::set_up(request.suite, room.dir())?;
        steps.say("reading package lists");
        apt.get().arg("update").run()?;
        let (small, full) = (
            Dist::at(&repo, request.suite),
            Dist::at(&repo.join("full"), request.suite),
        );
        full.put_index(&apt.whole_index()?)?;
        steps.say("fetching packages");
        apt.download(&repo.join("pool"))?;
        let index = Cmd::new("apt-ftparchive")
            .args(["packages", "pool"])
            .in_folder(&repo)
            .read()?;
        small.put_index(&index)?;
        steps.say("signing");
        let signer = Signer::new(room.dir())?;
        signer.sign(&small)?;
        signer.sign(&full)?;
        signer.put_key(&repo.join("key.asc"))?;
        drop(signer);
        room.finish()?;
    }
    entry.link_at(&out)?;
    steps.say(format_args!("{} is ready", out.display()));
    Ok(())
}

/// The machine's apt on a root where nothing is installed.
struct Apt {
    config: PathBuf,
}

impl Apt {
    fn set_up(suite: Suite, room: &Path) -> Result<Apt> {
        let sources = machine::debian_sources(suite)?;
        if sources.is_empty() {
            bail!(
                "this machine's apt has no source of Debian packages; add one, with its key, to /etc/apt"
            );
        }
        let root = room.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(folder)).context("making the folders of a private apt")?;
        }
        fs::write(root.join("status"), "")?;
        fs::write(root.join("sources.list"), sources.join("\n") + "\n")?;
        let root_of = root.display();
        let config = root.join("apt.conf");
        let text = format!(
            "APT::Architecture \"{ARCHITECTURE}\";\n\
             APT::Architectures {{ \"{ARCHITECTURE}\"; }};\n\
             APT::Sandbox::User \"\";\n\
             APT::Install-Recommends \"false\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Dir::State \"{root_of}\";\n\
             Dir::State::status \"{root_of}/status\";\n\
             Dir::Cache \"{root_of}/cache\";\n\
             Dir::Etc::sourcelist \"{root_of}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n"
        );
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        Ok(Apt { config })
    }

    fn get(&self) -> Cmd {
        Cmd::new("apt-get")
            .env("APT_CONFIG", &self.config)
            .arg("-qq")
    }

    /// The indices of the release, its updates and its security fixes, in one.
    fn whole_index(&self) -> Result<String> {
        let files = self
            .get()
            .args([
                "indextargets",
                "--format",
                "$(FILENAME)",
                "Created-By: Packages",
            ])
            .read()?;
        let mut whole = String::new();
        for file in files.lines() {
            // apt keeps them packed in a way of its own choice.
            whole += &Cmd::new("/usr/lib/apt/apt-helper")
                .args(["cat-file", file])
                .read()?;
            whole += "\n";
        }
        Ok(whole)
    }

    fn download(&self, pool: &Path) -> Result<()> {
        fs::create_dir_all(pool).with_context(|| format!("making {}", pool.display()))?;
        let plan = self
            .get()
            .args(["--simulate", "install"])
            .args(PACKAGES)
            .read()?;
        let packages = planned(&plan);
        if packages.is_empty() {
            bail!("apt planned nothing for {}:\n{plan}", PACKAGES.join(" "));
        }
        self.get()
            .arg("download")
            .args(packages)
            .in_folder(pool)
            .run()
    }
}

/// `name=version` of each `Inst name (version ...` that apt would install.
fn planned(plan: &str) -> Vec<String> {
    let lines = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(" (")?;
            Some(format!("{name}={}", rest.split_once(' ')?.0))
        })
        .collect()
}

/// One suite of a repository.
struct Dist {
    folder: PathBuf,
    suite: Suite,
}

impl Dist {
    fn at(repo: &Path, suite: Suite) -> Dist {
        Dist {
            folder: repo.join("dists").join(suite.codename()),
            suite,
        }
    }

    fn put_index(&self, index: &str) -> Result<()> {
        let folder = self.folder.join(format!("main/binary-{ARCHITECTURE}"));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let packages = folder.join("Packages");
        fs::write(&packages, index).with_context(|| format!("writing {}", packages.display()))?;
        Cmd::new("xz").args(["-1", "--keep"]).arg(&packages).run()
    }
}

/// A key with a home of its own, gone with the process that holds it.
struct Signer {
    home: PathBuf,
}

impl Signer {
    fn new(room: &Path) -> Result<Signer> {
        let signer = Signer {
            home: room.join("gnupg"),
        };
        Cmd::new("install")
            .args(["-d", "-m", "700"])
            .arg(&signer.home)
            .run()?;
        signer
            .gpg()
            .args([
                "--passphrase",
                "",
                "--quick-generate-key",
                SIGNER,
                "rsa3072",
                "sign",
                "never",
            ])
            .run()
            .context("making the key of the test's repository")?;
        Ok(signer)
    }

    fn gpg(&self) -> Cmd {
        Cmd::new("gpg")
            .env("GNUPGHOME", &self.home)
            .args(["--batch", "--quiet"])
    }

    fn sign(&self, dist: &Dist) -> Result<()> {
        let Dist { folder, suite } = dist;
        let set = |name: &str, value: &str| format!("APT::FTPArchive::Release::{name}={value}");
        let release = Cmd::new("apt-ftparchive")
            .args(["-o", &set("Codename", suite.codename())])
            .args(["-o", &set("Architectures", ARCHITECTURE)])
            .args(["-o", &set("Components", "main")])
            .args(["release", "."])
            .in_folder(folder)
            .read()?;
        let plain = folder.join("Release");
        fs::write(&plain, release).with_context(|| format!("writing {}", plain.display()))?;
        self.gpg()
            .args(["--clearsign", "--output"])
            .arg(folder.join("InRelease"))
            .arg(&plain)
            .run()
            .context("signing the test's repository")
    }

    fn put_key(&self, path: &Path) -> Result<()> {
        self.gpg()
            .args(["--armor", "--export", "--output"])
            .arg(path)
            .run()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // gpg started an agent for this home; it would wait there for ever.
        let ended = Cmd::new("gpgconf")
            .env("GNUPGHOME", &self.home)
            .args(["--kill", "all"])
            .run();
        if let Err(error) = ended {
            eprintln!("repo: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::planned;

    #[test]
    fn apts_plan_names_packages_and_versions() {
        let plan = "Inst a (1:2-3 Debian:13/stable [arm64])\n\
                    Inst b (2 Debian:13/stable [all]) []\n\
                    Conf a (1:2-3 Debian:13/stable [arm64])\n";
        assert_eq!(planned(plan), ["a=1:2-3", "b=2"]);
    }
}
