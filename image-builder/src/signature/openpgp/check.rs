//! Signatures against keys: who may have made it, did they, may they.

use std::io::{ErrorKind, Read};

use digest::DynDigest;
use pgp::packet::{
    Signature, SignatureConfig, SignatureType, SignatureVersionSpecific, SubpacketData,
};
use pgp::ser::Serialize as _;
use pgp::types::{PublicParams, SignatureBytes};
use time::{Date, OffsetDateTime};

use super::certificate::Certificate;
use super::key::{Key, State};
use super::{Fingerprint, Keyring, SignatureError, Signer};

/// Bytes of data read at once.
const STEP: usize = 64 << 10;

/// Hashes of fewer bytes are refused. That leaves SHA-2 and SHA-3 (RFC 9580
/// section 9.5); elliptic curves may sign no shorter ones (section 5.2.3.3).
const MIN_HASH: usize = 32;

/// RSA keys of fewer bits are refused (RFC 9580 section 12.4).
const MIN_RSA_BITS: u16 = 2048;

/// The first good signature's maker. The data is read once, through the hash of
/// every signature that may be good.
pub(super) fn check(
    ring: &Keyring,
    signatures: &[Signature],
    kind: SignatureType,
    mut data: impl Read,
    at: OffsetDateTime,
) -> Result<Signer, SignatureError> {
    let mut candidates: Vec<_> = signatures
        .iter()
        .map(|signature| Candidate::new(ring, signature, kind))
        .collect();
    if candidates.iter().any(Result::is_ok) {
        let mut buffer = vec![0; STEP];
        loop {
            let len = match data.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(SignatureError::Read(error)),
            };
            for candidate in candidates.iter_mut().flatten() {
                candidate.hasher.update(&buffer[..len]);
            }
        }
    }
    let mut wanted = Vec::new();
    let mut first = None;
    for candidate in candidates {
        match candidate.and_then(|candidate| candidate.judge(at)) {
            Ok(signer) => return Ok(signer),
            Err(SignatureError::UnknownKey { wanted: more }) => wanted.extend(more),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(SignatureError::UnknownKey { wanted }))
}

/// A signature that keys of the ring may have made.
struct Candidate<'a> {
    config: &'a SignatureConfig,
    /// The first bytes of the hash that was signed.
    head: [u8; 2],
    bytes: &'a SignatureBytes,
    /// Never empty.
    keys: Vec<(&'a Certificate, &'a Key)>,
    hasher: Box<dyn DynDigest + Send>,
}

impl<'a> Candidate<'a> {
    /// # Errors
    /// When no key of the ring made it, or it would not count whatever the data.
    fn new(
        ring: &'a Keyring,
        signature: &'a Signature,
        wanted: SignatureType,
    ) -> Result<Self, SignatureError> {
        let (Some(config), Some(head), Some(bytes)) = (
            signature.config(),
            signature.signed_hash_value(),
            signature.signature(),
        ) else {
            return Err(not_openpgp("it is of a version that is not known here"));
        };
        let keys = makers(ring, config)?;
        let weak = |what| SignatureError::Weak {
            key: keys[0].1.fingerprint,
            what,
        };
        let salt = match &config.version_specific {
            SignatureVersionSpecific::V4 => None,
            SignatureVersionSpecific::V6 { salt } => Some(salt),
            _ => return Err(weak("the format of before OpenPGP version 4".into())),
        };
        if config.typ != wanted {
            return Err(not_openpgp(match config.typ {
                SignatureType::Text => "it is over text, and leaves open how the lines end",
                _ => "it is of another kind than this one must be",
            }));
        }
        let hash = config.hash_alg;
        if hash.digest_size().is_some_and(|size| size < MIN_HASH) {
            return Err(weak(format!("the hash {hash}")));
        }
        // Section 5.2.3.24: a note marked critical may restrict what it means.
        if config
            .hashed_subpackets()
            .any(|part| part.is_critical && matches!(part.data, SubpacketData::Notation(_)))
        {
            return Err(not_openpgp("it has a critical note that is not known here"));
        }
        let mut hasher = hash
            .new_hasher()
            .map_err(|_| not_openpgp("its hash is not known here"))?;
        if let Some(salt) = salt {
            if hash.salt_len() != Some(salt.len()) {
                return Err(not_openpgp("its salt is of a wrong length"));
            }
            hasher.update(salt);
        }
        Ok(Self {
            config,
            head,
            bytes,
            keys,
            hasher,
        })
    }

    /// The verdict, when all data was hashed (section 5.2.4).
    fn judge(mut self, at: OffsetDateTime) -> Result<Signer, SignatureError> {
        let malformed = |error: pgp::errors::Error| not_openpgp(&error.to_string());
        let len = self
            .config
            .hash_signature_data(&mut self.hasher)
            .map_err(malformed)?;
        self.hasher
            .update(&self.config.trailer(len).map_err(malformed)?);
        let digest = self.hasher.finalize();
        let is_v6 = matches!(
            self.config.version_specific,
            SignatureVersionSpecific::V6 { .. }
        );
        // Section 5.2: keys of version 6 make signatures of version 6, and no others do.
        let made_by = |key: &Key| {
            is_v6 == matches!(key.fingerprint, Fingerprint::V6(_))
                && digest.starts_with(&self.head)
                && key
                    .verify(self.config.hash_alg, &digest, self.bytes)
                    .is_ok()
        };
        // A subkey may belong to an old certificate and to its successor.
        let mut verdict = SignatureError::Tampered {
            key: self.keys[0].1.fingerprint,
        };
        for (certificate, key) in self.keys.iter().filter(|(_, key)| made_by(key)) {
            match may_sign(self.config, certificate, key, at.unix_timestamp()) {
                Ok(made) => {
                    return Ok(Signer {
                        primary: certificate.fingerprint(),
                        made,
                    });
                }
                Err(error) => verdict = error,
            }
        }
        Err(verdict)
    }
}

/// The keys of the ring that a signature names, at least one.
fn makers<'a>(
    ring: &'a Keyring,
    config: &SignatureConfig,
) -> Result<Vec<(&'a Certificate, &'a Key)>, SignatureError> {
    let named = config.issuer_fingerprint();
    let ids = config.issuer_key_id();
    let is_named = |key: &Key| match named.as_slice() {
        [] => ids.contains(&&key.id),
        named => named
            .iter()
            .any(|name| Fingerprint::from_pgp(name) == Some(key.fingerprint)),
    };
    let keys: Vec<_> = ring
        .certificates()
        .flat_map(|certificate| certificate.keys().map(move |key| (certificate, key)))
        .filter(|(_, key)| is_named(key))
        .collect();
    if !keys.is_empty() {
        return Ok(keys);
    }
    let wanted = match named.as_slice() {
        [] if ids.is_empty() => vec!["a key that it does not name".into()],
        [] => ids
            .iter()
            .map(|id| format!("{id}").to_uppercase())
            .collect(),
        named => named.iter().map(|name| format!("{name:X}")).collect(),
    };
    Err(SignatureError::UnknownKey { wanted })
}

/// Whether a signature that is no forgery counts, and when it was made.
fn may_sign(
    config: &SignatureConfig,
    certificate: &Certificate,
    key: &Key,
    at: i64,
) -> Result<OffsetDateTime, SignatureError> {
    let unfit = |key: &Key, why| SignatureError::Unfit {
        key: key.fingerprint,
        why,
    };
    let made = config
        .created()
        .ok_or_else(|| not_openpgp("it does not say when it was made"))?;
    let made = i64::from(made.as_secs());
    if made > at {
        return Err(SignatureError::FromFuture {
            key: key.fingerprint,
            made: day(made),
        });
    }
    for key in [&certificate.primary, key] {
        if let Some(what) = weakness(key.params()) {
            return Err(SignatureError::Weak {
                key: key.fingerprint,
                what,
            });
        }
        if made < key.created {
            return Err(unfit(key, "it was made later than the signature"));
        }
        match key.state(at) {
            State::Valid { .. } => {}
            State::Revoked => {
                return Err(SignatureError::Revoked {
                    key: key.fingerprint,
                });
            }
            State::Expired(end) => {
                return Err(SignatureError::ExpiredKey {
                    key: key.fingerprint,
                    since: day(end),
                });
            }
            State::Unbound => return Err(unfit(key, "its owner does not vouch for it")),
        }
    }
    if key.state(at) != (State::Valid { signs: true }) {
        return Err(unfit(key, "it is not one for signing"));
    }
    let ends = config.hashed_subpackets().find_map(|part| match part.data {
        SubpacketData::SignatureExpirationTime(span) if span.as_secs() != 0 => {
            Some(made + i64::from(span.as_secs()))
        }
        _ => None,
    });
    match ends {
        Some(end) if end <= at => Err(SignatureError::ExpiredSignature {
            key: key.fingerprint,
            since: day(end),
        }),
        _ => Ok(moment(made)),
    }
}

/// Why what such a key signs could be anybody's: documents, or its subkeys.
fn weakness(params: &PublicParams) -> Option<String> {
    match params {
        PublicParams::DSA(_) => Some("a DSA key".into()),
        PublicParams::RSA(params) => {
            // A number begins with its length in bits (section 3.2), the
            // modulus comes first (section 5.5.5.1).
            let mut bytes = Vec::new();
            params.to_writer(&mut bytes).ok()?;
            let bits = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
            (bits < MIN_RSA_BITS).then(|| format!("an RSA key of {bits} bits"))
        }
        _ => None,
    }
}

/// Times of OpenPGP have 32 bits, sums of two 33: no year beyond 9999.
fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn day(seconds: i64) -> Date {
    moment(seconds).date()
}

fn not_openpgp(why: &str) -> SignatureError {
    SignatureError::NotOpenPgp { why: why.into() }
}
