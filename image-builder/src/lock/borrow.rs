//! A kernel for QEMU's machine, for images whose own is built for the Pi: Debian's,
//! from the archive that the image's sources name and its keyrings vouch for. Found
//! once for what an image has installed, and kept in the cache.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use debversion::Version;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::archive::Archive;
use super::{Deb, Lock, PackageSet};
use crate::debian;
use crate::fetch::Client;
use crate::overlay::{BaseView as _, Part, hex};
use crate::progress::Progress;
use crate::source::Cache;
use crate::view::ImageView;

/// The shell and the commands of the initial RAM disk, in one program.
const BUSYBOX: &str = "busybox-static";

/// The record's name in the cache.
const RECORD: &str = "borrowed.lock";

/// Two package files in the cache, by their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Borrowed {
    /// The kernel's package, as its file is named.
    pub name: String,
    /// The kernel and its modules.
    pub kernel: PathBuf,
    /// busybox, linked with all it needs.
    pub busybox: PathBuf,
}

/// Where files are taken from, and when.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The network.
    pub client: &'a Client,
    /// Where they are kept.
    pub cache: &'a Cache,
    /// The time at which the archive's signature must hold.
    pub at: OffsetDateTime,
}

/// Brings both; downloads nothing that is here.
///
/// # Errors
/// When the image names no archive that has them, or they cannot be downloaded.
pub fn borrow(
    image: &ImageView,
    source: Source<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Borrowed> {
    let record = source.cache.dir().join(RECORD);
    let mut lock = Lock::load(&record)?.unwrap_or_default();
    let status = image.read(Part::Root, debian::STATUS)?;
    let status = status.with_context(|| format!("the image has no {}", debian::STATUS))?;
    let (base, wanted) = (hex(&Sha256::digest(&status)), vec![BUSYBOX.to_owned()]);
    if lock.packages(&base, &wanted).is_none() {
        progress.step("looking for a kernel that runs in QEMU", None);
        let deb = find(image, source, progress)?;
        lock.packages = vec![PackageSet { base, wanted, deb }];
        // An image can be tried where none was built.
        let dir = source.cache.dir();
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        lock.save(&record)?;
    }
    let files = lock.wanted(source.cache);
    let missing: Vec<_> = files
        .iter()
        .filter(|(_, path)| !path.is_file())
        .cloned()
        .collect();
    source
        .client
        .download_all(&missing, missing.len(), progress)?;
    // The engine keeps a file only under the digest it was asked for.
    let place = |is_it: &dyn Fn(&Deb) -> bool| -> Option<(String, PathBuf)> {
        let deb = lock.packages.iter().flat_map(|set| &set.deb);
        let deb = deb.into_iter().find(|deb| is_it(deb))?;
        let path = super::cached(source.cache, &deb.url, &deb.sha256);
        Some((format!("{} {}", deb.name, deb.version), path))
    };
    let busybox = place(&|deb| deb.name == BUSYBOX).context("no busybox was kept")?;
    let kernel = place(&|deb| deb.name != BUSYBOX).context("no kernel was kept")?;
    Ok(Borrowed {
        name: kernel.0,
        kernel: kernel.1,
        busybox: busybox.1,
    })
}

/// The newest kernel and busybox of the archive.
fn find(
    image: &ImageView,
    source: Source<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<Deb>> {
    let archive = Archive::new(source.client, source.at, progress);
    let is_wanted = |name: &str| name == BUSYBOX || is_kernel(name);
    let offers = debian::offers(image, &is_wanted, &archive, source.at)
        .context("looking for a kernel that runs in QEMU in the image's own sources")?;
    let (busybox, kernels): (Vec<_>, Vec<_>) =
        offers.into_iter().partition(|deb| deb.name == BUSYBOX);
    let version = |deb: &debian::Deb| deb.version.parse::<Version>().ok();
    let newest = |debs: Vec<debian::Deb>| debs.into_iter().max_by_key(version);
    let both = newest(kernels).zip(newest(busybox)).with_context(|| {
        format!(
            "the image's sources have no Debian kernel for QEMU with {BUSYBOX}; put Debian's \
             archive for arm64 among them"
        )
    })?;
    Ok(vec![both.0.into(), both.1.into()])
}

/// A kernel for every machine (Debian Linux Kernel Handbook, 2.1): the version
/// begins with a digit, and no flavour stands before the architecture.
fn is_kernel(name: &str) -> bool {
    let Some(version) = name
        .strip_prefix("linux-image-")
        .and_then(|rest| rest.strip_suffix("-arm64"))
    else {
        return false;
    };
    let flavours = ["cloud", "rt", "rpi", "rpt", "16k"];
    version.starts_with(|first: char| first.is_ascii_digit())
        && !version
            .split(['-', '+'])
            .any(|part| flavours.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kernels_for_every_machine() {
        for fine in [
            "linux-image-6.12.48+deb13-arm64",
            "linux-image-6.1.0-38-arm64",
            "linux-image-6.16.3+deb13-arm64",
        ] {
            assert!(is_kernel(fine), "{fine}");
        }
        for other in [
            "linux-image-arm64",
            "linux-image-6.12.48+deb13-cloud-arm64",
            "linux-image-6.12.48+deb13-rt-arm64",
            "linux-image-6.12.48+deb13-arm64-dbg",
            "linux-image-6.12.48+deb13-arm64-16k",
            "linux-image-6.12.47+rpt-rpi-2712",
            "linux-headers-6.12.48+deb13-arm64",
        ] {
            assert!(!is_kernel(other), "{other}");
        }
    }
}
