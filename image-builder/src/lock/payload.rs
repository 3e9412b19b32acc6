//! What a node's image carries of what is locked: verified files of the cache.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;
use node_config::paths;

use super::resolve::k3s_files;
use super::{Download, Lock, cached};
use crate::handover::{self, Handover};
use crate::io::Region;
use crate::overlay::{Content, Payload, PayloadFile};
use crate::plan::{Artifact, GitOps, K3s, Profile};
use crate::progress::Progress;
use crate::secrets::Repository;
use crate::source::Cache;

/// Why an image cannot be made of what is locked and fetched.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// The configuration asks for what the lock does not know.
    #[error("{0} is not in the lock; run `imgbuild lock`")]
    Lock(String),
    /// The lock knows it, and it is not here.
    #[error("{} is not in the cache; run `imgbuild fetch`", path.display())]
    Cache {
        /// Where it would be.
        path: PathBuf,
    },
    /// It is here and is something else.
    #[error(
        "{} has sha256 {found}, not {expected}; remove it with `imgbuild cache verify --remove`, \
         then run `imgbuild fetch`",
        path.display()
    )]
    Changed {
        /// Where it is.
        path: PathBuf,
        /// What the lock says.
        expected: String,
        /// What it has.
        found: String,
    },
}

/// Finds everything that a profile and its cluster's K3s ask for. `base` is the
/// sha256 of the unpacked base.
///
/// # Errors
/// [`Missing`] in the chain, or the cache cannot be read.
pub fn payload(
    lock: &Lock,
    k3s: Option<&K3s>,
    profile: &Profile,
    base: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<Payload> {
    let mut payload = Payload::default();
    let mut add = |path: String, mode: u16, url: &str, sha256: &str| {
        let content = stored(cache, url, sha256, progress)?;
        payload.files.push(PayloadFile {
            path,
            mode,
            content,
        });
        anyhow::Ok(())
    };
    for (url, path, mode) in k3s.into_iter().flat_map(k3s_files) {
        add(path, mode, &url, &locked(&lock.k3s, &url)?.sha256)?;
    }
    for Artifact {
        url,
        sha256,
        path,
        mode,
    } in &profile.artifacts
    {
        if locked(&lock.artifact, url)?.sha256 != *sha256 {
            return Err(Missing::Lock(format!("{url} with sha256 {sha256}")).into());
        }
        add(path.clone(), *mode, url, sha256)?;
    }
    let wanted = &profile.packages;
    if !wanted.is_empty() {
        let missing = || Missing::Lock(format!("what {} need on this base", wanted.join(", ")));
        let set = lock.packages(base, wanted).ok_or_else(missing)?;
        let mut packages = Vec::new();
        for deb in &set.deb {
            let package = deb.package()?;
            let path = format!("{}/{}", paths::PACKAGES_DIR, package.file);
            add(path, 0o644, &deb.url, &deb.sha256)?;
            packages.push(package);
        }
        payload.packages = packages;
    }
    Ok(payload)
}

/// Adds what the server that founds the cluster is to hand it over with.
///
/// # Errors
/// [`Missing`] in the chain, or the cache cannot be read.
pub fn hand_over(
    payload: &mut Payload,
    handover: &Handover,
    (gitops, repository): (Option<&GitOps>, Option<&Repository>),
    lock: &Lock,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let missing = || Missing::Lock(format!("the chart {}", handover::CHART));
    let chart = lock.chart(handover::CHART).ok_or_else(missing)?;
    let content = stored(cache, &chart.url, &chart.sha256, progress)?;
    let files = handover.files(&chart.version, content);
    payload.files.extend(files);
    if let (Some(gitops), Some(repository)) = (gitops, repository) {
        ensure!(
            gitops.is_ssh() == repository.is_ssh(),
            "what the secrets file keeps to read {} with is for another way there: `imgbuild \
             secrets set repository`",
            gitops.repository
        );
        let file = handover::credential(gitops, repository);
        payload.files.push(file);
    }
    payload.units.push(handover::UNIT);
    payload.handover = Some(handover::told(&chart.version, gitops, repository));
    Ok(())
}

fn locked<'a>(downloads: &'a [Download], url: &str) -> Result<&'a Download, Missing> {
    let mut downloads = downloads.iter();
    let found = downloads.find(|download| download.url == url);
    found.ok_or_else(|| Missing::Lock(url.to_owned()))
}

/// A file of the cache, its digest checked since it last changed.
fn stored(
    cache: &Cache,
    url: &str,
    sha256: &str,
    progress: &mut dyn Progress,
) -> anyhow::Result<Content> {
    let path = cached(cache, url, sha256);
    let Ok(file) = File::open(&path) else {
        return Err(Missing::Cache { path }.into());
    };
    let found = cache.digest_of(&path, progress)?;
    if found != sha256 {
        let expected = sha256.to_owned();
        return Err(Missing::Changed {
            path,
            expected,
            found,
        }
        .into());
    }
    Ok(Content::Stored {
        bytes: Region::whole(Arc::new(file))?,
        sha256: found,
    })
}
