//! What the kernel says of mounts and swap: `/proc/*/mountinfo` (proc(5), and
//! `show_mountinfo` of the kernel's `fs/proc_namespace.c`) and `/proc/swaps`.
//! Mount points are bytes, and any user can make odd ones; a line that is not
//! understood is an error, for what it would have said is not to be written to.
//!
//! The `procfs` crate is not used: it gives escapes back as they are, and one
//! mount point that is not UTF-8 hides all the others from it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::Number;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The device, or one of major 0 where the file system has none or several.
    pub number: Number,
    /// Where it is, as the process sees it.
    pub point: PathBuf,
    /// What was named to mount(2): a device's path, or any word.
    pub source: PathBuf,
}

/// A line that has not the form it must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's list has a line that is not understood: {0:?}")]
pub struct Malformed(String);

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// Reads a mountinfo.
///
/// # Errors
/// When one line is of another form.
pub fn mountinfo(text: &[u8]) -> Result<Vec<Mount>, Malformed> {
    lines(text)
        .map(|line| mount(line).ok_or_else(|| malformed(line)))
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS`.
/// The source may be empty.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = std::str::from_utf8(fields.nth(2)?).ok()?.parse().ok()?;
    let point = fields.nth(1)?;
    let _options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let source = fields.nth(1)?;
    Some(Mount {
        number,
        point: path(point),
        source: path(source),
    })
}

/// The files and devices that `/proc/swaps` lists.
///
/// # Errors
/// When it has no line of headings, or a line without a type.
pub fn swaps(text: &[u8]) -> Result<Vec<PathBuf>, Malformed> {
    let mut lines = lines(text);
    match lines.next() {
        // Without swap in the kernel there is not even that.
        None => return Ok(Vec::new()),
        Some(head) if head.starts_with(b"Filename") => {}
        Some(line) => return Err(malformed(line)),
    }
    lines
        .map(|line| {
            let mut words = line
                .split(|byte| matches!(byte, b' ' | b'\t'))
                .filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some(name), Some(_)) => Ok(path(name)),
                _ => Err(malformed(line)),
            }
        })
        .collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

fn malformed(line: &[u8]) -> Malformed {
    Malformed(String::from_utf8_lossy(line).into_owned())
}

fn path(escaped: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(escaped)))
}

/// Three octal digits behind a backslash are one byte (`mangle_path` of the
/// kernel's `fs/seq_file.c`).
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        match (first, rest) {
            (
                b'\\',
                [
                    high @ b'0'..=b'3',
                    mid @ b'0'..=b'7',
                    low @ b'0'..=b'7',
                    rest @ ..,
                ],
            ) => {
                out.push((high - b'0') << 6 | (mid - b'0') << 3 | (low - b'0'));
                text = rest;
            }
            _ => out.push(*first),
        }
    }
    out
}

/// What one mount namespace has mounted.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) mounts: Vec<Mount>,
    /// A process that is in it, `4711 (containerd)`; none for our own.
    pub(super) process: Option<String>,
}

/// Every namespace that can be seen, our own first. Processes that may not be
/// looked at are left out, as are namespaces without a process: whoever opens
/// the disk exclusively (open(2), `O_EXCL`) meets those too.
pub(super) fn namespaces(proc: &Path) -> io::Result<Vec<Namespace>> {
    let own = proc.join("self");
    let text = fs::read(own.join("mountinfo"))?;
    let mut namespaces = vec![Namespace {
        mounts: mountinfo(&text)?,
        process: None,
    }];
    let mut seen = vec![identity(&own)];
    // Of other users' processes only this tells that they see the same.
    let mut texts = BTreeSet::from([text]);
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let dir = entry.path();
        let identity = identity(&dir);
        if identity.is_some() && seen.contains(&identity) {
            continue;
        }
        // It may have ended, or be another user's.
        let Ok(text) = fs::read(dir.join("mountinfo")) else {
            continue;
        };
        seen.push(identity);
        let mounts = mountinfo(&text)?;
        if !texts.insert(text) {
            continue;
        }
        let command = fs::read(dir.join("comm")).unwrap_or_default();
        let command = super::words(&String::from_utf8_lossy(&command)).unwrap_or_default();
        namespaces.push(Namespace {
            mounts,
            process: Some(format!("{} ({command})", name.display())),
        });
    }
    Ok(namespaces)
}

/// Processes of one namespace with one root see the same; in a chroot(2) they
/// see only what is below it.
fn identity(process: &Path) -> Option<(PathBuf, PathBuf)> {
    let namespace = fs::read_link(process.join("ns/mnt")).ok()?;
    let root = fs::read_link(process.join("root")).ok()?;
    Some((namespace, root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_all_their_oddities() {
        let text = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
40 22 0:44 /@home /home rw master:1 propagate_from:2 - btrfs /dev/sda3 rw,subvol=/@home\n\
41 22 8:17 / /mnt/a\\040b\\134c\\012\\043 rw - vfat /dev/sdb1 rw\n\
42 22 0:50 / /x rw - tmpfs  rw\n\
43 22 8:33 / /mnt/\xff rw - fuseblk /dev/sdc1 rw\n";
        let mounts = mountinfo(text).expect("mountinfo");
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| {
                let point = mount.point.as_os_str().as_bytes();
                (mount.number.to_string(), point, mount.source.to_str())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("254:0".into(), &b"/"[..], Some("/dev/vda")),
                ("0:44".into(), b"/home", Some("/dev/sda3")),
                ("8:17".into(), b"/mnt/a b\\c\n#", Some("/dev/sdb1")),
                ("0:50".into(), b"/x", Some("")),
                ("8:33".into(), b"/mnt/\xff", Some("/dev/sdc1")),
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_no_line_less() {
        for line in [
            "22",
            "22 1 254 / / rw - ext4 a rw",
            "22 1 254:0 / / rw ext4",
        ] {
            mountinfo(line.as_bytes()).expect_err(line);
        }
        swaps(b"/dev/sda2 partition 1 0 -2\n").expect_err("no headings");
        swaps(b"Filename Type\n/dev/sda2\n").expect_err("no type");
    }

    #[test]
    fn swaps_are_files_and_devices() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
/dev/zram0                              partition\t1024\t0\t-2\n\
/swap\\040file\\040(deleted)             file\t1024\t0\t-3\n";
        let paths = swaps(text).expect("swaps");
        let wanted = ["/dev/zram0", "/swap file (deleted)"].map(PathBuf::from);
        assert_eq!(paths, wanted);
        assert_eq!(swaps(b""), Ok(vec![]));
    }

    #[test]
    fn backslashes_that_escape_nothing_stay() {
        assert_eq!(unescape(b"\\\\04\\0\\477\\101"), b"\\\\04\\0\\477A");
    }
}
