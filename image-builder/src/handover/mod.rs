//! What the first server hands its cluster over to Argo CD with: the chart, so that
//! no network is needed, the HelmChart by which K3s installs it, and the projects
//! and the root Application that make the rest. Files for an image; rendered from
//! texts, and tested as texts.
//! What K3s does with them: docs.k3s.io, "Packaged components" and "Helm".

mod unit;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Disk, Files as _};
use crate::overlay::{Content, PayloadFile};
use crate::plan::GitOps;
use crate::secrets::Repository;
use node_config::handover::{FOLDER, LONGEST_TEXT, Source, TEXTS, manifests};
use node_config::paths;

/// The chart, and the folder it is vendored in.
pub const CHART: &str = "argo-cd";

/// The unit that ends K3s' part in it.
pub const UNIT: &str = "imgbuild-handover.service";

/// Why there is nothing to hand over with.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// A text is missing, or cannot be read.
    #[error("reading {}: {source}; the folder {FOLDER}/ has {}, or is not there at all", path.display(), TEXTS.join(", "))]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not text.
    #[error("{} is not UTF-8", .0.display())]
    Text(PathBuf),
}

/// The cluster's own texts, in the order of [`TEXTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover(pub [String; 3]);

impl Handover {
    /// Reads them; `None` when the cluster has none, and so is not handed over.
    ///
    /// # Errors
    /// When some of them are missing, or cannot be read.
    pub fn load(cluster_dir: &Path) -> Result<Option<Self>, HandoverError> {
        let dir = cluster_dir.join(FOLDER);
        if !is_there(cluster_dir) {
            return Ok(None);
        }
        let read = |name: &str| {
            let path = dir.join(name);
            match Disk.read(&path, LONGEST_TEXT) {
                Ok(bytes) => String::from_utf8(bytes).map_err(|_| HandoverError::Text(path)),
                Err(source) => Err(HandoverError::File { path, source }),
            }
        };
        let [values, projects, root] = TEXTS;
        Ok(Some(Self([read(values)?, read(projects)?, read(root)?])))
    }

    /// The files of the first server: the chart where K3s serves it from, what K3s
    /// applies, and the unit that has it do so no longer.
    pub fn files(&self, version: &str, chart: Content) -> Vec<PayloadFile> {
        let archive = archive(version);
        let mut files = vec![PayloadFile {
            path: format!("{}/{archive}", paths::K3S_CHARTS),
            mode: 0o644,
            content: chart,
        }];
        let texts = manifests(&archive, &self.0);
        files.extend(
            paths::K3S_HANDOVER
                .iter()
                .zip(texts)
                .map(|(path, text)| PayloadFile {
                    path: (*path).to_owned(),
                    mode: 0o600,
                    content: text.into(),
                }),
        );
        files.push(PayloadFile {
            path: format!("/etc/systemd/system/{UNIT}"),
            mode: 0o644,
            content: unit::text().into(),
        });
        files
    }
}

/// What lets Argo CD, and the agent before it, read the repository.
pub fn credential(gitops: &GitOps, repository: &Repository) -> PayloadFile {
    PayloadFile {
        path: paths::K3S_REPOSITORY.to_owned(),
        mode: 0o600,
        content: repository.credential().render(&gitops.repository).into(),
    }
}

/// What the agent is told: of the chart, and of where the texts come from, if it is
/// said whose to take.
pub fn told(
    version: &str,
    gitops: Option<&GitOps>,
    repository: Option<&Repository>,
) -> node_config::Handover {
    let source = |gitops: &GitOps| {
        Some(Source {
            repository: gitops.repository.clone(),
            revision: gitops.revision.clone(),
            path: gitops.path.clone(),
            trust: gitops.trust.clone()?,
            ca: gitops.ca.clone(),
            known_hosts: repository
                .and_then(Repository::known_hosts)
                .map(str::to_owned),
        })
    };
    node_config::Handover {
        chart: archive(version),
        source: gitops.and_then(source),
    }
}

fn archive(version: &str) -> String {
    format!("{CHART}-{version}.tgz")
}

/// Whether a cluster has texts to hand over with.
pub fn is_there(cluster_dir: &Path) -> bool {
    cluster_dir.join(FOLDER).is_dir()
}
