//! What a file of the overlay holds.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::text::hex;
use crate::io::{Blob, ReadAt as _, Region};

/// A file's bytes by reference: texts and keys in memory, whatever is large
/// where the cache keeps it. Equal means the same bytes.
#[derive(Clone)]
pub enum Content {
    /// In memory.
    Inline(Arc<[u8]>),
    /// In a file that was verified before.
    Stored {
        /// Where.
        bytes: Region,
        /// Their sha256, in hex.
        sha256: String,
    },
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Stored { bytes, .. } => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sha256 of the bytes, in hex.
    pub fn sha256(&self) -> String {
        match self {
            Content::Inline(bytes) => hex(&Sha256::digest(bytes)),
            Content::Stored { sha256, .. } => sha256.clone(),
        }
    }

    /// The bytes, where they lie.
    pub fn blob(&self) -> Blob {
        match self {
            Content::Inline(bytes) => Arc::clone(bytes).into(),
            Content::Stored { bytes, .. } => Blob::File(bytes.clone()),
        }
    }

    /// The bytes, if they are in memory.
    pub fn inline(&self) -> Option<&[u8]> {
        match self {
            Content::Inline(bytes) => Some(bytes),
            Content::Stored { .. } => None,
        }
    }
}

// It may be a private key.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Content::Inline(one), Content::Inline(other)) => one == other,
            _ => self.sha256() == other.sha256(),
        }
    }
}

impl Eq for Content {}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Content::Inline(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content::Inline(bytes.into())
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Content::Inline(bytes.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn where_the_bytes_lie_makes_no_difference() {
        let inline = Content::from("some bytes");
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"some bytes").expect("write");
        let stored = Content::Stored {
            bytes: Region::whole(Arc::new(file)).expect("region"),
            sha256: inline.sha256(),
        };
        assert!(inline == stored && stored == stored.clone());
        assert_eq!(inline.len(), stored.len());
        assert!(stored != Content::from("other bytes"));
        assert_eq!(stored.inline(), None);
    }
}
