//! Signing a release that is there already: whoever builds need not have the key.

use std::path::Path;

use anyhow::{Context as _, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifest::Manifest;
use super::sign::{Comment, SigningKey};
use super::verify::{Unfit, listed, whole};
use super::{manifest, sums};
use crate::io::put_text;
use crate::progress::Progress;
use crate::sink::SinkError;

/// Signs the release in a folder, after a look whether it is whole.
///
/// # Errors
/// When it is signed already, not whole, or the signature cannot be written.
pub fn seal(dir: &Path, key: &SigningKey, progress: &mut dyn Progress) -> anyhow::Result<Comment> {
    let signature = dir.join(sums::signature());
    if signature.symlink_metadata().is_ok() {
        return Err(SinkError::Exists(signature).into());
    }
    let (text, digests) = listed(dir)?;
    let manifest = whole(dir, &digests, progress)?;
    let comment = comment(&manifest, digests.into_keys().collect())?;
    let signed = key.sign(text.as_bytes(), &comment)?;
    put_text(&signature, &signed, false)
        .map_err(|error| SinkError::Write(signature.clone(), error))?;
    Ok(comment)
}

/// What the signature says of a release with this description and these files.
///
/// # Errors
/// When the description's date or name is not what a release has.
pub(super) fn comment(manifest: &Manifest, files: Vec<String>) -> anyhow::Result<Comment> {
    let own = format!("{}.{}", manifest.name, manifest::END);
    ensure!(files.contains(&own), Unfit::Missing(own));
    let date = OffsetDateTime::parse(&manifest.date, &Rfc3339);
    let date = date.with_context(|| format!("{:?} is no date", manifest.date))?;
    let mut files = files;
    files.sort();
    Ok(Comment {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        time: date.unix_timestamp(),
        files,
    })
}
