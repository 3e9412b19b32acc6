//! What was decided, kept for the boots to come.

use node_config::handover::Source;
use serde::{Deserialize, Serialize};

use crate::system::{System, SystemError, replace};

/// In the agent's own folder.
const FILE: &str = "/var/lib/imgbuild/bootstrap.json";

/// What the cluster is handed over with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    /// For people.
    pub(super) words: String,
    /// What was pulled; none where the baked texts stay.
    pub(super) texts: Option<[String; 3]>,
}

impl Decision {
    /// The image's own, because of that.
    pub(super) fn baked(source: &Source, why: &str) -> Self {
        Self {
            words: format!(
                "warning: the cluster starts with the bootstrap that was baked into the image; {}: \
                 {why}",
                source.repository
            ),
            texts: None,
        }
    }

    /// Writes it down.
    pub(super) fn keep(&self, sys: &dyn System) -> Result<(), SystemError> {
        let text = serde_json::to_string(self).expect("plain data serialises to JSON");
        replace(sys, FILE, 0o600, text.as_bytes())
    }
}

/// What was decided at an earlier boot. Half a file is none: it is written beside.
pub(super) fn decided(sys: &dyn System) -> Result<Option<Decision>, SystemError> {
    let text = sys.read(FILE)?.unwrap_or_default();
    Ok(serde_json::from_slice(&text).ok())
}
