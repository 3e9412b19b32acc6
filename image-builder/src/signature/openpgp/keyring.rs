//! The certificates that are trusted.

use std::collections::BTreeMap;

use pgp::packet::Packet;

use super::armor::{self, Block};
use super::certificate::{Certificate, Draft};
use super::{Fingerprint, KeyringError, MAX_KEYRING};

/// Packets a keyring may have. Debian's of all its archive keys has 104; each
/// may cost the check of a signature.
const MAX_PACKETS: usize = 4096;

/// Certificates whose own signatures were checked. Whether a key is to be
/// trusted is the caller's decision, by putting it here.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: BTreeMap<Fingerprint, Certificate>,
}

impl Keyring {
    /// Reads one certificate or many, armored (also in several blocks) or not:
    /// `.asc`, `.gpg` and `.pgp` files. Certificates of a version or an
    /// algorithm that is not known here are passed over.
    ///
    /// # Errors
    /// When it is something else, or one of its certificates is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > MAX_KEYRING {
            return Err(KeyringError::TooLarge {
                what: "bytes",
                limit: MAX_KEYRING,
            });
        }
        let not_openpgp = |why| KeyringError::NotOpenPgp { why };
        let bytes = armor::decode(bytes, Block::PublicKey).map_err(not_openpgp)?;
        let mut ring = Self {
            certificates: BTreeMap::new(),
        };
        let mut current = Current::None;
        let mut begun = 0;
        for (index, packet) in armor::packets(&bytes).enumerate() {
            if index == MAX_PACKETS {
                return Err(KeyringError::TooLarge {
                    what: "packets",
                    limit: MAX_PACKETS,
                });
            }
            let packet = packet.map_err(|why| match &current {
                Current::None => not_openpgp(why),
                Current::PassedOver => KeyringError::Damaged {
                    certificate: format!("number {begun}"),
                    why,
                },
                Current::Draft(draft) => damaged(draft.fingerprint(), why),
            })?;
            match (packet, &mut current) {
                (Packet::PublicKey(key), _) => {
                    ring.close(current)?;
                    begun += 1;
                    current = match Draft::new(key) {
                        Some(draft) => Current::Draft(Box::new(draft)),
                        None => Current::PassedOver,
                    };
                }
                (packet, Current::Draft(draft)) => draft
                    .take(packet)
                    .map_err(|why| damaged(draft.fingerprint(), why))?,
                (_, Current::PassedOver) => {}
                (_, Current::None) => {
                    return Err(not_openpgp("it does not begin with a public key".into()));
                }
            }
        }
        ring.close(current)?;
        if ring.certificates.is_empty() {
            return Err(not_openpgp("there is no usable certificate in it".into()));
        }
        Ok(ring)
    }

    /// Keeps the one certificate with this primary fingerprint.
    ///
    /// # Errors
    /// When it is not among them.
    pub fn pinned(mut self, wanted: &Fingerprint) -> Result<Self, KeyringError> {
        if !self.certificates.contains_key(wanted) {
            return Err(KeyringError::NotPinned {
                wanted: *wanted,
                found: self.fingerprints().collect(),
            });
        }
        self.certificates
            .retain(|fingerprint, _| fingerprint == wanted);
        Ok(self)
    }

    /// The certificates of both. Of one that is in both, all that either says
    /// holds, above all its revocation.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for certificate in other.certificates.into_values() {
            self.add(certificate);
        }
        self
    }

    /// The primary fingerprints, in their order.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.certificates.keys().copied()
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    fn close(&mut self, current: Current) -> Result<(), KeyringError> {
        if let Current::Draft(draft) = current {
            let fingerprint = draft.fingerprint();
            let certificate = draft.finish();
            self.add(certificate.map_err(|why| damaged(fingerprint, why))?);
        }
        Ok(())
    }

    fn add(&mut self, certificate: Certificate) {
        use std::collections::btree_map::Entry;
        match self.certificates.entry(certificate.fingerprint()) {
            Entry::Vacant(place) => {
                place.insert(certificate);
            }
            Entry::Occupied(mut place) => place.get_mut().merge(certificate),
        }
    }
}

/// The certificate that the packets at hand belong to.
enum Current {
    None,
    PassedOver,
    Draft(Box<Draft>),
}

fn damaged(certificate: Fingerprint, why: String) -> KeyringError {
    KeyringError::Damaged {
        certificate: certificate.to_string(),
        why,
    }
}
