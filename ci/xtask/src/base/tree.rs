//! Packages to a root tree, as root, in namespaces that `machine` made. The tree is a tmpfs: nothing of it outlives the namespace.
//!
//! dpkg-deb and dpkg are the machine's own and run natively on the tree; only the packages' scripts run inside it, emulated where
//! `lend` has nothing to lend. mmdebstrap with everything emulated took over half an hour for the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::packages::{EXCLUDED_PATHS, INITRAMFS_MODULES, PACKAGES};
use super::{EPOCH, Suite, image, lend, machine, shape, stock};
use crate::cmd::Cmd;
use crate::steps::Steps;

#[derive(Args)]
pub(crate) struct Request {
    #[arg(long, value_enum)]
    suite: Suite,
    /// Where the archive of the tree and the boot files go
    #[arg(long)]
    room: PathBuf,
    /// When the whole build began, in Unix milliseconds
    #[arg(long)]
    started: u64,
}

pub(crate) fn build(request: &Request) -> Result<()> {
    let steps = Steps::since("base", request.started);
    if !Cmd::new("findmnt")
        .args(["--noheadings", "--output", "PROPAGATION", "/"])
        .read()?
        .contains("private")
    {
        bail!("this part is called by `cargo xtask base`, in a mount namespace of its own");
    }
    machine::ensure_arm64_programs_run(steps)?;
    let desk = request.room.join("desk");
    fs::create_dir(&desk).with_context(|| format!("making {}", desk.display()))?;
    Cmd::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3g,mode=0755", "tmpfs"])
        .arg(&desk)
        .run()?;
    let (tree, debs) = (desk.join("tree"), desk.join("debs"));

    steps.say(format_args!(
        "fetching Debian {}'s packages",
        request.suite.codename()
    ));
    fetch(request.suite, &tree, &debs)?;
    prepare(&tree)?;
    steps.say("unpacking them");
    let (lent, rest) = split(&debs)?;
    dpkg(&tree, "--unpack")
        .arg("--no-triggers")
        .args(lent)
        .run()?;
    let loan = lend::lend(&tree)?;
    dpkg(&tree, "--unpack")
        .arg("--no-triggers")
        .args(rest)
        .run()?;
    steps.say("running their scripts");
    // The accounts first: other scripts look users and groups up, and dpkg orders nothing across architectures.
    dpkg(&tree, "--configure")
        .args(["base-passwd:arm64", "base-files:arm64", "passwd:arm64"])
        .run()?;
    dpkg(&tree, "--configure").arg("--pending").run()?;
    stock::install(&tree)?;
    steps.say("making the initramfs");
    initramfs(&tree)?;
    loan.give_back()?;
    steps.say("shaping and packing the tree");
    clean(&tree)?;
    shape::apply(&tree)?;
    pack(&tree, &request.room)
}

/// A tool that makes the same of the same input.
fn tool(program: &str) -> Cmd {
    Cmd::new(program)
        // What the scripts see inside the tree, too.
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBCONF_NONINTERACTIVE_SEEN", "true")
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        // debconf writes its databases in the order of a Perl hash.
        .env("PERL_HASH_SEED", "0")
        // The kernel's scripts would make an initramfs at once, and again at the end.
        .env("INITRD", "No")
}

/// The machine's dpkg on the tree. It takes arm64 for foreign and finds no native package a dependency names, hence the force.
fn dpkg(tree: &Path, action: &str) -> Cmd {
    let excluded = EXCLUDED_PATHS
        .iter()
        .map(|path| format!("--path-exclude={path}"));
    tool("dpkg")
        .arg(format!("--root={}", tree.display()))
        .args([
            "--log=/dev/null",
            "--force-depends",
            "--force-unsafe-io",
            "--force-confdef",
            "--force-confold",
        ])
        .args(excluded)
        .arg(action)
}

/// apt resolves and downloads, dpkg-deb extracts: no script runs yet, but each package's programs are there for the others' scripts.
fn fetch(suite: Suite, tree: &Path, debs: &Path) -> Result<()> {
    fs::create_dir(debs).with_context(|| format!("making {}", debs.display()))?;
    tool("mmdebstrap")
        .args([
            "--mode=root",
            "--architectures=arm64",
            "--variant=extract",
            "--format=directory",
            "--components=main",
        ])
        .args([
            "--aptopt=Acquire::Languages \"none\"",
            "--aptopt=Acquire::Retries \"3\"",
            "--skip=essential/unlink",
        ])
        // The pattern cannot stand in a list; the extract variant does not add the essential packages by itself.
        .arg("--include=?essential")
        .arg(format!("--include={}", PACKAGES.join(",")))
        .args(
            EXCLUDED_PATHS
                .iter()
                .map(|path| format!("--dpkgopt=path-exclude={path}")),
        )
        .arg("--extract-hook=mv \"$1\"/var/cache/apt/archives/*.deb \"$1\"/../debs/")
        .arg(suite.codename())
        .arg(tree)
        // None: mmdebstrap knows Debian's public mirror.
        .args(machine::debian_sources(suite)?)
        .run()
        .context("fetching packages; when a package list is old, `apt-get update` helps")
}

/// What dpkg and the scripts must find before the first of them runs.
fn prepare(tree: &Path) -> Result<()> {
    let native = Cmd::new("dpkg").arg("--print-architecture").read()?;
    put(
        tree,
        "var/lib/dpkg/arch",
        &format!("{}\narm64\n", native.trim()),
        0o644,
    )?;
    for accounts in ["passwd", "group"] {
        let master = tree.join(format!("usr/share/base-passwd/{accounts}.master"));
        fs::copy(&master, tree.join("etc").join(accounts))
            .with_context(|| format!("copying {}", master.display()))?;
    }
    if !tree.join("usr/bin/sh").exists() {
        std::os::unix::fs::symlink("dash", tree.join("usr/bin/sh"))?;
    }
    put(tree, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?;
    put(
        tree,
        "etc/initramfs-tools/modules",
        &(INITRAMFS_MODULES.join("\n") + "\n"),
        0o644,
    )?;
    put(
        tree,
        INITRAMFS_CHOICE,
        "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n",
        0o644,
    )?;
    // Goes with the namespace; the tree's own /dev stays empty, the kernel fills it.
    let dev = tree.join("dev");
    Cmd::new("mount")
        .args(["-t", "proc", "proc"])
        .arg(tree.join("proc"))
        .run()?;
    Cmd::new("mount")
        .args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs"])
        .arg(&dev)
        .run()?;
    for (name, minor) in [
        ("null", "3"),
        ("zero", "5"),
        ("full", "7"),
        ("random", "8"),
        ("urandom", "9"),
    ] {
        Cmd::new("mknod")
            .args(["-m", "666"])
            .arg(dev.join(name))
            .args(["c", "1", minor])
            .run()?;
    }
    std::os::unix::fs::symlink("/proc/self/fd", dev.join("fd"))?;
    fs::create_dir(dev.join("shm")).context("making /dev/shm")
}

const INITRAMFS_CHOICE: &str = "etc/initramfs-tools/conf.d/imgbuild-fixture";

/// The packages whose programs will be lent, and all others.
fn split(debs: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut all = fs::read_dir(debs)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    all.sort();
    Ok(all.into_iter().partition(|deb| {
        let name = deb
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        lend::packages().any(|package| name.split('_').next() == Some(package))
    }))
}

/// Once, of what QEMU needs; for later ones the tree is left as pi-gen leaves it, with MODULES=dep.
fn initramfs(tree: &Path) -> Result<()> {
    tool("chroot")
        .arg(tree)
        .args(["update-initramfs", "-c", "-k", "all"])
        .run()?;
    fs::remove_file(tree.join(INITRAMFS_CHOICE))?;
    shape::edit(tree, "etc/initramfs-tools/initramfs.conf", |conf| {
        conf.replace("MODULES=most", "MODULES=dep")
    })?;
    put(tree, "etc/initramfs-tools/modules", "", 0o644)
}

/// Takes out what only the making needed, and what differs from one making to the next.
fn clean(tree: &Path) -> Result<()> {
    let leavings = "vmlinuz vmlinuz.old usr/sbin/policy-rc.d var/lib/dpkg/arch etc/dpkg/dpkg.cfg.d/99mmdebstrap etc/apt/apt.conf.d/99mmdebstrap \
        etc/apt/sources.list var/lib/dbus/machine-id var/cache/ldconfig/aux-cache etc/.pwd.lock etc/passwd- etc/group- etc/shadow- \
        etc/gshadow- etc/subuid- etc/subgid- var/lib/dpkg/status-old var/lib/dpkg/diversions-old var/lib/dpkg/statoverride-old \
        var/lib/dpkg/lock var/lib/dpkg/lock-frontend var/lib/dpkg/triggers/Lock var/cache/debconf/config.dat-old \
        var/cache/debconf/templates.dat-old";
    for path in leavings.split_whitespace().map(|path| tree.join(path)) {
        if fs::symlink_metadata(&path).is_ok() {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    for folder in [
        "var/lib/apt/lists",
        "var/cache/apt",
        "var/log",
        "tmp",
        "run",
        "etc/apt/sources.list.d",
    ] {
        Cmd::new("find")
            .arg(tree.join(folder))
            .args(["-mindepth", "1", "-not", "-type", "d", "-delete"])
            .run()?;
    }
    // apt makes these again; whose they are depends on how mmdebstrap's apt could run.
    for folder in [
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
    ] {
        fs::remove_dir(tree.join(folder)).with_context(|| format!("removing {folder}"))?;
    }
    let keys = fs::read_dir(tree.join("etc/ssh"))?.collect::<Result<Vec<_>, _>>()?;
    for key in keys
        .iter()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh_host_"))
    {
        fs::remove_file(key.path())?;
    }
    Ok(())
}

/// Hands over what needs no root any more: the tree as an archive, the kernel and the initramfs.
fn pack(tree: &Path, room: &Path) -> Result<()> {
    for (from, to) in [
        ("vmlinuz-", image::KERNEL),
        ("initrd.img-", image::INITRAMFS),
    ] {
        let mut found = fs::read_dir(tree.join("boot"))?.collect::<Result<Vec<_>, _>>()?;
        found.retain(|entry| entry.file_name().to_string_lossy().starts_with(from));
        let [file] = &found[..] else {
            bail!(
                "expected one {from}* in the tree's /boot, found {}",
                found.len()
            )
        };
        fs::copy(file.path(), room.join(to))
            .with_context(|| format!("copying {}", file.path().display()))?;
    }
    tool("tar")
        .arg("-C")
        .arg(tree)
        .args([
            "--one-file-system",
            "--sort=name",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "--format=posix",
        ])
        .args([
            "--pax-option=delete=atime,delete=ctime",
            "--clamp-mtime",
            &format!("--mtime=@{EPOCH}"),
        ])
        .arg("-cf")
        .arg(room.join(image::TREE))
        .arg(".")
        .run()
        .context("packing the tree")
}

/// Writes a text file of the tree.
pub(super) fn put(tree: &Path, path: &str, text: &str, mode: u32) -> Result<()> {
    let target = tree.join(path);
    let failed = || format!("writing /{path} of the tree");
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    // Through an absolute link we would write to the machine.
    if target.is_symlink() {
        fs::remove_file(&target).with_context(failed)?;
    }
    fs::write(&target, text).with_context(failed)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(mode)).with_context(failed)
}
