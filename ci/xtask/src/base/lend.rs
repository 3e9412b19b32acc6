//! Native programs for the packages' scripts.
//!
//! Maintainer scripts are shell and Perl that start thousands of small programs, and starting a program is what emulation is slowest at.
//! So while scripts run, the tree's shells, Perl and everyday tools are covered by the machine's own: on two cores the scripts take 25 s
//! instead of 190 s, the initramfs 4 s instead of 56 s. Only programs that treat files as bytes and text are lent. Whatever belongs to
//! the tree's release stays emulated: dpkg's and systemd's tools, ldconfig, useradd. So does what would leave a trace of the machine's
//! version: depmod, cpio and zstd write other bytes, and update-alternatives gives awk's links the date of mawk.
//! Checked: a tree made with nothing lent, and one made on Debian 13 instead of 12, hold the same files.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::machine;
use crate::cmd::Cmd;

/// Packages and those of their programs that are lent. dpkg cannot replace a program that is covered, so these are unpacked first.
const LENT: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("coreutils", COREUTILS),
    ("dash", "dash"),
    ("debianutils", "run-parts"),
    ("diffutils", "cmp diff"),
    ("findutils", "find xargs"),
    ("grep", "grep"),
    ("gzip", "gzip"),
    ("openssh-client", "ssh-keygen"),
    ("openssl", "openssl"),
    ("perl-base", "perl"),
    ("sed", "sed"),
    ("tar", "tar"),
];

const COREUTILS: &str = "[ basename cat chgrp chmod chown comm cp cut date dd df dirname du echo env expand expr false head id install \
    join ln ls md5sum mkdir mknod mktemp mv nl nproc od paste printf pwd readlink realpath rm rmdir seq sha256sum sleep sort stat stty \
    sync tail tee test touch tr true truncate tsort uname uniq wc";

pub(super) fn packages() -> impl Iterator<Item = &'static str> {
    LENT.iter().map(|(package, _)| *package)
}

/// Covers in a tree that are to be taken off again. If that is never done, they end with the mount namespace.
pub(super) struct Lent {
    covers: Vec<PathBuf>,
    added: Vec<PathBuf>,
}

/// Covers the tree's programs by the machine's.
pub(super) fn lend(tree: &Path) -> Result<Lent> {
    let mut lent = Lent {
        covers: Vec::new(),
        added: Vec::new(),
    };
    if machine::runs_arm64_itself()? {
        return Ok(lent);
    }
    let mut ours = Vec::new();
    for name in LENT.iter().flat_map(|(_, programs)| programs.split(' ')) {
        for dir in ["usr/bin", "usr/sbin"] {
            let covered = tree.join(dir).join(name);
            if is_program(&covered)
                && let Some(own) = own_program(name)
            {
                lent.cover(&covered, &own)?;
                ours.push(own);
            }
        }
    }
    // The machine's programs look for their libraries and Perl's modules where the machine has them. Those folders are named after the
    // processor (`x86_64-linux-gnu`) or Perl's version, so the tree has none of that name; a folder it has stays as it is.
    for library in libraries(&ours)? {
        lent.add_library(tree, &library)?;
    }
    for dir in Cmd::new("/usr/bin/perl")
        .args(["-e", "print map {\"$_\\n\"} @INC"])
        .read()?
        .lines()
        .map(Path::new)
    {
        if dir.is_dir() && !under(tree, dir).exists() {
            lent.add_folder(&under(tree, dir))?;
            lent.cover(&under(tree, dir), dir)?;
        }
    }
    Ok(lent)
}

impl Lent {
    pub(super) fn give_back(self) -> Result<()> {
        for cover in self.covers.iter().rev() {
            Cmd::new("umount").arg(cover).run()?;
        }
        for added in self.added.iter().rev() {
            let removed = if added.is_symlink() {
                fs::remove_file(added)
            } else {
                fs::remove_dir_all(added)
            };
            removed.with_context(|| format!("removing {}", added.display()))?;
        }
        Ok(())
    }

    fn cover(&mut self, what: &Path, with: &Path) -> Result<()> {
        // Read-only: a script that changes a program's mode would change the machine's.
        Cmd::new("mount")
            .args(["-o", "bind,ro"])
            .arg(with)
            .arg(what)
            .run()?;
        self.covers.push(what.to_owned());
        Ok(())
    }

    fn add_library(&mut self, tree: &Path, library: &Path) -> Result<()> {
        let mut target = under(tree, library);
        // /lib64 must be a link to /usr/lib64: base-files and systemd refuse to be unpacked where it is a folder.
        if let Ok(unmerged) = library.strip_prefix("/")
            && !unmerged.starts_with("usr")
            && let Some(top) = unmerged.iter().next()
        {
            if !tree.join(top).is_symlink() {
                symlink(Path::new("usr").join(top), tree.join(top))
                    .with_context(|| format!("making {} a link", top.display()))?;
                self.added.push(tree.join(top));
            }
            target = tree.join("usr").join(unmerged);
        }
        if let Some(parent) = target.parent()
            && !parent.exists()
        {
            self.add_folder(parent)?;
        }
        ensure!(
            self.added.iter().any(|added| target.starts_with(added)),
            "the tree has a {} of its own",
            library.display()
        );
        fs::copy(library, &target)
            .with_context(|| format!("copying {} into the tree", library.display()))?;
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let top = folder
            .ancestors()
            .take_while(|a| !a.exists())
            .last()
            .unwrap_or(folder);
        self.added.push(top.to_owned());
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
    }
}

fn own_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| is_program(p))
        .and_then(|p| p.canonicalize().ok())
}

/// A file with machine code: no script, no link.
fn is_program(path: &Path) -> bool {
    let mut magic = [0; 4];
    fs::metadata(path).is_ok_and(|m| m.is_file())
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok())
        && &magic == b"\x7fELF"
}

fn under(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// The shared libraries, the loader among them, that these programs need.
fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let listing = Cmd::new("ldd").args(programs).read()?;
    let mut found: Vec<PathBuf> = listing
        .lines()
        .filter_map(library_of)
        .map(PathBuf::from)
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// From `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)` or `/lib64/ld-linux-x86-64.so.2 (0x...)`.
fn library_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix('\t')?;
    let path = line.split_once("=> ").map_or(line, |(_, path)| path);
    path.starts_with('/')
        .then(|| path.split(' ').next())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::library_of;

    #[test]
    fn ldd_lines() {
        let cases = [
            ("/usr/bin/dash:", None),
            ("\tlinux-vdso.so.1 (0x00007ffe)", None),
            (
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)",
                Some("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
            (
                "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)",
                Some("/lib64/ld-linux-x86-64.so.2"),
            ),
        ];
        for (line, library) in cases {
            assert_eq!(library_of(line), library, "{line}");
        }
    }
}
