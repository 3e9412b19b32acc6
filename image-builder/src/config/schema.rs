//! The JSON schema of the files: for editors, and for our own first look.

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::written::{ClusterFile, ProfileFile};

/// Which file's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// `cluster.toml`.
    Cluster,
    /// `profiles/*.toml`.
    Profile,
}

/// The JSON schema (draft 7, which TOML editors read) of a file.
pub fn schema(kind: SchemaKind) -> Value {
    shared(kind).clone()
}

/// The same, made once.
pub(crate) fn shared(kind: SchemaKind) -> &'static Value {
    static CLUSTER: LazyLock<Value> = LazyLock::new(generate::<ClusterFile>);
    static PROFILE: LazyLock<Value> = LazyLock::new(generate::<ProfileFile>);
    match kind {
        SchemaKind::Cluster => &CLUSTER,
        SchemaKind::Profile => &PROFILE,
    }
}

fn generate<T: JsonSchema>() -> Value {
    // Without references: simple to walk, and editors show the descriptions.
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
