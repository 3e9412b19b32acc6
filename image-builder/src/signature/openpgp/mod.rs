//! OpenPGP signatures (RFC 9580), checked by the `pgp` crate; which of them
//! count is decided here. docs/decisions/0004-openpgp.md says why that crate.
//!
//! A signature counts when all of this holds:
//!
//! - It is over a document (types 0x00 and 0x01, section 5.2.1), of version 4
//!   or 6, with a SHA-2 or SHA-3 hash of 256 bits or more: MD5, SHA-1 and
//!   RIPEMD-160 prove nothing any more (section 9.5). In a certificate, where
//!   only the owner of the key chooses the bytes, SHA-1 is still believed: old
//!   certificates have no other.
//! - Its key belongs to a certificate of the ring, as the primary key or as a
//!   subkey that the primary bound (section 5.2.1.8), that may sign (key flag
//!   0x02, section 5.2.3.29) and that signed back (section 5.2.1.9). Without the
//!   last, anybody could put another's subkey under a key of their own.
//! - Neither that key nor its primary is revoked (sections 5.2.1.11 and
//!   5.2.1.12), whenever that was and for whatever reason: the ring is as
//!   new as its giver made it, and what it warns of is not used. Revocations by
//!   a third key (section 5.2.3.23) are not followed.
//! - Both are within their time (section 5.2.3.13) at `at`, by the newest
//!   self-signature of then (section 5.2.3.10). The signature was made after its
//!   key (section 5.2.3.11), not after `at`, and has not ended (section 5.2.3.18).
//! - RSA keys have 2048 bits or more; DSA keys do not count (section 12.4).
//!
//! Everything is bounded: the sizes below, and work that grows with them evenly.

mod armor;
mod certificate;
mod check;
mod error;
mod fingerprint;
mod framework;
mod key;
mod keyring;

use std::io::Read;

use pgp::packet::SignatureType;
use time::OffsetDateTime;

pub use error::{KeyringError, SignatureError};
pub use fingerprint::{Fingerprint, NoFingerprint};
pub use keyring::Keyring;

/// Bytes a keyring may have. Debian's of all its archive keys has 56 KB.
pub const MAX_KEYRING: usize = 4 << 20;

/// Bytes a detached signature may have. One by an RSA key of 4096 bits has 900.
pub const MAX_SIGNATURE: usize = 64 << 10;

/// Bytes a document with its signature in it may have. Debian's have 150 KB.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// Signatures on one document. Debian's have three; each of a key of the ring
/// is one more hash over the data.
pub const MAX_SIGNATURES: usize = 16;

/// Who signed, and when. Only a good signature makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// The certificate's primary key, also where a subkey made the signature.
    pub primary: Fingerprint,
    /// When the signature says it was made.
    pub made: OffsetDateTime,
}

/// A text with the signature that was found good on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleartext {
    /// What was signed and nothing else: dash-escapes undone, no blanks at the
    /// ends of lines, lines parted by `\n`, none after the last (section 7.2).
    pub text: String,
    /// Who signed it.
    pub signer: Signer,
}

/// Checks a signature that lies beside its data (section 10.4), armored or not.
/// The data is read once, to its end, in small pieces. Of several signatures
/// one good one by a key of the ring suffices. Signatures over text (type 0x01)
/// are refused: they leave open how the lines end, so bytes could be changed.
///
/// # Errors
/// [`SignatureError`]; of several signatures the first by a key of the ring
/// has the word.
pub fn detached(
    keyring: &Keyring,
    signature: &[u8],
    data: impl Read,
    at: OffsetDateTime,
) -> Result<Signer, SignatureError> {
    let signatures = armor::signatures(signature)?;
    check::check(keyring, &signatures, SignatureType::Binary, data, at)
}

/// Checks a document with its signature in it (section 7), as Debian's
/// `InRelease` is. Of several signatures one good one by a key of the ring
/// suffices. Whatever is not signed is refused: text around the signed block, a
/// second block, headers other than `Hash`.
///
/// # Errors
/// [`SignatureError`]; of several signatures the first by a key of the ring
/// has the word.
pub fn cleartext(
    keyring: &Keyring,
    document: &[u8],
    at: OffsetDateTime,
) -> Result<Cleartext, SignatureError> {
    let (text, signature) = framework::split(document)?;
    let signatures = armor::signatures(signature)?;
    // Made from what is returned: nothing can be in one and not in the other.
    let signed = text.replace('\n', "\r\n");
    let kind = SignatureType::Text;
    let signer = check::check(keyring, &signatures, kind, signed.as_bytes(), at)?;
    Ok(Cleartext { text, signer })
}
