//! From a base file to its raw image: the file itself, or what the cache keeps
//! of it unpacked.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::cache::{Cache, Entry, Kind, Seen};
use super::unpack::{Format, Options, RAW_MAX, UnpackError, Unpacked, unpack};
use super::{BaseError, check_pin};
use crate::progress::Progress;

/// A raw image, verified.
#[derive(Debug)]
pub struct RawImage {
    /// Where it is.
    pub path: PathBuf,
    /// The file; one of the cache is not pruned while this is open.
    pub file: File,
    /// Its sha256.
    pub digest: String,
}

/// Opens the raw image of a base. Nothing is read twice that did not change:
/// what was unpacked before is recognised by its stamp, and what was not is
/// hashed while it is unpacked. `from` says where the file is from.
///
/// # Errors
/// [`BaseError`] in the chain when the base is at fault; otherwise the cache.
pub fn raw_image(
    file: &Path,
    pinned: Option<&str>,
    from: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<RawImage> {
    let packed = cache.open(file).map_err(BaseError::Open)?;
    let format = Format::of(&packed).map_err(BaseError::Open)?;
    let (digest, image) = match format {
        None => {
            let digest = cache.digest_of(file, progress)?;
            check_pin(&digest, pinned)?;
            (digest, None)
        }
        Some(_) => {
            let (packed_digest, image) = unpacked(file, &packed, pinned, from, cache, progress)?;
            (packed_digest, Some(image))
        }
    };
    if pinned.is_none() {
        progress.note(&format!(
            "{} is not pinned; its sha256 is {digest}",
            file.display()
        ));
    }
    cache.used_download(file, &packed, &digest, from)?;
    Ok(image.unwrap_or_else(|| RawImage {
        path: file.to_path_buf(),
        file: packed,
        digest,
    }))
}

/// The packed file's sha256, and its raw image.
fn unpacked(
    file: &Path,
    packed: &File,
    pinned: Option<&str>,
    from: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<(String, RawImage)> {
    let seen = Seen::now(file, packed)?;
    let _work = cache.lock(&format!("unpack-{}", seen.key()), progress)?;
    // Where the pin names an image that is here, hashing alone will do.
    let known = match (cache.known_digest(&seen), pinned) {
        (None, Some(pin)) if cache.find(Kind::RawBase, &name(pin), progress)?.is_some() => {
            Some(cache.digest_of(file, progress)?)
        }
        (known, _) => known,
    };
    if let Some(known) = &known {
        check_pin(known, pinned)?;
        if let Some(entry) = cache.find(Kind::RawBase, &name(known), progress)? {
            return Ok((known.clone(), entry.into()));
        }
    }
    let scratch = cache.begin(Kind::RawBase)?;
    progress.step("unpacking the base", Some(packed.metadata()?.len()));
    let options = Options {
        known: known.as_deref(),
        pinned,
        raw_max: RAW_MAX,
    };
    let Unpacked {
        packed_sha256,
        raw_sha256,
        ..
    } = unpack(packed, scratch.file(), options, progress).map_err(|error| match error {
        UnpackError::Digest { expected, found } => {
            anyhow::Error::from(BaseError::Digest { expected, found })
        }
        // The cache's disk, or the user: not the base.
        UnpackError::Write(error) => anyhow::Error::from(error).context(cache.writing()),
        UnpackError::Stopped(error) => error.into(),
        fault => BaseError::Unpack(fault).into(),
    })?;
    cache.remember_digest(&seen, &packed_sha256)?;
    let entry = cache.keep(
        Kind::RawBase,
        &name(&packed_sha256),
        scratch,
        raw_sha256,
        from,
    )?;
    Ok((packed_sha256, entry.into()))
}

/// An unpacked image is named after what it was packed in.
fn name(packed_sha256: &str) -> String {
    format!("{packed_sha256}.img")
}

impl From<Entry> for RawImage {
    fn from(entry: Entry) -> Self {
        let Entry { path, file, digest } = entry;
        Self { path, file, digest }
    }
}
