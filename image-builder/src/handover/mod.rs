//! What the first server hands its cluster over to Argo CD with: the chart, so that
//! no network is needed, the HelmChart by which K3s installs it, and the projects
//! and the root Application that make the rest. Files for an image; rendered from
//! texts, and tested as texts.
//! What K3s does with them: docs.k3s.io, "Packaged components" and "Helm".

mod manifest;
mod unit;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Disk, Files as _};
use crate::overlay::{Content, PayloadFile};
use node_config::paths;

/// The chart, and the folder it is vendored in.
pub const CHART: &str = "argo-cd";

/// The unit that ends K3s' part in it.
pub const UNIT: &str = "imgbuild-handover.service";

/// The folder of the texts, beside the cluster file.
const DIR: &str = "bootstrap";

/// The values, for here and for the Application that takes Argo CD over: with
/// others, the two would fight for ever.
const VALUES: &str = "argocd-values.yaml";

/// What K3s applies besides, in this order. An Application needs its project.
const OBJECTS: [&str; 2] = ["project.yaml", "root.yaml"];

/// Longest of these texts. K3s keeps each in etcd, which takes 1.5 MiB.
const LIMIT: u64 = 1 << 20;

/// Why there is nothing to hand over with.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// A text is missing, or cannot be read.
    #[error("reading {}: {source}; the folder {DIR}/ has {VALUES}, {} and {}, or is not there at all", path.display(), OBJECTS[0], OBJECTS[1])]
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

/// The cluster's own texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Values of the chart.
    pub values: String,
    /// Name and text of what K3s applies besides.
    pub objects: Vec<(&'static str, String)>,
}

impl Handover {
    /// Reads them; `None` when the cluster has none, and so is not handed over.
    ///
    /// # Errors
    /// When some of them are missing, or cannot be read.
    pub fn load(cluster_dir: &Path) -> Result<Option<Self>, HandoverError> {
        let dir = cluster_dir.join(DIR);
        if !is_there(cluster_dir) {
            return Ok(None);
        }
        let read = |name: &str| {
            let path = dir.join(name);
            match Disk.read(&path, LIMIT) {
                Ok(bytes) => String::from_utf8(bytes).map_err(|_| HandoverError::Text(path)),
                Err(source) => Err(HandoverError::File { path, source }),
            }
        };
        let mut objects = Vec::new();
        for name in OBJECTS {
            objects.push((name, read(name)?));
        }
        Ok(Some(Self {
            values: read(VALUES)?,
            objects,
        }))
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
        let helm_chart = manifest::helm_chart(&archive, &self.values);
        let objects = self.objects.iter().map(|(_, text)| text.as_str());
        let texts = [helm_chart.as_str()].into_iter().chain(objects);
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

    /// What the agent is told of it.
    pub fn told(&self, version: &str) -> node_config::Handover {
        node_config::Handover {
            chart: archive(version),
            source: None,
        }
    }
}

fn archive(version: &str) -> String {
    format!("{CHART}-{version}.tgz")
}

/// Whether a cluster has texts to hand over with.
pub fn is_there(cluster_dir: &Path) -> bool {
    cluster_dir.join(DIR).is_dir()
}
