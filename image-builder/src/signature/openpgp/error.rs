//! What can be wrong with a signature or a keyring. Each message is complete
//! but for the name of the file, which the caller puts before it.

use time::Date;

use super::Fingerprint;

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The bytes are no signature at all, or a damaged one.
    #[error("it is not a usable OpenPGP signature: {why}; fetch it again")]
    NotOpenPgp {
        /// What was found instead.
        why: String,
    },
    /// OpenPGP or a plain text, but nothing is signed.
    #[error("there is no signature in it; fetch it again, or name the file that is signed")]
    NoSignature,
    /// More than is read.
    #[error("it has more than {limit} {what}, so it is not looked into; fetch it again")]
    TooLarge {
        /// Bytes, or signatures.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Text before or after the signed block.
    #[error(
        "there is text {place} the signed block, which nobody signed; do not use it, fetch it again"
    )]
    Outside {
        /// Before or after.
        place: &'static str,
    },
    /// None of the keys that signed is in the ring.
    #[error(
        "it is signed by {}, which is not in the keyring; if the publisher says that it is \
         theirs, add it to the keyring",
        .wanted.join(" and ")
    )]
    UnknownKey {
        /// Fingerprints or key ids, in capital hex.
        wanted: Vec<String>,
    },
    /// The mathematics say no.
    #[error("the data or the signature by {key} was changed; do not use it, fetch both again")]
    Tampered {
        /// The key that it names.
        key: Fingerprint,
    },
    /// An algorithm anybody can forge.
    #[error(
        "the signature by {key} uses {what}, which can be forged; ask the publisher for a newer one"
    )]
    Weak {
        /// The key that it names.
        key: Fingerprint,
        /// Hash, key or format.
        what: String,
    },
    /// The key's time was over.
    #[error(
        "the key {key} expired on {since}; get the publisher's newer key, or their newer signature"
    )]
    ExpiredKey {
        /// The signing key, or its primary.
        key: Fingerprint,
        /// The day in UTC.
        since: Date,
    },
    /// The key is withdrawn.
    #[error("the key {key} was revoked; do not use the data, get the publisher's new key")]
    Revoked {
        /// The signing key, or its primary.
        key: Fingerprint,
    },
    /// The key is not one for signatures like this.
    #[error("the key {key} may not make this signature: {why}; ask the publisher")]
    Unfit {
        /// The signing key, or its primary.
        key: Fingerprint,
        /// What forbids it.
        why: &'static str,
    },
    /// The signature's own time was over.
    #[error("the signature by {key} ended on {since}; fetch a newer one")]
    ExpiredSignature {
        /// The signing key.
        key: Fingerprint,
        /// The day in UTC.
        since: Date,
    },
    /// Made later than now.
    #[error(
        "the signature by {key} is of {made}, which is not yet; set this machine's clock, \
         or fetch it again"
    )]
    FromFuture {
        /// The signing key.
        key: Fingerprint,
        /// The day in UTC.
        made: Date,
    },
    /// The data could not be read to its end, or the reading was interrupted.
    #[error("the signed data cannot be read: {0}")]
    Read(#[source] std::io::Error),
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Something else than certificates.
    #[error("it is not an OpenPGP keyring: {why}; export the public key again")]
    NotOpenPgp {
        /// What was found instead.
        why: String,
    },
    /// More than is read.
    #[error("it has more than {limit} {what}, so it is not looked into; keep only the keys needed")]
    TooLarge {
        /// Bytes, or packets.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// One certificate in it cannot be believed.
    #[error("the certificate {certificate} in it is damaged: {why}; export it again")]
    Damaged {
        /// Its primary fingerprint, or its number where that is not known.
        certificate: String,
        /// What is wrong.
        why: String,
    },
    /// The pinned certificate is not among them.
    #[error(
        "it does not hold the key {wanted}, only {}; get the key that is pinned, or correct the \
         pin if the publisher announced a new key",
        .found.iter().map(Fingerprint::to_string).collect::<Vec<_>>().join(" and ")
    )]
    NotPinned {
        /// The fingerprint asked for.
        wanted: Fingerprint,
        /// What it holds.
        found: Vec<Fingerprint>,
    },
}
