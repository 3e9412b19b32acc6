//! Whether a folder is a release that one of ours has signed, whole and unchanged.
//! Needs no network and no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use debversion::Version;

use super::attest::{self, Statement};
use super::facts;
use super::manifest::{self, Manifest};
use super::record::Record;
use super::sign::{self, Comment, KeyId, PublicKey};
use super::sums;
use super::{Hashed, Told};
use crate::plan::{BaseLocation, BaseRef};
use crate::progress::Progress;
use crate::signature::sums::{MAX_SUMS, Sums};
use crate::source::unpack;

/// A release that was verified, or the part of it that was asked for.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who signed it.
    pub signer: KeyId,
    /// What was signed.
    pub comment: Comment,
    /// The files of it that are here and right.
    pub files: Vec<PathBuf>,
    /// What somebody signed of a boot of its very image, if anybody did.
    pub boot: Option<Statement>,
}

/// Why a folder or a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// There is no signature.
    #[error(
        "{} is not there: the release is not signed, or not all of it was downloaded",
        .0.display()
    )]
    NotSigned(PathBuf),
    /// A signature that does not count.
    #[error("{}: {why}", file.display())]
    Signature {
        /// The signature.
        file: PathBuf,
        /// Why.
        why: sign::SignError,
    },
    /// No key is trusted.
    #[error(
        "no key is trusted: name the publisher's in the cluster file, `[release] keys = [\"RW...\"]`, \
         or with --key"
    )]
    NoKey,
    /// A file that is not what was signed.
    #[error("{name} has sha256 {found}, and {signed} was signed; download it again")]
    Changed {
        /// The file.
        name: String,
        /// What it has.
        found: String,
        /// What it should have.
        signed: String,
    },
    /// A file that is missing.
    #[error("{0} is missing; download it beside the others")]
    Missing(String),
    /// A file that nobody signed.
    #[error("{0} is in the folder and not in the release; move it away")]
    Foreign(String),
    /// The list of files and the comment disagree: two releases were mixed.
    #[error("SHA256SUMS lists {listed}, and what was signed is the release {name} of {signed}")]
    Mixed {
        /// What the list has.
        listed: String,
        /// The release that the signature names.
        name: String,
        /// Its files.
        signed: String,
    },
    /// Older than it must be.
    #[error("this is version {version}, and {least} is the least that is used; get a newer one")]
    Old {
        /// Its version.
        version: String,
        /// The least.
        least: String,
    },
    /// Older than what was used before.
    #[error(
        "this is version {version}, and {newest} was used here before; get a newer one, or, to go \
         back on purpose, write {version} into {}",
        record.display()
    )]
    Replayed {
        /// Its version.
        version: String,
        /// What was used.
        newest: String,
        /// Where that is written down.
        record: PathBuf,
    },
    /// A statement about a boot that does not hold.
    #[error("{}: {why}; take it away, or get the one that came with this release", file.display())]
    Boot {
        /// The statement.
        file: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The packed image is not the image that is described.
    #[error("{name} unpacks to sha256 {found}, and {described} is described; get another release")]
    Unpacks {
        /// The packed file.
        name: String,
        /// What it holds.
        found: String,
        /// What the manifest says.
        described: String,
    },
}

/// What makes a release good enough.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Whose signature counts.
    pub keys: &'a [PublicKey],
    /// The least version, if any is asked for.
    pub least: Option<&'a str>,
    /// What was used before, if somebody keeps count.
    pub used: Option<&'a Record>,
}

/// Verifies a whole release: the signature, every file, and that both packed
/// images hold the image that is described.
///
/// # Errors
/// [`Unfit`] in the chain, or a file cannot be read.
pub fn folder(
    dir: &Path,
    terms: Terms<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Verified> {
    let (signer, comment, digests) = signed(dir, terms)?;
    let manifest = whole(dir, &digests, progress)?;
    let mut files: Vec<_> = digests.keys().map(|name| dir.join(name)).collect();
    let boot = attest::check(dir, &manifest, terms.keys)?;
    let boot = boot.map(|(file, statement)| {
        files.push(file);
        statement
    });
    Ok(Verified {
        signer,
        comment,
        files,
        boot,
    })
}

/// Whether a folder holds what a list says, and nothing else; its description.
///
/// # Errors
/// [`Unfit`] in the chain, or a file cannot be read.
pub(super) fn whole(
    dir: &Path,
    digests: &BTreeMap<String, String>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Manifest> {
    // What was said of it after it was signed.
    let end = format!(".{}", manifest::END);
    let mut stems = digests.keys().filter_map(|name| name.strip_suffix(&end));
    let boot = stems.next().map(attest::names).unwrap_or_default();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let name = entry?.file_name();
        let name = name.to_string_lossy().into_owned();
        let own = name == sums::NAME || name == sums::signature() || boot.contains(&name);
        ensure!(own || digests.contains_key(&name), Unfit::Foreign(name));
    }
    // What is wrong is found in the order of what the looking costs.
    let mut files = Vec::new();
    for (name, digest) in digests {
        let path = dir.join(name);
        ensure!(path.is_file(), Unfit::Missing(name.clone()));
        let len = path.metadata().map_or(0, |file| file.len());
        files.push((len, path, name, digest));
    }
    files.sort();
    let mut manifest = None;
    for (_, path, name, digest) in files {
        check(&path, name, digest, progress)?;
        if name.ends_with(manifest::END) {
            let text = read(&path, MAX_SUMS as u64)?;
            let described = Manifest::parse(&text).with_context(|| format!("reading {name}"))?;
            manifest = Some(described);
        }
    }
    let manifest = manifest.context("the release has no description")?;
    for (name, digest) in digests {
        if is_packed(Path::new(name)) {
            unpacks(&dir.join(name), digest, &manifest.image, progress)?;
        }
    }
    Ok(manifest)
}

/// Verifies one packed image of a release, with the signed list beside it, and
/// gives it as a base to add a node to.
///
/// # Errors
/// [`Unfit`] in the chain, or a file cannot be read.
pub fn image(
    path: &Path,
    terms: Terms<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<(Verified, BaseRef)> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let (signer, comment, digests) = signed(dir, terms)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let digest = digests.get(&name).cloned();
    let digest = digest.ok_or_else(|| Unfit::Foreign(name.clone()))?;
    check(path, &name, &digest, progress)?;
    let base = BaseRef {
        location: BaseLocation::File(path.to_owned()),
        sha256: Some(digest),
        signer: None,
    };
    let files = vec![path.to_owned()];
    let verified = Verified {
        signer,
        comment,
        files,
        boot: None,
    };
    Ok((verified, base))
}

/// The names and digests that a folder's list promises, before any of them is here.
///
/// # Errors
/// [`Unfit`] in the chain when the list is not signed as it has to be.
pub fn promised(dir: &Path, terms: Terms<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    signed(dir, terms).map(|(_, _, digests)| digests)
}

/// The list of files, if it is signed and new enough.
fn signed(
    dir: &Path,
    terms: Terms<'_>,
) -> anyhow::Result<(KeyId, Comment, BTreeMap<String, String>)> {
    ensure!(!terms.keys.is_empty(), Unfit::NoKey);
    let file = dir.join(sums::signature());
    ensure!(file.is_file(), Unfit::NotSigned(file));
    let (text, digests) = listed(dir)?;
    let signed = read(&file, sign::MAX)?;
    let (signer, comment) = sign::verify(text.as_bytes(), &signed, terms.keys)
        .map_err(|why| Unfit::Signature { file, why })?;
    let there: BTreeSet<&String> = digests.keys().collect();
    if there != comment.files.iter().collect() {
        bail!(Unfit::Mixed {
            listed: digests.keys().cloned().collect::<Vec<_>>().join(", "),
            signed: comment.files.join(", "),
            name: comment.name,
        });
    }
    if let Some(least) = terms.least {
        ensure!(
            !older(&comment.version, least)?,
            Unfit::Old {
                version: comment.version,
                least: least.to_owned(),
            }
        );
    }
    if let Some(used) = terms.used {
        used.check(&comment)?;
    }
    Ok((signer, comment, digests))
}

/// The list of a folder's files, believed or not, and what it says.
///
/// # Errors
/// When there is none, or it is no list of plain names.
pub(super) fn listed(dir: &Path) -> anyhow::Result<(String, BTreeMap<String, String>)> {
    let path = dir.join(sums::NAME);
    ensure!(path.is_file(), Unfit::NotSigned(path));
    let text = read(&path, MAX_SUMS as u64)?;
    let sums = Sums::parse(text.as_bytes());
    let digests = sums
        .with_context(|| format!("reading {}", path.display()))?
        .into_digests();
    // What is joined to a folder is a name, not a way out of it.
    for name in digests.keys() {
        let plain = Path::new(name)
            .file_name()
            .is_some_and(|last| last == name.as_str());
        ensure!(plain, Unfit::Foreign(name.clone()));
    }
    Ok((text, digests))
}

/// Whether one version comes before another, as Debian orders them
/// (deb-version(7)): numbers as numbers.
///
/// # Errors
/// When either is none.
pub fn older(version: &str, than: &str) -> anyhow::Result<bool> {
    let read = |text: &str| -> anyhow::Result<Version> {
        text.parse()
            .ok()
            .with_context(|| format!("{text:?} is no version"))
    };
    Ok(read(version)? < read(than)?)
}

/// A text that is not larger than it may be.
pub(super) fn read(path: &Path, limit: u64) -> anyhow::Result<String> {
    let what = || format!("reading {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(what)?;
    let len = file
        .take(limit + 1)
        .read_to_string(&mut text)
        .with_context(what)?;
    ensure!(
        len as u64 <= limit,
        "{} is too large to be what its name says",
        path.display()
    );
    Ok(text)
}

fn check(path: &Path, name: &str, signed: &str, progress: &mut dyn Progress) -> anyhow::Result<()> {
    let what = || format!("reading {}", path.display());
    let file = File::open(path).with_context(what)?;
    let region = crate::io::Region::whole(file.into()).with_context(what)?;
    let mut hashed = Hashed::new(io::sink());
    io::copy(
        &mut Told::new(&region, &format!("hashing {name}"), progress),
        &mut hashed,
    )
    .with_context(what)?;
    let found = hashed.file(String::new()).sha256;
    ensure!(
        found == signed,
        Unfit::Changed {
            name: name.to_owned(),
            found,
            signed: signed.to_owned(),
        }
    );
    Ok(())
}

fn is_packed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "xz" || end == "zst")
}

fn unpacks(
    path: &Path,
    signed: &str,
    image: &facts::File,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let what = || format!("unpacking {name}");
    let file = File::open(path).with_context(what)?;
    progress.step(&what(), Some(file.metadata().with_context(what)?.len()));
    let options = unpack::Options {
        known: Some(signed),
        pinned: None,
        raw_max: image.size,
    };
    let found = unpack::hash(&file, options, progress).with_context(what)?;
    ensure!(
        found.raw_sha256 == image.sha256,
        Unfit::Unpacks {
            name,
            found: found.raw_sha256,
            described: image.sha256.clone(),
        }
    );
    Ok(())
}
