//! What is published: an image without a node, packed for every tool that writes
//! disks, and what lets others check it.
//!
//! ```text
//! compose      base and release overlay become a disk, as for a node
//! pack, bmap   the disk's bytes, packed; which of them matter
//! documents    what it is made of, how, and for Raspberry Pi Imager
//! sums, sign   the digests of all of it, in one file, and a signature on that
//! verify       the way back
//! attest       afterwards: that its very image was booted, signed by itself
//! ```
//!
//! A release is a folder that appears when all of it is there. The same lock,
//! agent and version give the same bytes, packed files and documents included.

pub mod attest;
pub mod bmap;
pub mod documents;
pub mod facts;
pub mod manifest;
pub mod pack;
pub mod record;
pub mod seal;
pub mod sign;
pub mod sums;
pub mod verify;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use nix::fcntl::{FallocateFlags, fallocate};
use rangemap::RangeSet;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::build::{AGENT_UNIT, read_agent};
use crate::compose::{Recipe, compose};
use crate::debian;
use crate::ids::NodeIds;
use crate::io::{ReadAt as _, Region, Stream};
use crate::lock::{self, Lock};
use crate::overlay::{Carried, Content, ReleaseRequest, hex, render_release};
use crate::plan::{Disk, Extent, K3s, Profile};
use crate::progress::Progress;
use crate::rootfs::grow;
use crate::sink::ImageFile;
use crate::source::{self, Base, Cache};
use crate::view::ImageView;

use facts::{Crate, Facts, Input};
use manifest::Manifest;
use sign::SigningKey;

/// The name space of the ids of release disks and their documents, as a cluster's
/// id is that of its nodes. Random, and never to change.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x7f5b_9f0e_38e1_4d3c_8a56_c1a4_60c2_5d91);

/// What to release.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The kind of node.
    pub profile: &'a Profile,
    /// The K3s to carry, if any.
    pub k3s: Option<&'a K3s>,
    /// The release's version.
    pub version: &'a str,
    /// Where it will be published, a URL with a slash at its end.
    pub address: &'a str,
    /// A base image to use in place of the profile's.
    pub base: Option<&'a Path>,
    /// The first-boot agent for the node; beside it the list of its crates.
    pub agent: &'a Path,
    /// What is locked.
    pub lock: &'a Lock,
    /// The cache.
    pub cache: &'a Cache,
    /// The time of every change, in seconds since 1970; without it the time the
    /// base was last written.
    pub epoch: Option<i64>,
    /// The folder to make.
    pub output: &'a Path,
    /// Threads that pack.
    pub threads: usize,
}

/// What was released.
#[derive(Debug, Clone)]
pub struct Released {
    /// Its name.
    pub name: String,
    /// The image, unpacked.
    pub image: facts::File,
    /// What is in the folder, `SHA256SUMS` aside.
    pub files: Vec<facts::File>,
}

/// Makes a release.
///
/// # Errors
/// When a program, the agent or something locked is missing, the base cannot be
/// used, or the folder is there already or cannot be written. No folder is made
/// then.
pub fn release(
    job: Job<'_>,
    signer: Option<&SigningKey>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Released> {
    let name = name(job.profile, job.version)?;
    let folder = Folder::new(job.output)?;
    grow::check_tools()?;
    let agent = read_agent(job.agent)?;
    let crates = crates(job.agent)?;
    let base = source::open(&job.profile.base, job.base, job.cache, progress)?;
    let payload = lock::payload(
        job.lock,
        job.k3s,
        job.profile,
        &base.digest,
        job.cache,
        progress,
    )?;
    let epoch = job.epoch.unwrap_or_else(|| base.superblock.written());
    let view = ImageView::open(base.boot.clone(), base.root.clone())?;
    let ids = NodeIds::derive(NAMESPACE, &name);
    let request = ReleaseRequest {
        name: &name,
        profile: job.profile,
        k3s: job.k3s,
        ids: &ids,
        agent: &agent,
        agent_unit: AGENT_UNIT,
        payload: &payload,
        base_digest: &base.digest,
    };
    let (overlay, carried) =
        render_release(&request, &view).context("planning what the release adds to its base")?;
    let recipe = Recipe {
        base: &base,
        overlay: &overlay,
        ids,
        // As small as it can be: it grows on the disk, or under its node.
        disk: Disk {
            root: Extent::Rest,
            data: None,
        },
        frame: None,
        epoch,
    };
    let disk = compose(recipe, job.cache, folder.path(), progress)?;
    let used = disk.used(false)?;
    let raw = folder.path().join(format!("{name}.img"));
    ImageFile::new(&raw, false)?.write(&disk, progress)?;
    clear_unused(&raw, &used).context("clearing what no file system uses")?;

    let (image, mut files) = packed(&folder, &name, &raw, &used, job.threads, progress)?;
    fs::remove_file(&raw).context("removing the unpacked image")?;
    let facts = Facts {
        name: name.clone(),
        version: job.version.to_owned(),
        profile: job.profile.name.clone(),
        epoch,
        image: image.clone(),
        files: files.clone(),
        base: input(&base),
        agent: Input {
            name: "firstboot-agent".into(),
            sha256: Content::from(agent).sha256(),
        },
        crates,
        k3s: locked(
            &job.lock.k3s,
            job.k3s
                .into_iter()
                .flat_map(lock::k3s_files)
                .map(|(url, ..)| url),
        ),
        k3s_version: job.k3s.map(|k3s| k3s.version.clone()),
        artifacts: locked(
            &job.lock.artifact,
            job.profile
                .artifacts
                .iter()
                .map(|artifact| artifact.url.clone()),
        ),
        debs: debs(job.lock, &base, &carried),
        installed: debian::inventory(&view)?,
    };
    let manifest = Manifest::new(&facts, &disk.layout)?;
    let mut written = documents::all(&facts, job.address)?;
    written.push((manifest::END, manifest.render()));
    for (end, text) in written {
        files.push(folder.write(&format!("{name}.{end}"), text.as_bytes())?);
    }
    let list = sums::render(&files);
    folder.write(sums::NAME, list.as_bytes())?;
    if let Some(key) = signer {
        let names = files.iter().map(|file| file.name.clone()).collect();
        let signature = key.sign(list.as_bytes(), &seal::comment(&manifest, names)?)?;
        folder.write(&sums::signature(), signature.as_bytes())?;
    }
    folder.keep()?;
    Ok(Released { name, image, files })
}

/// The base name of every file of a release.
///
/// # Errors
/// When the version has characters that a file's name, a URL and a package's
/// version do not all allow.
pub fn name(profile: &Profile, version: &str) -> anyhow::Result<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if version.is_empty()
        || !version.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !version.chars().all(fine)
    {
        bail!(
            "the version {version:?} cannot be part of a file's name; write letters, digits and \
             `.`, `-`, `_`, such as 2026.11.27"
        );
    }
    Ok(format!("imgbuild-{}-{version}", profile.name))
}

/// Zeros where no file system has anything: what was once deleted in the base is
/// nobody's business, and packs badly. The file is left sparse.
fn clear_unused(raw: &Path, used: &RangeSet<u64>) -> io::Result<()> {
    let file = File::options().write(true).open(raw)?;
    let all = 0..file.metadata()?.len();
    for gap in used.gaps(&all) {
        let number = |offset| i64::try_from(offset).map_err(io::Error::other);
        let (start, len) = (number(gap.start)?, number(gap.end - gap.start)?);
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&file, hole, start, len)?;
    }
    file.sync_all()
}

/// The image in its published forms, and its block map.
fn packed(
    folder: &Folder,
    name: &str,
    raw: &Path,
    used: &RangeSet<u64>,
    threads: usize,
    progress: &mut dyn Progress,
) -> anyhow::Result<(facts::File, Vec<facts::File>)> {
    let file = File::open(raw).context("opening the unpacked image")?;
    let region = Region::whole(Arc::new(file)).context("opening the unpacked image")?;
    let mut files = Vec::new();
    let xz = &mut Told::new(&region, "packing .img.xz", progress);
    files.push(folder.fill(&format!("{name}.img.xz"), |to| pack::xz(xz, to, threads))?);
    let zst = &mut Told::new(&region, "packing .img.zst", progress);
    files.push(folder.fill(&format!("{name}.img.zst"), |to| pack::zst(zst, to, threads))?);
    let mut hashed = Hashed::new(io::sink());
    let all = &mut Told::new(&region, "hashing the image", progress);
    io::copy(all, &mut hashed).context("reading the image")?;
    let map = bmap::render(&region, used).context("mapping the image's blocks")?;
    files.push(folder.write(&format!("{name}.bmap"), map.as_bytes())?);
    Ok((hashed.file(format!("{name}.img")), files))
}

/// The image from its beginning to its end, telling how far it is.
struct Told<'a> {
    stream: Stream<Region>,
    progress: &'a mut dyn Progress,
}

impl<'a> Told<'a> {
    fn new(region: &Region, what: &str, progress: &'a mut dyn Progress) -> Self {
        progress.step(what, Some(region.len()));
        Self {
            stream: Stream::new(region.clone()),
            progress,
        }
    }
}

impl Read for Told<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.read(buf)?;
        self.progress.advance(len as u64)?;
        Ok(len)
    }
}

/// What `ci/build` writes beside the agent.
fn crates(agent: &Path) -> anyhow::Result<Vec<Crate>> {
    let path = agent.with_extension("crates");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "reading {}, the list of crates in the agent; `make build` writes it",
            path.display()
        )
    })?;
    Crate::parse_list(&text).with_context(|| format!("reading {}", path.display()))
}

fn input(base: &Base) -> Input {
    Input {
        name: base.name().to_owned(),
        sha256: base.digest.clone(),
    }
}

fn locked(all: &[lock::Download], urls: impl Iterator<Item = String>) -> Vec<lock::Download> {
    let urls: Vec<String> = urls.collect();
    all.iter()
        .filter(|one| urls.contains(&one.url))
        .cloned()
        .collect()
}

fn debs(lock: &Lock, base: &Base, carried: &Carried) -> Vec<lock::Deb> {
    let set = lock.packages(&base.digest, &carried.wanted);
    set.map_or_else(Vec::new, |set| set.deb.clone())
}

/// The release's folder in the making, beside its place.
struct Folder {
    scratch: tempfile::TempDir,
    place: PathBuf,
}

impl Folder {
    fn new(place: &Path) -> anyhow::Result<Self> {
        if place.symlink_metadata().is_ok() {
            bail!(
                "{} is there already; name another folder, or move it away",
                place.display()
            );
        }
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let what = || format!("making {}", place.display());
        fs::create_dir_all(parent).with_context(what)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".imgbuild-release-");
        Ok(Self {
            scratch: builder.tempdir_in(parent).with_context(what)?,
            place: place.to_owned(),
        })
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<facts::File> {
        self.fill(name, |to| to.write_all(content))
    }

    /// A file, synced, and what it holds.
    fn fill(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<facts::File> {
        let what = || format!("writing {name} of {}", self.place.display());
        let file = File::create_new(self.path().join(name)).with_context(what)?;
        let mut hashed = Hashed::new(BufWriter::new(&file));
        content(&mut hashed).with_context(what)?;
        hashed.flush().with_context(what)?;
        file.sync_all().with_context(what)?;
        Ok(hashed.file(name.to_owned()))
    }

    /// Gives it its name.
    fn keep(self) -> anyhow::Result<()> {
        let what = || format!("making {}", self.place.display());
        // Made for its owner alone, as temporary folders are; this one is published.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.path(), open).with_context(what)?;
        for entry in fs::read_dir(self.path()).with_context(what)? {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(entry.with_context(what)?.path(), open).with_context(what)?;
        }
        File::open(self.path())
            .and_then(|dir| dir.sync_all())
            .with_context(what)?;
        fs::rename(self.path(), &self.place).with_context(what)?;
        // Under its new name it is nobody's to remove.
        let _ = self.scratch.keep();
        Ok(())
    }
}

/// Hashes and counts what goes through.
pub(crate) struct Hashed<W> {
    to: W,
    hash: Sha256,
    len: u64,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
            len: 0,
        }
    }

    pub(crate) fn file(self, name: String) -> facts::File {
        facts::File {
            name,
            size: self.len,
            sha256: hex(&self.hash.finalize()),
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buf)?;
        self.hash.update(&buf[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
