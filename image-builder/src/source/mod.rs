//! From a base's name to verified bytes: find it, check its sha256, unpack it,
//! find the two partitions, check both file systems. What this room returns
//! was looked at from all sides; nobody downstream checks again.

mod cache;
mod digest;
mod probe;
mod raw;
pub mod unpack;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

pub use cache::{Cache, Entry, Kind, Listed, Pruned, State, Verdict};
pub use probe::{Partitions, find_partitions};
pub use raw::{RawImage, raw_image};

use crate::bootfs::FatError;
use crate::io::{ReadAt as _, Region, Scratch};
use crate::layout::{LayoutError, Table};
use crate::plan::{BaseLocation, BaseRef, Size};
use crate::progress::Progress;
use crate::rootfs::{Ext4Error, Superblock, grow};
use unpack::UnpackError;

/// Why a base cannot be used. The message is complete but for the base's name,
/// which the caller puts before it.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A download that is not here.
    #[error(
        "it is not on this machine; run `imgbuild fetch`, or download {url} and \
         pass it with `--base FILE` or copy it to {cached}"
    )]
    NotHere {
        /// Where it is published.
        url: String,
        /// Where the cache would have it.
        cached: PathBuf,
    },
    /// No such file, or not readable.
    #[error("it cannot be opened: {0}")]
    Open(std::io::Error),
    /// Other bytes than were pinned.
    #[error(
        "its sha256 is {found}, the profile pins {expected}; fetch it again, or correct the pin if the new image is wanted"
    )]
    Digest {
        /// What the profile says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Compressed data that ends early or does not unpack.
    #[error(transparent)]
    Unpack(UnpackError),
    /// No usable partition table.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// None or several partitions of a kind.
    #[error("it has {found} {kind} partitions, and a base must have one; {partitions}")]
    Candidates {
        /// FAT or ext4.
        kind: &'static str,
        /// How many.
        found: usize,
        /// What there is, in words.
        partitions: String,
    },
    /// The boot file system is unusable.
    #[error("its boot partition cannot be used: {0}")]
    Boot(#[from] FatError),
    /// The root file system is unusable.
    #[error("its root partition cannot be used: {0}")]
    Root(#[from] Ext4Error),
    /// e2fsck found errors.
    #[error("its root file system is damaged; fetch the image again\n{0}")]
    Check(String),
}

/// A base that can be composed from.
#[derive(Debug, Clone)]
pub struct Base {
    /// sha256 of the unpacked image: what the bytes of a node's image depend on.
    pub digest: String,
    /// The boot partition.
    pub boot: Region,
    /// The root partition.
    pub root: Region,
    /// The root's superblock.
    pub superblock: Superblock,
    /// The whole partition table.
    pub table: Table,
    /// The raw image's path.
    path: PathBuf,
    /// The base in words: its file's name.
    name: String,
}

/// Finds, verifies and unpacks a base. `instead` is a file to use in place of
/// the profile's location; the profile's sha256 holds for it as well.
///
/// # Errors
/// [`BaseError`] in the chain when the base is at fault; otherwise the cache.
pub fn open(
    base: &BaseRef,
    instead: Option<&Path>,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<Base> {
    let file = locate(base, instead, cache)?;
    let context = || format!("using the base image {}", file.display());
    open_file(&file, base, cache, progress).with_context(context)
}

fn locate(base: &BaseRef, instead: Option<&Path>, cache: &Cache) -> anyhow::Result<PathBuf> {
    match (instead, &base.location) {
        (Some(file), _) => Ok(file.to_path_buf()),
        (None, BaseLocation::File(file)) => Ok(file.clone()),
        (None, BaseLocation::Url(url)) => {
            let name = url.rsplit('/').next().unwrap_or(url);
            let cached = cache.download(base.sha256.as_deref().unwrap_or("unpinned"), name);
            if cached.exists() {
                return Ok(cached);
            }
            Err(BaseError::NotHere {
                url: url.clone(),
                cached,
            })
            .with_context(|| format!("using the base image {name}"))
        }
    }
}

fn open_file(
    file: &Path,
    base: &BaseRef,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<Base> {
    let from = match &base.location {
        BaseLocation::Url(url) => url.rsplit('/').next().unwrap_or(url).to_owned(),
        BaseLocation::File(_) => file.file_name().unwrap_or_default().display().to_string(),
    };
    let RawImage {
        path,
        file: raw,
        digest,
    } = raw_image(file, base.sha256.as_deref(), &from, cache, progress)?;
    let image = Region::whole(Arc::new(raw)).map_err(BaseError::Open)?;
    let Partitions {
        boot,
        root,
        superblock,
        table,
    } = find_partitions(&image)?;
    let (_, root_offset) = root.place();
    cache.once("checked", &digest, || {
        progress.step("checking the base", None);
        grow::check(&path, root_offset).map_err(|error| match error {
            crate::cmd::CmdError::Failed { stderr, .. } => BaseError::Check(stderr).into(),
            other => anyhow::Error::from(other),
        })
    })?;
    Ok(Base {
        digest,
        boot,
        root,
        superblock,
        table,
        path,
        name: from,
    })
}

fn check_pin(found: &str, pinned: Option<&str>) -> Result<(), BaseError> {
    match pinned {
        Some(expected) if expected != found => Err(BaseError::Digest {
            expected: expected.into(),
            found: found.into(),
        }),
        _ => Ok(()),
    }
}

impl Base {
    /// The base in words: its file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of data in the two partitions, holes not counted.
    ///
    /// # Errors
    /// When the image cannot be searched for holes.
    pub fn data_bytes(&self) -> std::io::Result<u64> {
        let mut sum = 0;
        for region in [&self.boot, &self.root] {
            sum += region
                .data()?
                .iter()
                .map(|range| range.end - range.start)
                .sum::<u64>();
        }
        Ok(sum)
    }

    /// The root partition enlarged to `size`, kept in the cache: it depends on
    /// the base and the size alone, so every node and every build shares it.
    ///
    /// # Errors
    /// When resize2fs is missing or fails, or the cache is full.
    pub fn grown_root(
        &self,
        size: Size,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<(Region, Superblock)> {
        if size.bytes() <= self.superblock.len() {
            return Ok((self.root.clone(), self.superblock.clone()));
        }
        let name = format!("{}-{}.ext4", self.digest, size.bytes());
        let from = format!("{} at {size}", self.name);
        let make = |scratch: &Scratch, progress: &mut dyn Progress| {
            progress.step(&format!("enlarging the base's root to {size}"), None);
            scratch.file().set_len(size.bytes())?;
            // What the partition has behind its file system is not ours.
            let root = self.root.slice(0, self.superblock.len())?;
            let (from, offset) = root.place();
            for range in root.data()? {
                let len = range.end - range.start;
                crate::io::copy::copy_range(
                    from,
                    offset + range.start,
                    scratch.file(),
                    range.start,
                    len,
                    &mut |bytes| progress.advance(bytes),
                )?;
            }
            Ok(grow::grow(scratch.path(), self.superblock.written())?)
        };
        let entry = cache
            .entry(Kind::EnlargedRoot, &name, &from, progress, make)
            .with_context(|| format!("enlarging the root of {} to {size}", self.path.display()))?;
        let root = Region::whole(Arc::new(entry.file))?;
        let superblock = Superblock::read(&root)?;
        superblock.check(root.len())?;
        Ok((root, superblock))
    }
}
