//! CustomResourceDefinitions: what they say of a kind.

use std::sync::OnceLock;

use serde_json::Value;

use super::Scope;
use super::schema::{Schema, strict};

/// One kind in one version.
#[derive(Debug)]
pub(in crate::gitops) struct Crd {
    /// `metallb.io/v1beta1`.
    pub(super) version: String,
    /// `IPAddressPool`.
    pub(super) kind: String,
    pub(super) scope: Scope,
    /// Strict already.
    pub(super) schema: Value,
    compiled: OnceLock<Schema>,
}

impl Crd {
    pub(super) fn new(version: String, kind: String, scope: Scope, schema: Value) -> Self {
        Self {
            version,
            kind,
            scope,
            schema,
            compiled: OnceLock::new(),
        }
    }

    /// What its objects are held against, made when the first of them comes: most kinds
    /// have none.
    pub(super) fn validator(&self) -> &Schema {
        self.compiled.get_or_init(|| {
            let schema = Schema::draft7(&self.schema);
            // One the API server takes and we do not would refuse good objects.
            schema.unwrap_or_else(|_| Schema::draft7(&Value::Bool(true)).expect("takes anything"))
        })
    }
}

/// The kinds that a CustomResourceDefinition defines, one a version that is served;
/// none if it is no such thing.
pub(in crate::gitops) fn of(document: &Value) -> Vec<Crd> {
    if document["kind"] != "CustomResourceDefinition" {
        return Vec::new();
    }
    let spec = &document["spec"];
    let (Some(group), Some(kind)) = (spec["group"].as_str(), spec["names"]["kind"].as_str()) else {
        return Vec::new();
    };
    let scope = match spec["scope"].as_str() {
        Some("Cluster") => Scope::Cluster,
        _ => Scope::Namespace,
    };
    let versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] != false);
    served
        .filter_map(|version| {
            let name = format!("{group}/{}", version["name"].as_str()?);
            let schema = strict(&version["schema"]["openAPIV3Schema"]);
            Some(Crd::new(name, kind.to_owned(), scope, schema))
        })
        .collect()
}
