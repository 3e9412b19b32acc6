//! Real packages: apt is the judge of what a base needs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use imgbuild::debian::{self, Repository, Resolution};
use imgbuild::io::Region;
use imgbuild::overlay::{BaseView, Kind, Part};
use imgbuild::source::find_partitions;
use imgbuild::view::ImageView;
use sha2::{Digest as _, Sha256};

use crate::lab::{skip, stderr};

/// What stands for the folder of the repository.
const ADDRESS: &str = "http://repo.test";

/// A base, and a repository to take packages from.
struct Store {
    view: ImageView,
    /// `out/repo`, or the full index beside it.
    repo: PathBuf,
    scratch: tempfile::TempDir,
}

impl Store {
    /// A store, or `None` where there is nothing to work on and that is allowed.
    fn open(folder: &str) -> Option<Self> {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out");
        let base = out.join("base/debian-trixie-arm64.img");
        let repo = out.join("repo");
        for (path, target) in [(&base, "cargo xtask base"), (&repo, "cargo xtask repo")] {
            if !path.exists() {
                skip(&format!("there is no {}; run `{target}`", path.display()));
                return None;
            }
        }
        let image = File::open(base).expect("base");
        let image = Region::whole(Arc::new(image)).expect("base");
        let found = find_partitions(&image).expect("partitions");
        Some(Self {
            view: ImageView::open(found.boot, found.root).expect("view"),
            repo: fs::canonicalize(repo).expect("repo").join(folder),
            scratch: tempfile::tempdir().expect("scratch"),
        })
    }

    fn key(&self) -> String {
        let folders = self.repo.ancestors();
        let mut keys = folders.map(|folder| folder.join("key.asc"));
        let key = keys.find(|key| key.exists()).expect("key.asc");
        fs::read_to_string(key).expect("key.asc")
    }

    fn resolve(&self, wanted: &[&str]) -> anyhow::Result<Resolution> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        // Signed a moment ago, maybe by a clock a little ahead.
        let now = SystemTime::now() + Duration::from_secs(60);
        debian::resolve(self, &wanted, self, now.into())
    }

    /// What apt would install, as name and version, or remove.
    fn ask_apt(&self, wanted: &[&str]) -> (BTreeSet<String>, BTreeSet<String>) {
        let plan = self.apt().arg("install").args(wanted).output();
        let plan = plan.expect("apt-get");
        assert!(plan.status.success(), "{wanted:?}: {}", stderr(&plan));
        let plan = String::from_utf8(plan.stdout).expect("UTF-8");
        let lines = |verb: &str| {
            let lines = plan.lines().filter_map(|line| line.strip_prefix(verb));
            lines
                .map(|line| {
                    // `name [old version] (new version source)`
                    let name = line.split(' ').next().expect("name");
                    let new = line.split_once('(').map_or("", |(_, new)| new);
                    format!("{name} {}", new.split(' ').next().expect("version"))
                })
                .collect()
        };
        (lines("Inst "), lines("Remv "))
    }

    /// apt on the base's status and the repository, that only says what it
    /// would do.
    fn apt(&self) -> Command {
        let root = self.scratch.path();
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", root.join("apt.conf"))
            .env("LC_ALL", "C");
        apt.args(["--simulate", "--no-install-recommends"]);
        if root.join("apt.conf").exists() {
            return apt;
        }
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        let status = self.view.read(Part::Root, "/var/lib/dpkg/status");
        fs::write(root.join("status"), status.expect("read").expect("status")).expect("status");
        let key = root.join("key.asc");
        fs::write(&key, self.key()).expect("key.asc");
        let (key, repo) = (key.display(), self.repo.display());
        let list = format!("deb [signed-by={key}] file:{repo} trixie main\n");
        fs::write(root.join("sources.list"), list).expect("sources.list");
        let root = root.display();
        let config = format!(
            "APT::Architecture \"arm64\";\nAPT::Architectures {{ \"arm64\"; }};\n\
             APT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n\
             Dir::State \"{root}\";\nDir::State::status \"{root}/status\";\n\
             Dir::Cache \"{root}/cache\";\nDir::Etc::sourcelist \"{root}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n"
        );
        fs::write(self.scratch.path().join("apt.conf"), config).expect("apt.conf");
        let mut update = Command::new("apt-get");
        update.env("APT_CONFIG", self.scratch.path().join("apt.conf"));
        let update = update.args(["-qq", "update"]).output().expect("apt-get");
        assert!(update.status.success(), "{}", stderr(&update));
        apt
    }

    fn file(&self, url: &str) -> anyhow::Result<PathBuf> {
        let path = url.strip_prefix(ADDRESS).context("another address")?;
        // Where a version has an epoch, `apt-get download` writes it with a `%`.
        Ok(self
            .repo
            .join(path.trim_start_matches('/').replace("%25", "%")))
    }
}

/// The base with the repository for its only source.
impl BaseView for Store {
    fn read(&self, part: Part, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        if path != "/etc/apt/sources.list.d/debian.sources" {
            return self.view.read(part, path);
        }
        let mut text = format!(
            "Types: deb\nURIs: {ADDRESS}\nSuites: trixie\nComponents: main contrib\nSigned-By:\n"
        );
        for line in self.key().lines() {
            text += &format!(" {}\n", if line.is_empty() { "." } else { line });
        }
        Ok(Some(text.into_bytes()))
    }

    fn kind(&self, part: Part, path: &str) -> anyhow::Result<Option<Kind>> {
        self.view.kind(part, path)
    }

    fn list(&self, part: Part, path: &str) -> anyhow::Result<Vec<String>> {
        self.view.list(part, path)
    }
}

impl Repository for Store {
    fn get(&self, url: &str, limit: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = fs::read(self.file(url)?).with_context(|| format!("reading {url}"))?;
        if bytes.len() as u64 > limit {
            bail!("{url} has {} bytes", bytes.len());
        }
        Ok(bytes)
    }

    fn verified(&self, inrelease: &[u8], keyrings: &[Vec<u8>]) -> anyhow::Result<String> {
        let path = |name: &str| self.scratch.path().join(name);
        fs::write(path("InRelease"), inrelease)?;
        fs::write(path("armored"), keyrings.concat())?;
        let run = |command: &mut Command| -> anyhow::Result<Vec<u8>> {
            let output = command
                .output()
                .with_context(|| format!("running {command:?}"))?;
            if !output.status.success() {
                bail!("{}", stderr(&output));
            }
            Ok(output.stdout)
        };
        let mut dearmor = Command::new("gpg");
        dearmor
            .env("GNUPGHOME", self.scratch.path())
            .arg("--dearmor");
        let keyring = run(dearmor.stdin(File::open(path("armored"))?))?;
        fs::write(path("keyring"), keyring)?;
        let mut gpgv = Command::new("gpgv");
        gpgv.args(["--output", "-", "--keyring"])
            .arg(path("keyring"));
        Ok(String::from_utf8(run(gpgv.arg(path("InRelease")))?)?)
    }
}

/// Names and versions.
fn names(found: &Resolution) -> BTreeSet<String> {
    let packages = found.packages.iter();
    packages
        .map(|deb| format!("{} {}", deb.name, deb.version))
        .collect()
}

#[test]
fn apt_chooses_the_same_packages() {
    let Some(store) = Store::open("full") else {
        return;
    };
    let mut differences = String::new();
    for wanted in [
        &["open-iscsi"][..],
        &["nfs-common"],
        &["cryptsetup"],
        &["open-iscsi", "nfs-common", "cryptsetup"],
        &["wireguard-tools"],
        &["lvm2", "mdadm", "smartmontools"],
        &["multipath-tools"],
        &["python3-minimal"],
        &["python3-numpy"],
        &["curl", "jq", "git", "vim"],
        &["build-essential"],
        &["containerd"],
        &["postfix", "nginx"],
        &["postgresql"],
        &["default-jdk-headless"],
        &["avahi-daemon", "wpasupplicant"],
    ] {
        let (expected, removed) = store.ask_apt(wanted);
        assert!(removed.is_empty(), "{wanted:?} removes {removed:?}");
        let found = store.resolve(wanted);
        let found = found.unwrap_or_else(|error| panic!("{wanted:?}: {error:#}"));
        let packages = names(&found);
        if packages != expected {
            let (ours, apts) = (&packages - &expected, &expected - &packages);
            differences += &format!("\n{wanted:?}: we alone {ours:?}, apt alone {apts:?}");
        }
        assert_eq!(packages.len(), found.packages.len());
        let note = found.notes.first().expect("of the missing component");
        assert!(
            note.contains("lists no contrib/binary-arm64/Packages"),
            "{note}"
        );
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn where_apt_takes_more_than_is_needed_we_do_not() {
    let Some(store) = Store::open("full") else {
        return;
    };
    // Both netavark, which podman needs by name, and the plugins provide a
    // network stack. apt looks for one before it comes to netavark.
    let wanted = ["containerd", "podman"];
    let (expected, _) = store.ask_apt(&wanted);
    let found = names(&store.resolve(&wanted).expect("packages"));
    assert!(found.is_subset(&expected), "{:?}", &found - &expected);
    let more: Vec<String> = (&expected - &found).into_iter().collect();
    assert_eq!(more.len(), 1, "{more:?}");
    assert!(
        more[0].starts_with("containernetworking-plugins "),
        "{more:?}"
    );
}

#[test]
fn where_apt_would_remove_something_we_say_what() {
    let Some(store) = Store::open("full") else {
        return;
    };
    let (_, removed) = store.ask_apt(&["chrony"]);
    assert_eq!(removed.len(), 1);
    let removed = removed.first().expect("one").trim_end();
    assert_eq!(removed, "systemd-timesyncd");
    let error = store.resolve(&["chrony"]).expect_err("removal").to_string();
    assert!(
        error.contains("chrony") && error.contains(removed),
        "{error}"
    );
}

#[test]
fn what_is_locked_is_what_lies_in_the_repository() {
    let Some(store) = Store::open("") else {
        return;
    };
    let wanted = ["open-iscsi", "nfs-common", "cryptsetup"];
    let found = store.resolve(&wanted).expect("packages");
    assert_eq!(
        found.packages.iter().filter(|deb| deb.wanted).count(),
        wanted.len()
    );
    for deb in &found.packages {
        let bytes = fs::read(store.file(&deb.url).expect("path")).expect("the file");
        let digest = Sha256::digest(&bytes);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (deb.size, &deb.sha256),
            (bytes.len() as u64, &sha256),
            "{}",
            deb.name
        );
    }
}
