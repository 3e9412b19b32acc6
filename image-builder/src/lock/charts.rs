//! The charts that images carry: of what is vendored, so that what is installed
//! first is what Argo CD renders later; else of what is wanted.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::resolve::{Job, Vouched};
use crate::charts::{self, Chart, ChartsError, Found, Locked, Places, Source, Vendored, Wanted};
use crate::progress::Progress;

/// A chart's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartFile {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who publishes it.
    pub repository: String,
    /// Where the archive is.
    pub url: String,
    /// Length in bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// What named the digest.
    pub digest_from: String,
}

impl Job<'_> {
    /// Locks the chart `name` of the cluster's list.
    pub(super) fn chart(
        &self,
        name: &str,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<ChartFile> {
        let places = Places::of(self.workspace.cluster_dir());
        let wanted = Wanted::load(&places.wanted)?.charts;
        let chart = wanted.iter().find(|chart| chart.name == name);
        let chart = chart.ok_or_else(|| ChartsError::Unknown(name.to_owned()))?;
        let locked = Locked::load(&places.lock)?;
        let vendored = locked
            .get(name)
            .filter(|entry| entry.misses(chart).is_none());
        let archive = match (vendored, self.kept_chart(chart)) {
            (Some(vendored), _) => of_vendored(vendored),
            (None, Some(kept)) => return Ok(kept),
            (None, None) => self.published(chart, progress)?,
        };
        let digest = Vouched {
            sha256: archive.sha256.clone(),
            by: archive.digest_from.clone(),
        };
        let download = self.download(&archive.url, digest, progress)?;
        Ok(ChartFile {
            size: download.size,
            ..archive
        })
    }

    /// The entry of the old lock, if it is still what is wanted.
    fn kept_chart(&self, chart: &Chart) -> Option<ChartFile> {
        let same = |old: &&ChartFile| {
            old.name == chart.name
                && old.version == chart.version.as_str()
                && old.repository == chart.repository.to_string()
                && chart
                    .known
                    .as_ref()
                    .is_none_or(|known| known.sha256 == old.sha256)
        };
        let mut old = self.old.charts.iter();
        old.find(same).filter(|_| !self.update.charts).cloned()
    }

    fn published(&self, chart: &Chart, progress: &mut dyn Progress) -> anyhow::Result<ChartFile> {
        let source = Source {
            client: self.client,
            cache: self.cache,
        };
        let found = charts::resolve(&[chart], source, progress)?;
        let Found {
            version: _,
            url,
            sha256,
            size,
            digest_from,
            oci: _,
        } = found.into_iter().next().context("asking for one chart")?;
        Ok(ChartFile {
            name: chart.name.clone(),
            version: chart.version.to_string(),
            repository: chart.repository.to_string(),
            url,
            size: size.unwrap_or_default(),
            sha256,
            digest_from,
        })
    }
}

fn of_vendored(vendored: &Vendored) -> ChartFile {
    let Vendored {
        name,
        repository,
        version,
        url,
        sha256,
        size,
        digest_from,
        ..
    } = vendored.clone();
    ChartFile {
        name,
        version,
        repository,
        url,
        size,
        sha256,
        digest_from,
    }
}
