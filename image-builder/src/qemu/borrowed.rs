//! A kernel that runs in QEMU, out of Debian's package, for an image whose own does
//! not: with an initial RAM disk made here, which finds the disk, puts the kernel's
//! modules over the image's, and goes on into its system. Nothing of the image changes.
//!
//! Formats: deb(5); the RAM disk is a cpio archive of the kind `newc` (Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use cpio::newc;

use super::modules::Modules;

/// The first process.
const INIT: &str = include_str!("init.sh");

/// Needed before the root is there: its disk, however it is attached, and its file
/// system with the checksums that needs.
const DRIVERS: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "nvme",
    "xhci_pci",
    "usb_storage",
    "uas",
    "sd_mod",
    "crc32c_generic",
    "ext4",
];

/// Parts of the kernel's tree that a node of `virt` may use.
const KEPT: &[&str] = &[
    "arch/",
    "crypto/",
    "drivers/block/",
    "drivers/char/hw_random/",
    "drivers/md/",
    "drivers/net/",
    "drivers/nvme/",
    "drivers/scsi/",
    "drivers/usb/",
    "drivers/virtio/",
    "fs/",
    "lib/",
    "net/",
];

/// And of these what is for hardware that it has not.
const LEFT_OUT: &[&str] = &[
    "drivers/net/can/",
    "drivers/net/dsa/",
    "drivers/net/ethernet/",
    "drivers/net/usb/",
    "drivers/net/wireless/",
    "drivers/usb/gadget/",
    "drivers/usb/serial/",
    "net/bluetooth/",
    "net/can/",
    "net/mac80211/",
    "net/wireless/",
];

/// Kernel and RAM disk.
pub(super) struct Borrowed {
    pub(super) image: Vec<u8>,
    pub(super) initrd: Vec<u8>,
}

/// Makes both of two packages.
///
/// # Errors
/// When either is no such package.
pub(super) fn make(kernel: &Path, busybox: &Path) -> anyhow::Result<Borrowed> {
    let mut found = Found::default();
    each_file(kernel, &mut |path, file| found.take(path, file))?;
    let what = || format!("{} has no kernel in it", kernel.display());
    let image = found.image.with_context(what)?;
    let release = found.release.with_context(what)?;
    let mut shell = None;
    each_file(busybox, &mut |path, file| {
        if matches!(path, "usr/bin/busybox" | "bin/busybox") {
            shell = Some(read(file)?);
        }
        Ok(())
    })?;
    let shell = shell.with_context(|| format!("{} has no busybox in it", busybox.display()))?;

    let mut archive = Archive::default();
    for dir in ["dev", "modules", "proc", "root", "sys"] {
        archive.dir(dir)?;
    }
    archive.file("init", 0o755, INIT.replace("MODULES", &release).as_bytes())?;
    archive.file("bin/busybox", 0o755, &shell)?;
    let drivers = found
        .modules
        .in_order(DRIVERS)
        .context("unpacking a module")?;
    for (place, (name, bytes)) in drivers.iter().enumerate() {
        archive.file(&format!("drivers/{place:03}-{name}.ko"), 0o644, bytes)?;
    }
    for (path, bytes) in &found.tree {
        archive.file(&format!("tree/{release}/{path}"), 0o644, bytes)?;
    }
    Ok(Borrowed {
        image,
        initrd: archive.finish()?,
    })
}

/// What is of use in a kernel's package.
#[derive(Default)]
struct Found {
    image: Option<Vec<u8>>,
    release: Option<String>,
    modules: Modules,
    tree: Vec<(String, Vec<u8>)>,
}

impl Found {
    fn take(&mut self, path: &str, file: &mut dyn Read) -> io::Result<()> {
        if path.starts_with("boot/vmlinuz-") {
            self.image = Some(read(file)?);
            return Ok(());
        }
        // Debian 12 has them in /lib, which is a link to /usr/lib.
        let path = path.strip_prefix("usr/").unwrap_or(path);
        let below = path.strip_prefix("lib/modules/");
        let Some((release, path)) = below.and_then(|path| path.split_once('/')) else {
            return Ok(());
        };
        let is_kept = match path.strip_prefix("kernel/") {
            None => true,
            Some(path) => {
                let is_in = |parts: &[&str]| parts.iter().any(|part| path.starts_with(part));
                is_in(KEPT) && !is_in(LEFT_OUT)
            }
        };
        if is_kept {
            self.release = Some(release.to_owned());
            let bytes = read(file)?;
            self.modules.add(path, &bytes);
            self.tree.push((path.to_owned(), bytes));
        }
        Ok(())
    }
}

fn read(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Calls back with every plain file of a package, its path without the slash in front.
fn each_file(
    deb: &Path,
    found: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> anyhow::Result<()> {
    let reading = || format!("reading the package {}", deb.display());
    let mut members = ar::Archive::new(File::open(deb).with_context(reading)?);
    while let Some(member) = members.next_entry() {
        let member = member.with_context(reading)?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(packing) = name.strip_prefix("data.tar") else {
            continue;
        };
        let data: Box<dyn Read + '_> = match packing {
            ".xz" => Box::new(liblzma::read::XzDecoder::new(member)),
            ".zst" => Box::new(zstd::Decoder::new(member).with_context(reading)?),
            ".gz" => Box::new(flate2::read::GzDecoder::new(member)),
            _ => bail!(
                "{}: {name} is packed in a way this does not know",
                reading()
            ),
        };
        return each_entry(data, found).with_context(reading);
    }
    bail!("{}: it has no files", reading())
}

fn each_entry(
    data: Box<dyn Read + '_>,
    found: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut entries = tar::Archive::new(data);
    for entry in entries.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let path = entry.path()?.to_string_lossy().into_owned();
            found(path.trim_start_matches("./"), &mut entry)?;
        }
    }
    Ok(())
}

/// The RAM disk in the making.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    dirs: BTreeSet<String>,
    /// Files of the same number would be one file.
    last: u32,
}

impl Archive {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.dir(above)?;
        }
        match self.dirs.insert(path.to_owned()) {
            true => self.entry(path, 0o040_755, &[]),
            false => Ok(()),
        }
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.dir(above)?;
        }
        self.entry(path, 0o100_000 | mode, content)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.last += 1;
        let len = u32::try_from(content.len()).map_err(io::Error::other)?;
        let entry = newc::Builder::new(path).ino(self.last).mode(mode);
        let mut writer = entry.write(&mut self.bytes, len);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        newc::trailer(self.bytes)
    }
}

#[cfg(test)]
mod tests;
