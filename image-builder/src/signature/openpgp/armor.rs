//! From bytes, armored (RFC 9580 section 6.2) or not, to packets (section 4).

use std::borrow::Cow;
use std::io::Read as _;

use pgp::armor::Dearmor;
use pgp::errors::Error;
use pgp::packet::{Packet, PacketParser, Signature};

use super::{MAX_SIGNATURE, MAX_SIGNATURES, SignatureError};

/// What an armored block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Certificates.
    PublicKey,
    /// Signatures.
    Signature,
}

impl Block {
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::PublicKey => "-----BEGIN PGP PUBLIC KEY BLOCK-----",
            Self::Signature => "-----BEGIN PGP SIGNATURE-----",
        }
    }

    pub(super) fn end(self) -> &'static str {
        match self {
            Self::PublicKey => "-----END PGP PUBLIC KEY BLOCK-----",
            Self::Signature => "-----END PGP SIGNATURE-----",
        }
    }
}

/// The packets' bytes: as they are, or out of every armored block of this kind,
/// one behind the other. Text around blocks is for people and left aside.
///
/// # Errors
/// What is there instead, in words.
pub(super) fn decode(bytes: &[u8], block: Block) -> Result<Cow<'_, [u8]>, String> {
    // The first bit of a packet is always set (section 4.2), of text never.
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut packets = Vec::new();
    let (mut start, mut offset, mut blocks) = (None, 0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        let end = offset + line.len();
        if text == block.begin().as_bytes() {
            if start.replace(offset).is_some() {
                return Err("an armored block begins within another".into());
            }
        } else if text == block.end().as_bytes() {
            let begin = start
                .take()
                .ok_or("an armored block ends that never began")?;
            Dearmor::new(&bytes[begin..end])
                .read_to_end(&mut packets)
                .map_err(|error| format!("its armor cannot be read ({error})"))?;
            blocks += 1;
        } else if text.starts_with(b"-----BEGIN ") {
            return Err(format!(
                "it holds `{}` in place of `{}`",
                String::from_utf8_lossy(&text[..text.len().min(64)]),
                block.begin()
            ));
        }
        offset = end;
    }
    match (start, blocks) {
        (Some(_), _) => Err("its armor is cut off".into()),
        (None, 0) => Err(format!("it is neither binary nor has `{}`", block.begin())),
        (None, _) => Ok(Cow::Owned(packets)),
    }
}

/// The packets in order. Left out is what is made to be ignored: markers,
/// padding, trust packets, and what is unknown but not critical (section 4.3).
pub(super) fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet, String>> {
    PacketParser::new(bytes).filter_map(|packet| match packet {
        Ok(Packet::Marker(_) | Packet::Padding(_) | Packet::Trust(_)) => None,
        Ok(packet) => Some(Ok(packet)),
        Err(Error::InvalidPacketContent { source }) => words(*source).map(Err),
        Err(error) => words(error).map(Err),
    })
}

/// What to say of an error; nothing of one that may be passed over.
fn words(error: Error) -> Option<String> {
    match error {
        Error::Unsupported { .. } => None,
        // Reading from memory fails at its end only.
        Error::IO { .. } | Error::PacketIncomplete { .. } => Some("it is cut off".into()),
        error => Some(error.to_string()),
    }
}

/// The signatures in bytes that hold nothing else.
pub(super) fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    if bytes.len() > MAX_SIGNATURE {
        return Err(SignatureError::TooLarge {
            what: "bytes",
            limit: MAX_SIGNATURE,
        });
    }
    if bytes.trim_ascii().is_empty() {
        return Err(SignatureError::NoSignature);
    }
    let not_openpgp = |why| SignatureError::NotOpenPgp { why };
    let bytes = decode(bytes, Block::Signature).map_err(not_openpgp)?;
    let mut signatures = Vec::new();
    for packet in packets(&bytes) {
        match packet.map_err(not_openpgp)? {
            Packet::Signature(signature) => signatures.push(signature),
            other => {
                use pgp::packet::PacketTrait as _;
                return Err(not_openpgp(format!("it holds a {:?} packet", other.tag())));
            }
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(SignatureError::TooLarge {
                what: "signatures",
                limit: MAX_SIGNATURES,
            });
        }
    }
    if signatures.is_empty() {
        return Err(SignatureError::NoSignature);
    }
    Ok(signatures)
}
