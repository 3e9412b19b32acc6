//! What names a certificate: RFC 9580 section 5.5.4.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The fingerprint of a key: 20 bytes for version 4, 32 for version 6. As text
/// capital hex without blanks; reading takes either case, and blanks anywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fingerprint {
    /// SHA-1 of the key.
    V4([u8; 20]),
    /// SHA-256 of the key.
    V6([u8; 32]),
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an OpenPGP fingerprint; write all its 40 or 64 hex digits, \
     as `gpg --show-keys` prints them"
)]
pub struct NoFingerprint(String);

impl Fingerprint {
    /// The crate's, for the versions known here.
    pub(super) fn from_pgp(fingerprint: &pgp::types::Fingerprint) -> Option<Self> {
        match fingerprint {
            pgp::types::Fingerprint::V4(bytes) => Some(Self::V4(*bytes)),
            pgp::types::Fingerprint::V6(bytes) => Some(Self::V6(*bytes)),
            _ => None,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let wrong = || NoFingerprint(text.chars().take(100).collect());
        let digits = text
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        match digits.len() {
            40 => bytes.try_into().map(Self::V4).map_err(|_| wrong()),
            64 => bytes.try_into().map(Self::V6).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let v4 = "4CB50190207B4758A3F73A796ED0E7B82643E131";
        let spaced = "4cb5 0190 207b 4758 a3f7  3a79 6ed0 e7b8 2643 e131\n";
        let v6 = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9";
        for (text, expected) in [(v4, Some(v4)), (spaced, Some(v4)), (v6, Some(v6))] {
            let read: Option<Fingerprint> = text.parse().ok();
            assert_eq!(read.map(|read| read.to_string()).as_deref(), expected);
        }
        for text in [
            "",
            "6ED0E7B82643E131",
            &v4[1..],
            &v6[..62],
            &format!("0x{v4}"),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn serde_is_the_text() {
        let json = "\"4CB50190207B4758A3F73A796ED0E7B82643E131\"";
        let read: Fingerprint = serde_json::from_str(&json.to_lowercase()).expect("fingerprint");
        assert_eq!(serde_json::to_string(&read).expect("text"), json);
        assert!(serde_json::from_str::<Fingerprint>("\"4CB5\"").is_err());
    }
}
