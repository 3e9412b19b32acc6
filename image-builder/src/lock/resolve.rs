//! The recipe of a lock: what the cluster and its profiles ask for becomes
//! digests that somebody vouches for. Whatever has no signed index is
//! downloaded: a lock names only bytes that were seen.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context as _;
use time::OffsetDateTime;

use super::archive::Archive;
use super::{Deb, Download, Lock, PackageSet, cached};
use crate::config::Workspace;
use crate::debian;
use crate::fetch::{Client, FetchError, Wanted};
use crate::handover;
use crate::plan::{BaseLocation, BaseRef, K3s, Profile, Signer};
use crate::progress::Progress;
use crate::signature::openpgp::{self, Keyring};
use crate::signature::sums;
use crate::source::{self, Cache};
use crate::view::ImageView;

/// More than any base, K3s or artifact has.
const MAX_FILE: u64 = 64 << 30;

/// Checksums, signatures and keys: texts of at most this.
const MAX_TEXT: u64 = 4 << 20;

/// Where K3s publishes its releases; the tag comes next, its `+` escaped.
const K3S_RELEASES: &str = "https://github.com/k3s-io/k3s/releases/download";

/// Checksums of a release, for arm64 (facts of install.sh: one line a file).
const K3S_SUMS: &str = "sha256sum-arm64.txt";

/// What to take anew although it is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Update {
    /// Base images.
    pub base: bool,
    /// K3s.
    pub k3s: bool,
    /// What profiles add.
    pub artifacts: bool,
    /// Debian packages.
    pub packages: bool,
    /// Charts that images carry.
    pub charts: bool,
}

/// What to lock, and by what means.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The cluster and its profiles.
    pub workspace: &'a Workspace,
    /// A base image to use in place of the profiles'.
    pub base: Option<&'a Path>,
    /// The lock so far; what it has stays.
    pub old: &'a Lock,
    /// But for this.
    pub update: Update,
    /// The network.
    pub client: &'a Client,
    /// Where downloads go.
    pub cache: &'a Cache,
    /// When signatures must hold.
    pub at: OffsetDateTime,
}

/// Makes a lock. What is not asked for any more is not in it.
///
/// # Errors
/// When something cannot be downloaded, is not what its publisher or the
/// configuration says, or the packages have no solution.
pub fn resolve(job: Job<'_>, progress: &mut dyn Progress) -> anyhow::Result<Lock> {
    let mut lock = Lock::default();
    for profile in job.workspace.profiles() {
        let what = || format!("locking the base of profile {}", profile.name);
        if let (BaseLocation::Url(url), None) = (&profile.base.location, job.base) {
            let base = job.base_image(profile, url, progress).with_context(what)?;
            add(&mut lock.base, base);
        }
        for artifact in &profile.artifacts {
            let what = || format!("locking an artifact of profile {}", profile.name);
            let digest = Vouched {
                sha256: artifact.sha256.clone(),
                by: format!("profile {}", profile.name),
            };
            let known = &job.old.artifact;
            let download = match job.kept(known, &artifact.url, &digest, job.update.artifacts) {
                Some(kept) => kept,
                None => job
                    .download(&artifact.url, digest, progress)
                    .with_context(what)?,
            };
            add(&mut lock.artifact, download);
        }
        if !profile.packages.is_empty() {
            let what = || format!("locking the packages of profile {}", profile.name);
            let set = job.packages(profile, progress).with_context(what)?;
            lock.packages.retain(|other| *other != set);
            lock.packages.push(set);
        }
    }
    if let Some(k3s) = job.workspace.k3s() {
        let what = || format!("locking K3s {}", k3s.version);
        lock.k3s = job.k3s(k3s, progress).with_context(what)?;
        if handover::is_there(job.workspace.cluster_dir()) {
            let what = || format!("locking the chart {}", handover::CHART);
            let chart = job.chart(handover::CHART, progress).with_context(what)?;
            lock.charts.push(chart);
        }
    }
    lock.packages
        .sort_by(|a, b| (&a.base, &a.wanted).cmp(&(&b.base, &b.wanted)));
    Ok(lock)
}

/// The files of a release that a node gets: URL, path on the node, permissions.
pub(crate) fn k3s_files(k3s: &K3s) -> Vec<(String, String, u16)> {
    let mut files = vec![("k3s-arm64", "/usr/local/bin/k3s".to_owned(), 0o755)];
    if k3s.airgap {
        let name = "k3s-airgap-images-arm64.tar.zst";
        let path = format!("/var/lib/rancher/k3s/agent/images/{name}");
        files.push((name, path, 0o644));
    }
    let with_url = |(name, path, mode)| (k3s_url(k3s, name), path, mode);
    files.into_iter().map(with_url).collect()
}

fn k3s_url(k3s: &K3s, name: &str) -> String {
    let tag = k3s.version.replace('+', "%2B");
    format!("{K3S_RELEASES}/{tag}/{name}")
}

/// A digest, and who named it.
pub(super) struct Vouched {
    pub(super) sha256: String,
    pub(super) by: String,
}

impl Job<'_> {
    /// The entry of the old lock, if it is still the one that is wanted.
    fn kept(
        &self,
        known: &[Download],
        url: &str,
        digest: &Vouched,
        anew: bool,
    ) -> Option<Download> {
        if anew {
            return None;
        }
        let same = |old: &&Download| old.url == url && old.sha256 == digest.sha256;
        known.iter().find(same).cloned()
    }

    fn base_image(
        &self,
        profile: &Profile,
        url: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Download> {
        let BaseRef { sha256, signer, .. } = &profile.base;
        let pin = Vouched {
            // A download without one does not get past the configuration.
            sha256: sha256.clone().unwrap_or_default(),
            by: format!("profile {}", profile.name),
        };
        let wanted_signer = signer.as_ref().map(|signer| &signer.fingerprint);
        if let Some(kept) = self
            .kept(&self.old.base, url, &pin, self.update.base)
            .filter(|kept| kept.signer.as_ref() == wanted_signer)
        {
            return Ok(kept);
        }
        let published = self.published_digest(url, progress)?;
        let digest = match published {
            Some(published) if published.sha256 != pin.sha256 => {
                anyhow::bail!(
                    "{} says sha256 {}, the profile pins {}; correct the pin if the publisher is right",
                    published.by,
                    published.sha256,
                    pin.sha256
                )
            }
            Some(published) => published,
            None => {
                progress.note(&format!(
                    "{url} has no .sha256 beside it; the profile's stands"
                ));
                pin
            }
        };
        let mut download = self.download(url, digest, progress)?;
        if let Some(signer) = signer {
            self.check_signature(signer, url, &download.sha256, progress)
                .with_context(|| format!("checking the signature {url}.sig"))?;
            download.signer = Some(signer.fingerprint.clone());
        }
        Ok(download)
    }

    /// What lies beside a download as `.sha256`, `None` if nothing does.
    fn published_digest(
        &self,
        url: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Option<Vouched>> {
        let by = format!("{url}.sha256");
        let text = match self.client.read(&by, MAX_TEXT, progress) {
            Ok(text) => text,
            Err(FetchError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let name = url.rsplit('/').next().unwrap_or(url);
        let sha256 = sums::single(&text, name).with_context(|| format!("reading {by}"))?;
        Ok(Some(Vouched { sha256, by }))
    }

    fn check_signature(
        &self,
        signer: &Signer,
        url: &str,
        sha256: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<()> {
        let keyring = self.key(signer, progress)?;
        let signature = self
            .client
            .read(&format!("{url}.sig"), MAX_TEXT, progress)?;
        progress.step("checking the signature", None);
        let data = File::open(cached(self.cache, url, sha256))?;
        openpgp::detached(&keyring, &signature, data, self.at)?;
        Ok(())
    }

    /// The signer's key and no other: from its file, or from whoever has it.
    fn key(&self, signer: &Signer, progress: &mut dyn Progress) -> anyhow::Result<Keyring> {
        let fingerprint = signer.fingerprint.parse()?;
        let pinned = |bytes: &[u8]| anyhow::Ok(Keyring::parse(bytes)?.pinned(&fingerprint)?);
        if let Some(file) = &signer.key {
            let what = || format!("reading the key {}", file.display());
            return fs::read(file)
                .map_err(anyhow::Error::from)
                .and_then(|bytes| pinned(&bytes))
                .with_context(what);
        }
        let mut why = anyhow::anyhow!(
            "no key server is configured; save the key to a file and name it as `signer_key`"
        );
        for server in &self.workspace.source().keyservers {
            let url = format!("{server}{fingerprint}");
            let bytes = self.client.read(&url, MAX_TEXT, progress);
            match bytes
                .map_err(anyhow::Error::from)
                .and_then(|bytes| pinned(&bytes))
            {
                Ok(keyring) => return Ok(keyring),
                Err(error) => why = error,
            }
        }
        Err(why).with_context(|| format!("getting the key {fingerprint}"))
    }

    fn k3s(&self, k3s: &K3s, progress: &mut dyn Progress) -> anyhow::Result<Vec<Download>> {
        let files = k3s_files(k3s);
        let old = |(url, ..): &(String, String, u16)| {
            let mut known = self.old.k3s.iter();
            known.find(|old| old.url == *url).cloned()
        };
        // All or nothing: binary and images are of one release.
        if let Some(kept) = files.iter().map(old).collect()
            && !self.update.k3s
        {
            return Ok(kept);
        }
        let by = k3s_url(k3s, K3S_SUMS);
        let text = self.client.read(&by, MAX_TEXT, progress)?;
        let what = || format!("reading {by}");
        let sums = sums::Sums::parse(&text).with_context(what)?;
        let mut downloads = Vec::new();
        for (url, ..) in files {
            let name = url.rsplit('/').next().unwrap_or(&url);
            let digest = Vouched {
                sha256: sums.find(name).with_context(what)?.to_owned(),
                by: by.clone(),
            };
            add(&mut downloads, self.download(&url, digest, progress)?);
        }
        Ok(downloads)
    }

    fn packages(
        &self,
        profile: &Profile,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<PackageSet> {
        let base = source::open(&profile.base, self.base, self.cache, progress)?;
        let wanted = &profile.packages;
        if let Some(kept) = self.old.packages(&base.digest, wanted)
            && !self.update.packages
        {
            return Ok(kept.clone());
        }
        progress.step("resolving packages", None);
        let view = ImageView::open(base.boot, base.root)?;
        let archive = Archive::new(self.client, self.at, progress);
        let found = debian::resolve(&view, wanted, &archive, self.at)?;
        archive.note(&found.notes);
        Ok(PackageSet {
            base: base.digest,
            wanted: wanted.clone(),
            deb: found.packages.into_iter().map(Deb::from).collect(),
        })
    }

    /// Brings a file into the cache, under the digest it must have.
    pub(super) fn download(
        &self,
        url: &str,
        digest: Vouched,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Download> {
        let Vouched { sha256, by } = digest;
        let wanted = Wanted {
            url: url.to_owned(),
            sha256: Some(sha256.clone()),
            size: None,
            limit: MAX_FILE,
        };
        let into = cached(self.cache, url, &sha256);
        progress.step(&format!("downloading {url}"), None);
        let fetched = self.client.download(&wanted, &into, progress)?;
        Ok(Download {
            url: url.to_owned(),
            size: fetched.size,
            sha256,
            signer: None,
            digest_from: by,
        })
    }
}

/// In its place by URL; two profiles may share one.
fn add(downloads: &mut Vec<Download>, download: Download) {
    if let Err(place) = downloads.binary_search_by(|other| other.url.cmp(&download.url)) {
        downloads.insert(place, download);
    }
}
