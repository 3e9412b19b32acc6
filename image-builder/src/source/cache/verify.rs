//! Reading everything again.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use super::lock::open_in_use;
use super::{Cache, Listed};
use crate::progress::Progress;

/// How an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it was recorded.
    Good,
    /// Something else than was recorded.
    Damaged,
    /// Nobody recorded what it has to be.
    Unknown,
}

/// What was found about an entry.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The entry.
    pub entry: Listed,
    /// How it is.
    pub state: State,
}

impl Cache {
    /// Reads every entry and compares it with what was recorded. A good one
    /// whose stamp no longer fits, in a cache that was copied, is taken back.
    ///
    /// # Errors
    /// When an entry cannot be read, or on interruption.
    pub fn verify(&self, progress: &mut dyn Progress) -> anyhow::Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for entry in self.list()? {
            let Some(file) = open_in_use(&entry.path)
                .with_context(|| format!("opening {}", entry.path.display()))?
            else {
                // Pruned meanwhile.
                continue;
            };
            let reading = || format!("reading {}", entry.path.display());
            let state = match &entry.digest {
                None => State::Unknown,
                Some(digest) => {
                    let total = entry.kind.to_read(&file.metadata().with_context(reading)?);
                    progress.step(&format!("reading a {}", entry.kind), Some(total));
                    let found = entry.kind.digest(&file, progress).with_context(reading)?;
                    match found == *digest {
                        true => State::Good,
                        false => State::Damaged,
                    }
                }
            };
            if state == State::Good {
                self.recognise(&entry, &file)?;
            }
            verdicts.push(Verdict { entry, state });
        }
        Ok(verdicts)
    }

    /// Removes an entry and what is known about it. A run that uses it keeps the
    /// file it has open.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, entry: &Listed) -> anyhow::Result<()> {
        fs::remove_file(&entry.path)
            .with_context(|| format!("removing {}", entry.path.display()))?;
        self.forget(entry.kind, &entry.name);
        Ok(())
    }
}
