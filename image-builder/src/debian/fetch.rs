//! From a source to its verified indices: `InRelease`, its signature, its
//! dates, then `Packages` as `InRelease` lists it.

mod address;

use std::io::Read;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::release::{Listed, Release};
use super::sources::{Source, shown};
use super::{Repository, keys};
use crate::overlay::{BaseView, hex};

/// Debian's own `InRelease` has 140 kB.
const MAX_RELEASE: u64 = 8 << 20;
/// Packed or not: Debian's main index has 10 MB and 56 MB.
const MAX_INDEX: u64 = 256 << 20;
/// Memory an .xz may ask for: `xz -9` needs 65 MiB (xz(1)).
const XZ_MEMORY: u64 = 128 << 20;

/// One index, checked against its signed table of contents.
#[derive(Debug)]
pub(super) struct Index {
    /// For messages.
    pub(super) name: String,
    pub(super) text: String,
    /// Index of its source in `Fetched::addresses`.
    pub(super) source: usize,
    pub(super) priority: u16,
}

/// All that the sources offer.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// What file names of packages are relative to, with a slash at the end.
    pub(super) addresses: Vec<String>,
    /// In the order of the sources.
    pub(super) indices: Vec<Index>,
    pub(super) notes: Vec<String>,
}

/// Where an index is looked for, and what for.
struct Wanted<'a> {
    repository: &'a dyn Repository,
    release: &'a Release,
    /// The folder of `InRelease`, with a slash at the end.
    dist: &'a str,
}

/// Reads the indices of all sources.
pub(super) fn indices(
    sources: &[Source],
    base: &dyn BaseView,
    architecture: &str,
    repository: &dyn Repository,
    at: OffsetDateTime,
) -> anyhow::Result<Fetched> {
    let mut fetched = Fetched::default();
    for source in sources {
        let wanted = source.architectures.as_ref();
        if wanted.is_some_and(|list| list.iter().all(|one| one != architecture)) {
            continue;
        }
        let Some(address) = address::of(source, base, repository)? else {
            let (place, uri) = (&source.place, shown(&source.uri));
            let note = format!("{place}: {uri} is passed over: only the node could read it");
            fetched.notes.push(note);
            continue;
        };
        let context = || format!("{}: reading {}", source.place, shown(&source.uri));
        one(
            source,
            &address,
            base,
            architecture,
            repository,
            at,
            &mut fetched,
        )
        .with_context(context)?;
        fetched.addresses.push(address);
    }
    Ok(fetched)
}

fn one(
    source: &Source,
    address: &str,
    base: &dyn BaseView,
    architecture: &str,
    repository: &dyn Repository,
    at: OffsetDateTime,
    fetched: &mut Fetched,
) -> anyhow::Result<()> {
    let suite = source.suite.replace("$(ARCH)", architecture);
    let is_flat = suite.ends_with('/');
    let dist = if is_flat {
        let path = suite.trim_start_matches("./").trim_start_matches('/');
        format!("{address}{path}")
    } else {
        format!("{address}dists/{suite}/")
    };
    let url = format!("{dist}InRelease");
    let signed = repository.get(&url, MAX_RELEASE)?;
    // Only what the signature covers is read from here on.
    let text = repository.verified(&signed, &keys::of(source, base)?);
    let text = text.with_context(|| format!("checking the signature of {}", shown(&url)))?;
    let context = || format!("using {}", shown(&url));
    let release = Release::parse(&text).with_context(context)?;
    release.check(at).with_context(context)?;
    let names = [&release.suite, &release.codename];
    if !is_flat
        && names
            .iter()
            .all(|name| name.as_deref() != Some(suite.as_str()))
    {
        let (place, url) = (&source.place, shown(&url));
        let other = release.codename.as_deref().unwrap_or("nothing");
        fetched
            .notes
            .push(format!("{place}: {url} calls itself {other}, not {suite}"));
    }
    let wanted = Wanted {
        repository,
        release: &release,
        dist: &dist,
    };
    let mut folders = Vec::new();
    for component in &source.components {
        folders.push(format!("{component}/binary-{architecture}/"));
        if !release.all_in_each {
            folders.push(format!("{component}/binary-all/"));
        }
    }
    if is_flat {
        folders.push(String::new());
    }
    for folder in folders {
        let path = format!("{folder}Packages");
        let Some(text) = wanted
            .index(&path)
            .with_context(|| format!("reading {path}"))?
        else {
            if !folder.ends_with("/binary-all/") {
                let (place, url) = (&source.place, shown(&url));
                fetched
                    .notes
                    .push(format!("{place}: {url} lists no {path}"));
            }
            continue;
        };
        fetched.indices.push(Index {
            name: shown(&format!("{dist}{path}")),
            text,
            source: fetched.addresses.len(),
            priority: release.priority,
        });
    }
    Ok(())
}

impl Wanted<'_> {
    /// The index, in the smallest of the forms that are listed.
    fn index(&self, path: &str) -> anyhow::Result<Option<String>> {
        let plain = self.release.file(path);
        for ending in [".xz", ".gz", ""] {
            let packed = format!("{path}{ending}");
            let Some(listed) = self.release.file(&packed) else {
                continue;
            };
            let bytes = self.get(&packed, listed)?;
            let limit = plain.map_or(MAX_INDEX, |plain| plain.size);
            let bytes =
                unpack(ending, bytes, limit).with_context(|| format!("unpacking {packed}"))?;
            if let Some(plain) = plain {
                check(&bytes, plain).with_context(|| format!("checking {packed}, unpacked"))?;
            }
            let text = String::from_utf8(bytes);
            return Ok(Some(text.with_context(|| format!("{packed} is no text"))?));
        }
        Ok(None)
    }

    fn get(&self, path: &str, listed: &Listed) -> anyhow::Result<Vec<u8>> {
        let Listed { size, sha256 } = listed;
        if *size > MAX_INDEX {
            bail!("{path} has {size} bytes, more than an index may have ({MAX_INDEX})");
        }
        let url = if self.release.by_hash {
            let folder = path.rfind('/').map_or("", |at| &path[..=at]);
            format!("{}{folder}by-hash/SHA256/{sha256}", self.dist)
        } else {
            format!("{}{path}", self.dist)
        };
        let bytes = self.repository.get(&url, *size)?;
        check(&bytes, listed).with_context(|| format!("checking {}", shown(&url)))?;
        Ok(bytes)
    }
}

fn check(bytes: &[u8], listed: &Listed) -> anyhow::Result<()> {
    let size = bytes.len() as u64;
    if size != listed.size {
        bail!(
            "it has {size} bytes, the signed list says {}; {RETRY}",
            listed.size
        );
    }
    let sha256 = hex(&Sha256::digest(bytes));
    if sha256 != listed.sha256 {
        bail!(
            "its sha256 is {sha256}, the signed list says {}; {RETRY}",
            listed.sha256
        );
    }
    Ok(())
}

const RETRY: &str = "the mirror is in the middle of an update, or its files are damaged: try again";

/// Unpacks at most `limit` bytes, and says so when there are more.
fn unpack(ending: &str, packed: Vec<u8>, limit: u64) -> anyhow::Result<Vec<u8>> {
    let reader: Box<dyn Read> = match ending {
        ".xz" => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(&packed[..], stream))
        }
        ".gz" => Box::new(flate2::bufread::MultiGzDecoder::new(&packed[..])),
        _ => return Ok(packed),
    };
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        bail!("it has more than {limit} bytes, unpacked");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
