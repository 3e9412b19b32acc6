//! A certificate (RFC 9580 section 10.1): packets to what its owner said about
//! each key. All self-signatures are checked here, once; which of them holds
//! depends on the time asked about.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    Packet, PacketTrait as _, PublicKey, PublicSubkey, Signature, SignatureType, UserId,
};
use pgp::types::{KeyDetails as _, Tag};

use super::Fingerprint;
use super::key::{Claim, Key, Material};

/// Bytes a user id may have, as in GnuPG. Each signature on it hashes it again.
const MAX_USER_ID: usize = 2048;

/// A certificate whose self-signatures were checked.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) primary: Key,
    subkeys: Vec<Key>,
}

impl Certificate {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.primary.fingerprint
    }

    /// The primary key and all subkeys, also those that nothing speaks for.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.subkeys)
    }

    /// Adds what another copy of it says: a revocation in either holds.
    pub(super) fn merge(&mut self, other: Self) {
        self.primary.merge(other.primary);
        self.subkeys.extend(other.subkeys);
        self.join_subkeys();
    }

    /// Makes one of each subkey that is there several times.
    fn join_subkeys(&mut self) {
        self.subkeys.sort_by_key(|key| key.fingerprint);
        self.subkeys.dedup_by(|again, key| {
            let same = again.fingerprint == key.fingerprint;
            if same {
                key.merge(again.clone());
            }
            same
        });
    }
}

/// A certificate of which not all packets were seen.
pub(super) struct Draft {
    owner: PublicKey,
    certificate: Certificate,
    /// Whether any self-signature held.
    is_vouched_for: bool,
    under: Under,
    /// What was said on the last user id, and when that was last taken back.
    certified: Vec<Claim>,
    withdrawn: Option<i64>,
}

/// What the next signatures are on.
enum Under {
    Primary,
    UserId(UserId),
    /// The last of the subkeys.
    Subkey(Box<PublicSubkey>),
    /// Pictures, and subkeys of an algorithm that is not known here.
    Ignored,
}

impl Draft {
    /// Begins with a primary key; none for a version or an algorithm that is
    /// not known here.
    pub(super) fn new(owner: PublicKey) -> Option<Self> {
        let primary = Key::new(Material::Primary(owner.clone()))?;
        Some(Self {
            owner,
            certificate: Certificate {
                primary,
                subkeys: Vec::new(),
            },
            is_vouched_for: false,
            under: Under::Primary,
            certified: Vec::new(),
            withdrawn: None,
        })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// Takes the next packet.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn take(&mut self, packet: Packet) -> Result<(), String> {
        if let Packet::Signature(signature) = &packet {
            return self.hear(signature);
        }
        self.close_user_id();
        self.under = match packet {
            Packet::UserId(id) if id.id().len() > MAX_USER_ID => {
                return Err(format!("a user id has more than {MAX_USER_ID} bytes"));
            }
            Packet::UserId(id) => Under::UserId(id),
            Packet::UserAttribute(_) => Under::Ignored,
            Packet::PublicSubkey(subkey) => match Key::new(Material::Subkey(subkey.clone())) {
                Some(key) => {
                    self.certificate.subkeys.push(key);
                    Under::Subkey(Box::new(subkey))
                }
                None => Under::Ignored,
            },
            other => return Err(format!("it has a {:?} packet in it", other.tag())),
        };
        Ok(())
    }

    /// All packets were seen.
    ///
    /// # Errors
    /// When no self-signature holds: then nothing says that the key and its
    /// names belong together, or the key itself was changed.
    pub(super) fn finish(mut self) -> Result<Certificate, String> {
        self.close_user_id();
        self.certificate.join_subkeys();
        if !self.is_vouched_for {
            return Err("no signature by its own key holds".into());
        }
        Ok(self.certificate)
    }

    /// A user id that was taken back says nothing of what it said before.
    fn close_user_id(&mut self) {
        let withdrawn = self.withdrawn.take();
        let claims = self.certified.drain(..);
        let valid = claims.filter(|claim| withdrawn.is_none_or(|end| end < claim.made));
        self.certificate.primary.bound.extend(valid);
    }

    /// Checks a signature and keeps what it says; passes over those by others,
    /// and those that make no sense where they are.
    fn hear(&mut self, signature: &Signature) -> Result<(), String> {
        let (Some(kind), Some(made)) = (signature.typ(), signature.created()) else {
            return Ok(());
        };
        let owner = &self.owner;
        let names_owner = names(signature, owner);
        if !believed(signature) || names_owner == Some(false) {
            return Ok(());
        }
        let verdict = match (&self.under, kind) {
            (Under::Primary, SignatureType::Key | SignatureType::KeyRevocation) => {
                signature.verify_key(owner)
            }
            (Under::UserId(id), _) if signature.is_certification() => {
                signature.verify_certification(owner, Tag::UserId, id)
            }
            (
                Under::Subkey(key),
                SignatureType::SubkeyBinding | SignatureType::SubkeyRevocation,
            ) => signature.verify_subkey_binding(owner, &**key),
            _ => return Ok(()),
        };
        match verdict {
            Ok(()) => self.keep(signature, kind, made.as_secs().into()),
            Err(_) if names_owner == Some(true) => {
                let kind = u8::from(kind);
                return Err(format!(
                    "its own signature of type {kind:#04x} does not hold"
                ));
            }
            // It names nobody: by another, for all we know.
            Err(_) => {}
        }
        Ok(())
    }

    fn keep(&mut self, signature: &Signature, kind: SignatureType, made: i64) {
        self.is_vouched_for = true;
        let Certificate { primary, subkeys } = &mut self.certificate;
        match (&self.under, subkeys.last_mut()) {
            (Under::Subkey(_), Some(key)) if kind == SignatureType::SubkeyRevocation => {
                key.revoked = true;
            }
            (Under::Subkey(packet), Some(key)) => {
                let mut claim = Claim::new(signature, made, key);
                claim.signs =
                    Some(claim.signs == Some(true) && signed_back(signature, packet, &self.owner));
                key.bound.push(claim);
            }
            _ => match kind {
                SignatureType::KeyRevocation => primary.revoked = true,
                SignatureType::Key => primary.direct.push(Claim::new(signature, made, primary)),
                SignatureType::CertRevocation => self.withdrawn = self.withdrawn.max(Some(made)),
                _ => self.certified.push(Claim::new(signature, made, primary)),
            },
        }
    }
}

/// Whether it names this key as its maker; none when it names nobody.
fn names(signature: &Signature, owner: &PublicKey) -> Option<bool> {
    let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    if fingerprints.is_empty() && ids.is_empty() {
        return None;
    }
    Some(fingerprints.contains(&&owner.fingerprint()) || ids.contains(&&owner.legacy_key_id()))
}

/// Whether a hash is good enough for a statement whose bytes only the owner of
/// the key chooses. The crate finds the known collisions of SHA-1.
fn believed(signature: &Signature) -> bool {
    !matches!(
        signature.hash_alg(),
        None | Some(HashAlgorithm::Md5 | HashAlgorithm::Ripemd160)
    )
}

/// Whether a subkey's binding holds its own signature on the primary key.
fn signed_back(binding: &Signature, subkey: &PublicSubkey, owner: &PublicKey) -> bool {
    binding.embedded_signature().is_some_and(|back| {
        believed(back) && back.verify_primary_key_binding(subkey, owner).is_ok()
    })
}
