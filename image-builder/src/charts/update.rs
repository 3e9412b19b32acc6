//! What is newer than what is wanted.

use super::resolve::Source;
use super::wanted::{Chart, Repository};
use super::{ChartsError, Version};
use crate::progress::Progress;

/// What a chart's publisher has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The chart.
    pub name: String,
    /// Its version in charts.toml.
    pub wanted: Version,
    /// The newest there is, if that is newer. No pre-release, unless one is wanted.
    pub newer: Option<Version>,
    /// What the newer one installs, where its publisher says so.
    pub app_version: Option<String>,
    /// Whether its publisher gave the chart up.
    pub is_deprecated: bool,
}

/// Asks the publishers of these charts, and answers in their order.
///
/// # Errors
/// [`ChartsError`] or [`crate::fetch::FetchError`] in the chain.
pub fn news(
    charts: &[&Chart],
    source: Source<'_>,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<News>> {
    let mut listings = source.listings(charts, progress)?;
    let mut all = Vec::new();
    for chart in charts {
        let key = (chart.repository.clone(), chart.name.clone());
        let releases = match &chart.repository {
            Repository::Http(_) => listings.remove(&key).unwrap_or_default(),
            Repository::Oci { host, path } => {
                let versions = source.tags(&chart.name, host, path, progress)?;
                versions.into_iter().map(bare).collect()
            }
        };
        let Some(newest) = releases
            .iter()
            .max_by(|one, other| one.version.cmp(&other.version))
        else {
            return Err(ChartsError::Absent {
                repository: chart.repository.to_string(),
                what: format!("chart {:?}", chart.name),
                advice: "it was moved or given up; look at its publisher's pages".into(),
            }
            .into());
        };
        let is_deprecated = newest.is_deprecated;
        let newer = releases
            .into_iter()
            .filter(|release| release.version.is_news_to(&chart.version));
        let newer = newer.max_by(|one, other| one.version.cmp(&other.version));
        all.push(News {
            name: chart.name.clone(),
            wanted: chart.version.clone(),
            is_deprecated,
            app_version: newer
                .as_ref()
                .and_then(|release| release.app_version.clone()),
            newer: newer.map(|release| release.version),
        });
    }
    Ok(all)
}

/// All that a tag says.
fn bare(version: Version) -> super::index::Release {
    super::index::Release {
        version,
        app_version: None,
        digest: None,
        url: None,
        is_deprecated: false,
    }
}
