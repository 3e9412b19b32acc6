//! From a chart that is wanted to the bytes that are it: what its publisher's index
//! or registry says, against what is known beforehand.

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::index::{self, Release};
use super::lock::Oci;
use super::oci::{self, Manifest, Tags};
use super::problem::Disagreement;
use super::wanted::{Chart, Known, Repository};
use super::yaml::YamlError;
use super::{ChartsError, Version};
use crate::config::download;
use crate::fetch::{Client, Wanted};
use crate::progress::Progress;
use crate::source::Cache;

/// More than any index has: the largest known has a tenth of it.
const INDEX: u64 = 1 << 30;

/// More than any chart has: Helm unpacks 100 MiB.
pub(super) const ARCHIVE: u64 = 100 << 20;

/// A registry's documents.
const DOCUMENT: u64 = 4 << 20;

/// Most pages of tags that are read; each has up to a thousand.
const PAGES: usize = 100;

/// Where charts come from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The network.
    pub client: &'a Client,
    /// Where downloads go.
    pub cache: &'a Cache,
}

/// An archive that somebody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As its publisher writes it.
    pub version: Version,
    /// Where it is.
    pub url: String,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// In bytes, where that is known.
    pub size: Option<u64>,
    /// Who named the sha256: a URL, or what charts.toml says.
    pub digest_from: String,
    /// What its registry calls it.
    pub oci: Option<Oci>,
}

/// Finds the archives of charts, in their order. Each index is read once.
///
/// # Errors
/// [`ChartsError`] or [`crate::fetch::FetchError`] in the chain.
pub fn resolve(
    charts: &[&Chart],
    source: Source<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<Found>> {
    let mut listings = source.listings(charts, progress)?;
    let mut found = Vec::new();
    for chart in charts {
        found.push(match &chart.repository {
            Repository::Http(url) => {
                let releases = listings.remove(&(chart.repository.clone(), chart.name.clone()));
                in_index(chart, url, &releases.unwrap_or_default())?
            }
            Repository::Oci { host, path } => source.in_registry(chart, host, path, progress)?,
        });
    }
    Ok(found)
}

/// What indexes say, by repository and chart.
pub(super) type Listings = BTreeMap<(Repository, String), Vec<Release>>;

impl Source<'_> {
    /// Reads the indexes of these charts.
    pub(super) fn listings(
        &self,
        charts: &[&Chart],
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Listings> {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for chart in charts {
            if let Repository::Http(url) = &chart.repository {
                names.entry(url).or_default().push(&chart.name);
            }
        }
        let mut listings = Listings::new();
        for (url, names) in names {
            let index = self.index(url, &names, progress)?;
            let of = |name| (Repository::Http(url.to_owned()), name);
            listings.extend(
                index
                    .0
                    .into_iter()
                    .map(|(name, releases)| (of(name), releases)),
            );
        }
        Ok(listings)
    }

    fn index(
        &self,
        repository: &str,
        names: &[&str],
        progress: &mut dyn Progress,
    ) -> anyhow::Result<index::Listing> {
        let url = index_url(repository);
        let what = || format!("reading the index {url}");
        let wanted = Wanted {
            url: url.clone(),
            sha256: None,
            size: None,
            limit: INDEX,
        };
        // Into a file: reading it may take longer than its server waits, and what
        // was cut off goes on.
        let file = self.cache.index(&url);
        self.client
            .download(&wanted, &file, progress)
            .with_context(what)?;
        progress.step(&format!("reading {url}"), None);
        let file = File::open(&file).with_context(what)?;
        index::read(file, names).map_err(|source| ChartsError::Index { url, source }.into())
    }

    fn in_registry(
        &self,
        chart: &Chart,
        host: &str,
        path: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Found> {
        let base = format!("https://{host}/v2/{path}/{}", chart.name);
        let url = format!("{base}/manifests/{}", chart.version.tag());
        let what = || {
            format!(
                "reading the manifest of {} in {}",
                chart.title(),
                chart.repository
            )
        };
        let bytes = self
            .client
            .read_as(&url, oci::MANIFEST, DOCUMENT, progress)
            .with_context(what)?;
        let digest = base16ct::lower::encode_string(&Sha256::digest(&bytes));
        let Manifest { layer, size } =
            Manifest::parse(&bytes).map_err(|why| ChartsError::Registry {
                url: url.clone(),
                why,
            })?;
        agree(chart, &layer, &url)?;
        Ok(Found {
            version: chart.version.clone(),
            url: format!("{base}/blobs/sha256:{layer}"),
            size: Some(size),
            digest_from: url,
            oci: Some(Oci {
                manifest: format!("sha256:{digest}"),
                layer: format!("sha256:{layer}"),
            }),
            sha256: layer,
        })
    }

    /// The versions that a registry has of a chart.
    pub(super) fn tags(
        &self,
        chart: &str,
        host: &str,
        path: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Vec<Version>> {
        let base = format!("https://{host}/v2/{path}/{chart}/tags/list");
        let mut versions = Vec::new();
        let mut url = format!("{base}?n=1000");
        for _ in 0..PAGES {
            let what = || format!("reading the tags of {chart} in oci://{host}/{path}");
            let bytes = self
                .client
                .read(&url, DOCUMENT, progress)
                .with_context(what)?;
            let page = Tags::parse(&bytes).map_err(|why| ChartsError::Registry {
                url: url.clone(),
                why,
            })?;
            versions.extend(page.versions);
            // Registries that know no pages say all of it again and again.
            let next = page.last.map(|last| format!("{base}?n=1000&last={last}"));
            match next.filter(|next| *next != url) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(versions)
    }
}

/// Where a repository's index is.
pub(super) fn index_url(repository: &str) -> String {
    format!("{repository}/index.yaml")
}

/// The archive that an index names for the version that is wanted.
fn in_index(chart: &Chart, repository: &str, releases: &[Release]) -> Result<Found, ChartsError> {
    let mut same = releases
        .iter()
        .filter(|release| release.version == chart.version);
    let Some(release) = same.next() else {
        return Err(absent(chart, releases));
    };
    let url =
        archive_url(repository, release.url.as_deref().unwrap_or_default()).map_err(|why| {
            ChartsError::Url {
                chart: chart.title(),
                url: release.url.clone().unwrap_or_default(),
                why,
            }
        })?;
    let published = release
        .digest
        .as_deref()
        .map(|text| text.strip_prefix("sha256:").unwrap_or(text));
    let index = index_url(repository);
    let (sha256, digest_from) = match (published, &chart.known) {
        (Some(text), _) => {
            let sha256 = download::digest(text).map_err(|wrong| ChartsError::Index {
                url: index.clone(),
                source: YamlError::Form(format!(
                    "the digest of {}: {}",
                    chart.title(),
                    wrong.message
                )),
            })?;
            agree(chart, &sha256, &index)?;
            (sha256, index)
        }
        (None, Some(known)) => (known.sha256.clone(), format!("charts.toml: {}", known.from)),
        (None, None) => {
            return Err(ChartsError::NoDigest {
                repository: repository.to_owned(),
                chart: chart.title(),
            });
        }
    };
    Ok(Found {
        version: release.version.clone(),
        url,
        sha256,
        size: None,
        digest_from,
        oci: None,
    })
}

/// Where an archive is: what an index says may be relative to the repository.
fn archive_url(repository: &str, text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the index names none".into());
    }
    let base = Url::parse(&format!("{repository}/")).map_err(|error| error.to_string())?;
    let url = base.join(text).map_err(|error| error.to_string())?;
    if url.scheme() == "file" && base.scheme() != "file" {
        return Err("it is a file of this machine".into());
    }
    download::url(url.as_str()).map_err(|wrong| format!("{}; tell its publisher", wrong.message))
}

/// Checks what a publisher says against what charts.toml says.
fn agree(chart: &Chart, published: &str, by: &str) -> Result<(), ChartsError> {
    let Some(Known {
        sha256,
        from,
        is_hearsay,
    }) = chart
        .known
        .as_ref()
        .filter(|known| known.sha256 != published)
    else {
        return Ok(());
    };
    Err(ChartsError::Digest(Box::new(Disagreement {
        chart: chart.title(),
        published: published.to_owned(),
        by: by.to_owned(),
        known: sha256.clone(),
        from: from.clone(),
        advice: match is_hearsay {
            true => {
                "the latter was hearsay: compare with the publisher's own release page, then correct charts.toml"
            }
            false => {
                "the archive was replaced since, or somebody is between you and the publisher: do not use it before you know"
            }
        },
    })))
}

/// Nothing of that name, or nothing of that version: then the newest there is.
fn absent(chart: &Chart, releases: &[Release]) -> ChartsError {
    let newest = releases
        .iter()
        .map(|release| &release.version)
        .filter(|version| !version.is_prerelease())
        .max();
    let (what, advice) = match newest {
        Some(newest) => (chart.title(), format!("its newest is {newest}")),
        None => (
            format!("chart {:?}", chart.name),
            "look whether the name and the repository are right".into(),
        ),
    };
    ChartsError::Absent {
        repository: chart.repository.to_string(),
        what,
        advice,
    }
}
