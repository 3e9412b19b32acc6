//! A release that is on the network: its signed list is brought first, and then only
//! what that promises.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use url::Url;

use crate::fetch::{Client, Wanted};
use crate::io::put_text;
use crate::progress::Progress;
use crate::release::sign;
use crate::release::sums;
use crate::release::verify::{self, Terms};
use crate::signature::sums::MAX_SUMS;

/// Most bytes of a file of a release.
const LIMIT: u64 = 64 << 30;

/// Files at once.
const PARALLEL: usize = 4;

/// The address, if the words are one.
pub(super) fn address(what: &Path) -> Option<Url> {
    let url: Url = what.to_str()?.parse().ok()?;
    matches!(url.scheme(), "https" | "http").then_some(url)
}

/// Brings a release, or the one image of it that the address names, into a folder;
/// gives the path to verify. What is not signed, or not by whom it should be, is not
/// downloaded.
///
/// # Errors
/// When it cannot be downloaded, or its list is not good enough.
pub(super) fn bring(
    client: &Client,
    address: &Url,
    terms: Terms<'_>,
    into: &Path,
    progress: &mut dyn Progress,
) -> anyhow::Result<PathBuf> {
    let (folder, image) = split(address)?;
    for (name, limit) in [
        (sums::NAME, MAX_SUMS as u64),
        (&sums::signature(), sign::MAX),
    ] {
        let bytes = client.read(inside(&folder, name)?.as_str(), limit, progress)?;
        let path = into.join(name);
        // Bytes that are no text are no list either, whatever becomes of them here.
        put_text(&path, &String::from_utf8_lossy(&bytes), true)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let mut wanted = Vec::new();
    for (name, digest) in verify::promised(into, terms)? {
        if image.as_ref().is_some_and(|image| *image != name) {
            continue;
        }
        let file = Wanted {
            url: inside(&folder, &name)?.into(),
            sha256: Some(digest),
            size: None,
            limit: LIMIT,
        };
        wanted.push((file, into.join(name)));
    }
    client.download_all(&wanted, PARALLEL, progress)?;
    Ok(match image {
        Some(image) => into.join(image),
        None => into.to_owned(),
    })
}

/// The folder, and the name of the image if the address has one.
fn split(address: &Url) -> anyhow::Result<(Url, Option<String>)> {
    if address.query().is_some() || address.fragment().is_some() {
        bail!("{address}: write the address of a release's folder, or of an image in it");
    }
    let mut segments = address.path_segments().into_iter().flatten();
    let last = segments.next_back().unwrap_or_default();
    let packed = last.ends_with(".xz") || last.ends_with(".zst");
    let mut folder = address.clone();
    if !packed {
        return Ok((folder, None));
    }
    let last = last.to_owned();
    if let Ok(mut path) = folder.path_segments_mut() {
        path.pop();
    }
    Ok((folder, Some(last)))
}

/// A name is put behind the folder as it is: never an address of its own.
fn inside(folder: &Url, name: &str) -> anyhow::Result<Url> {
    let mut url = folder.clone();
    match url.path_segments_mut() {
        Ok(mut path) => path.pop_if_empty().push(name),
        Err(()) => bail!("{folder} is no address of a folder"),
    };
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, folder, image) in [
            ("https://a/r", "https://a/r/SHA256SUMS", None),
            ("https://a/r/", "https://a/r/SHA256SUMS", None),
            ("http://a", "http://a/SHA256SUMS", None),
            (
                "https://a/r/b.img.xz",
                "https://a/r/SHA256SUMS",
                Some("b.img.xz"),
            ),
        ] {
            let url = address(Path::new(given)).expect("an address");
            let (found, name) = split(&url).expect("an address of a folder");
            let list = inside(&found, sums::NAME).expect("inside");
            assert_eq!((list.as_str(), name.as_deref()), (folder, image), "{given}");
        }
        let folder: Url = "https://a/r/".parse().expect("a URL");
        let out = inside(&folder, "http://b/../c").expect("inside");
        assert_eq!(out.as_str(), "https://a/r/http:%2F%2Fb%2F..%2Fc");
        for none in ["out/release", "/dev/sda", "file:///etc", "c:\\a"] {
            assert_eq!(address(Path::new(none)), None, "{none}");
        }
        let url = address(Path::new("https://a/r?b=c")).expect("a URL");
        split(&url).expect_err("a question");
    }
}
