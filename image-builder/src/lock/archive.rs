//! Debian's archive, as [`debian`] asks for it: over the network, and signed.

use std::cell::RefCell;

use anyhow::Context as _;
use time::OffsetDateTime;

use super::Deb;
use crate::debian;
use crate::fetch::Client;
use crate::progress::Progress;
use crate::signature::openpgp::{self, Keyring};

/// Debian's archive, as the resolver sees it.
pub(super) struct Archive<'a, 'p> {
    client: &'a Client,
    at: OffsetDateTime,
    progress: RefCell<&'p mut (dyn Progress + 'p)>,
}

impl<'a, 'p> Archive<'a, 'p> {
    /// `at` is the time at which signatures must hold.
    pub(super) fn new(
        client: &'a Client,
        at: OffsetDateTime,
        progress: &'p mut (dyn Progress + 'p),
    ) -> Self {
        Self {
            client,
            at,
            progress: RefCell::new(progress),
        }
    }

    /// Says what the user should know.
    pub(super) fn note(&self, notes: &[String]) {
        for note in notes {
            self.progress.borrow_mut().note(note);
        }
    }
}

impl debian::Repository for Archive<'_, '_> {
    fn get(&self, url: &str, limit: u64) -> anyhow::Result<Vec<u8>> {
        let mut progress = self.progress.borrow_mut();
        Ok(self.client.read(url, limit, &mut **progress)?)
    }

    fn verified(&self, inrelease: &[u8], keyrings: &[Vec<u8>]) -> anyhow::Result<String> {
        let mut all: Option<Keyring> = None;
        for keyring in keyrings {
            let keyring = Keyring::parse(keyring)?;
            all = Some(match all {
                Some(all) => all.merge(keyring),
                None => keyring,
            });
        }
        let all = all.context("the base has no key for this archive")?;
        Ok(openpgp::cleartext(&all, inrelease, self.at)?.text)
    }
}

impl From<debian::Deb> for Deb {
    fn from(found: debian::Deb) -> Self {
        let debian::Deb {
            name,
            version,
            architecture,
            url,
            size,
            sha256,
            wanted: _,
        } = found;
        Self {
            name,
            version,
            architecture,
            url,
            size,
            sha256,
        }
    }
}
