//! The custom kinds that are known: those of the platform's own operators, which come
//! with imgbuild, and those that the tree brings itself.

use serde_json::{Map, Value, json};

use super::Scope;
use super::crd::{self, Crd};
use crate::gitops::object;
use crate::gitops::tree::{CHARTS, MANIFESTS, Tree};
use crate::gitops::yaml::{self, Whose};

/// The strict schemas of `ci/upstream/crds`, as JSON: `group/version/Kind` to scope and
/// schema. A test holds it against what it was made from.
const EMBEDDED: &[u8] = include_bytes!("schemas.json.zst");
/// Far more than it is unpacked.
const LARGEST: u64 = 64 << 20;

/// Custom kinds by API version and kind.
#[derive(Debug)]
pub struct Known(Vec<Crd>);

impl Known {
    /// Those that come with imgbuild.
    pub fn embedded() -> Self {
        let unpacked = zstd::decode_all(EMBEDDED).unwrap_or_default();
        debug_assert!(unpacked.len() as u64 <= LARGEST);
        let table: Map<String, Value> = serde_json::from_slice(&unpacked).unwrap_or_default();
        let kinds = table.into_iter().filter_map(|(name, value)| {
            let (version, kind) = name.rsplit_once('/')?;
            let scope = match value["cluster"].as_bool() {
                Some(true) => Scope::Cluster,
                _ => Scope::Namespace,
            };
            let schema = value["schema"].clone();
            Some(Crd::new(version.to_owned(), kind.to_owned(), scope, schema))
        });
        Self(kinds.collect())
    }

    /// Kinds by the texts of their definitions.
    pub fn from_definitions<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let documents = texts
            .into_iter()
            .flat_map(|text| yaml::documents_of(text, Whose::Others).unwrap_or_default());
        Self(
            documents
                .flat_map(|node| crd::of(&node.to_json()))
                .collect(),
        )
    }

    /// These, and those the tree brings: definitions among its manifests, and in the
    /// `crds/` folders of vendored charts. What the tree says goes before.
    pub fn with(mut self, tree: &Tree) -> Self {
        let manifests = tree.below(MANIFESTS);
        let charts = tree.below(CHARTS).filter(|path| path.contains("/crds/"));
        let texts: Vec<String> = manifests
            .chain(charts)
            .filter(|path| object::is_yaml(path))
            .filter_map(|path| tree.text(path))
            .filter(|text| text.contains("CustomResourceDefinition"))
            .collect();
        let Self(mut own) = Self::from_definitions(texts.iter().map(String::as_str));
        own.append(&mut self.0);
        Self(own)
    }

    pub(super) fn find(&self, version: &str, kind: &str) -> Option<&Crd> {
        self.0
            .iter()
            .find(|known| (known.version.as_str(), known.kind.as_str()) == (version, kind))
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|known| (known.version.as_str(), known.kind.as_str()))
    }

    /// As JSON, the way the embedded file is.
    pub fn to_json(&self) -> Value {
        let entries = self.0.iter().map(|known| {
            let is_cluster = known.scope == Scope::Cluster;
            let value = json!({"cluster": is_cluster, "schema": known.schema});
            (format!("{}/{}", known.version, known.kind), value)
        });
        Value::Object(entries.collect())
    }
}
