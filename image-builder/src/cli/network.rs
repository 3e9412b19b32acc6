//! What the subcommands that download have in common.

use std::path::PathBuf;

use crate::fetch::{Client, FetchError, Mirror, Settings};
use crate::plan::Source;

/// How to reach the network, beside what the cluster file says.
#[derive(Debug, clap::Args)]
pub(super) struct Network {
    /// Download nothing: only what is here and `file:` URLs.
    #[arg(long)]
    offline: bool,
    /// Certificates to trust beside the system's, in place of the cluster
    /// file's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Network {
    pub(super) fn client(&self, source: &Source) -> Result<Client, FetchError> {
        let mirrors = source.mirrors.iter().map(|(from, to)| Mirror {
            from: from.clone(),
            to: to.clone(),
        });
        Client::new(Settings {
            ca_file: self.ca_file.clone().or_else(|| source.ca_file.clone()),
            mirrors: mirrors.collect(),
            offline: self.offline,
            ..Settings::default()
        })
    }
}
