//! `imgbuild schema`.

use crate::config::{self, SchemaKind};

use super::terminal;

/// Arguments of `imgbuild schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file's schema.
    #[arg(value_enum)]
    kind: Kind,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// cluster.toml
    Cluster,
    /// profiles/*.toml
    Profile,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let kind = match args.kind {
        Kind::Cluster => SchemaKind::Cluster,
        Kind::Profile => SchemaKind::Profile,
    };
    terminal::print_json(&config::schema(kind))
}
