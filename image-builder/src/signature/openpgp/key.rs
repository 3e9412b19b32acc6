//! One key of a certificate, and what the certificate's owner said about it.

use pgp::crypto::hash::HashAlgorithm;
use pgp::errors::Error;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SubpacketData};
use pgp::types::{KeyDetails, KeyId, PublicParams, SignatureBytes, VerifyingKey as _};

use super::Fingerprint;

/// The primary key or a subkey.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) fingerprint: Fingerprint,
    pub(super) id: KeyId,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) revoked: bool,
    /// By bindings of a subkey; by certifications of a primary key's user ids.
    pub(super) bound: Vec<Claim>,
    /// By signatures directly on a primary key.
    pub(super) direct: Vec<Claim>,
    material: Material,
}

#[derive(Debug, Clone)]
pub(super) enum Material {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// What one self-signature says. Times in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) made: i64,
    /// When it ends to say so.
    until: Option<i64>,
    /// When the key ends.
    key_end: Option<i64>,
    /// Whether the key may sign documents, where it speaks of that.
    pub(super) signs: Option<bool>,
}

/// What holds for a key at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No self-signature speaks for it then.
    Unbound,
    Revoked,
    /// Since this Unix second.
    Expired(i64),
    Valid {
        signs: bool,
    },
}

impl Claim {
    /// Reads what is signed only: anybody can add to the unhashed part
    /// (RFC 9580 section 5.2.3).
    pub(super) fn new(signature: &Signature, made: i64, key: &Key) -> Self {
        // Zero means without end (sections 5.2.3.13 and 5.2.3.18).
        let after = |start: i64, span: Option<pgp::types::Duration>| {
            let seconds = span.map(pgp::types::Duration::as_secs);
            seconds
                .filter(|seconds| *seconds != 0)
                .map(|seconds| start + i64::from(seconds))
        };
        let speaks = signature.config().is_some_and(|config| {
            let mut parts = config.hashed_subpackets();
            parts.any(|part| matches!(part.data, SubpacketData::KeyFlags(_)))
        });
        Self {
            made,
            until: after(made, signature.signature_expiration_time()),
            key_end: after(key.created, signature.key_expiration_time()),
            signs: speaks.then(|| signature.key_flags().sign()),
        }
    }
}

impl Key {
    /// None for a version or an algorithm that is not known here.
    pub(super) fn new(material: Material) -> Option<Self> {
        let details: &dyn KeyDetails = match &material {
            Material::Primary(key) => key,
            Material::Subkey(key) => key,
        };
        if let PublicParams::Unknown { .. } = details.public_params() {
            return None;
        }
        Some(Self {
            fingerprint: Fingerprint::from_pgp(&details.fingerprint())?,
            id: details.legacy_key_id(),
            created: details.created_at().as_secs().into(),
            revoked: false,
            bound: Vec::new(),
            direct: Vec::new(),
            material,
        })
    }

    pub(super) fn params(&self) -> &PublicParams {
        match &self.material {
            Material::Primary(key) => key.public_params(),
            Material::Subkey(key) => key.public_params(),
        }
    }

    /// Whether this key made a signature over these hashed bytes.
    ///
    /// # Errors
    /// When it did not.
    pub(super) fn verify(
        &self,
        hash: HashAlgorithm,
        digest: &[u8],
        signature: &SignatureBytes,
    ) -> Result<(), Error> {
        match &self.material {
            Material::Primary(key) => key.verify(hash, digest, signature),
            Material::Subkey(key) => key.verify(hash, digest, signature),
        }
    }

    /// By the newest self-signatures made until `at` that have not ended. Those
    /// on user ids and those directly on the key are both heard, and the
    /// earlier end holds: programs disagree about which of them has the say.
    pub(super) fn state(&self, at: i64) -> State {
        if self.revoked {
            return State::Revoked;
        }
        let newest = |claims: &Vec<Claim>| {
            let current = claims
                .iter()
                .filter(|claim| claim.made <= at && claim.until.is_none_or(|end| at < end));
            current.max_by_key(|claim| claim.made).cloned()
        };
        let claims: Vec<Claim> = [&self.bound, &self.direct]
            .into_iter()
            .filter_map(newest)
            .collect();
        if claims.is_empty() {
            return State::Unbound;
        }
        match claims.iter().filter_map(|claim| claim.key_end).min() {
            Some(end) if end <= at => State::Expired(end),
            _ => State::Valid {
                // A primary key that nobody limited may do what it can.
                signs: claims
                    .iter()
                    .filter_map(|claim| claim.signs)
                    .max()
                    .unwrap_or(matches!(self.material, Material::Primary(_))),
            },
        }
    }

    /// Adds what another copy of the certificate says about the same key.
    pub(super) fn merge(&mut self, other: Self) {
        self.revoked |= other.revoked;
        for (claims, more) in [
            (&mut self.bound, other.bound),
            (&mut self.direct, other.direct),
        ] {
            claims.extend(more);
            claims.sort();
            claims.dedup();
        }
    }
}
