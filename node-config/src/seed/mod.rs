//! A node for a disk that has a release already: what `imgbuild seed` puts on its
//! boot partition, and the agent applies there.
//!
//! ```text
//! imgbuild-seed.bin    the index as JSON, then what its files hold, one after the
//!                      other, in the index's order and with nothing between
//! imgbuild-seed.json   a Seed: for whom, and size and sha256 of the other
//! ```
//!
//! No archive format: the index says of a file all that an archive's header would, and
//! where it lies follows from the lengths before it. So there is one list to check,
//! no second one to disagree with it, and JSON is all there is to parse.
//!
//! The digest tells a copy that is whole from one that is not. It does not say who
//! wrote it: whoever can write to the boot partition also chooses the kernel.

mod index;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use index::{Change, Index, IndexError, Part, What, is_of_root};

/// The version this crate writes and reads.
pub const VERSION: u32 = 1;

/// A [`Seed`] is a few hundred bytes; more is something else.
pub const MAX_SEED: u64 = 64 << 10;

/// An index is some 200 bytes a change, and held in memory.
pub const MAX_INDEX: u64 = 4 << 20;

/// What a node adds is some MiB. A bundle has to fit the boot partition.
pub const MAX_BUNDLE: u64 = 256 << 20;

/// `imgbuild-seed.json`: that there is a seed, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Format of this document and of the bundle, [`VERSION`].
    pub version: u32,
    /// The release it is for.
    pub release: Release,
    /// The node's name.
    pub node: String,
    /// The image that the disk becomes, as in the node's `node.toml`.
    pub image_id: Uuid,
    /// What goes with it.
    pub bundle: Bundle,
}

/// A release, as far as a seed names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// `imgbuild-PROFILE-VERSION`.
    pub name: String,
    /// sha256 of its `release.json`, in hex: two releases may have one name.
    pub sha256: String,
}

/// `imgbuild-seed.bin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Length of its index in bytes.
    pub index: u64,
    /// Length of all of it in bytes.
    pub len: u64,
    /// sha256 of all of it, in hex.
    pub sha256: String,
}

/// A document that is no seed this crate reads.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Not JSON, or not of this shape: a copy that was cut short, mostly.
    #[error("not a seed, or not all of one: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another `imgbuild`.
    #[error("it has version {found}, and this release reads {VERSION}")]
    Version {
        /// The version in the document.
        found: u32,
    },
    /// Lengths that no seed has.
    #[error("it speaks of {len} bytes with an index of {index}, which no seed has")]
    Lengths {
        /// Of the index.
        index: u64,
        /// Of all.
        len: u64,
    },
}

impl Seed {
    /// Reads the document.
    ///
    /// # Errors
    /// When the text is not JSON of this shape, of a version not known here, or names
    /// lengths that cannot be.
    pub fn parse(text: &[u8]) -> Result<Self, SeedError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(text)?;
        if version != VERSION {
            return Err(SeedError::Version { found: version });
        }
        let seed: Self = serde_json::from_slice(text)?;
        let Bundle { index, len, .. } = seed.bundle;
        if index > MAX_INDEX || len > MAX_BUNDLE || index > len {
            return Err(SeedError::Lengths { index, len });
        }
        Ok(seed)
    }

    /// Renders the document; [`Seed::parse`] gives the same value back.
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data serialises to JSON") + "\n"
    }
}

/// The name in a release's description, which has more in it than concerns a seed.
///
/// # Errors
/// When it is no such description.
pub fn release_name(description: &[u8]) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Described {
        release: String,
    }
    serde_json::from_slice(description).map(|Described { release }| release)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{
  "version": 1,
  "release": {
    "name": "imgbuild-pi5-ssd-2026.11.27",
    "sha256": "9a271f2a916b0b6ee6cecb2426f0b3206ef074578be55d9bc94f6f3fe3ab86aa"
  },
  "node": "pi-3",
  "image_id": "6f2fd5b0-3c5b-5f0e-9f43-0c8f9c1f7a10",
  "bundle": {
    "index": 2000,
    "len": 30000,
    "sha256": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
  }
}
"#;

    #[test]
    fn version_1_is_read_and_round_trips() {
        let seed = Seed::parse(V1.as_bytes()).expect("version 1");
        assert_eq!((&*seed.node, seed.bundle.len), ("pi-3", 30000));
        assert_eq!(seed.render(), V1);
    }

    #[test]
    fn every_copy_that_was_cut_short_is_none() {
        for len in 0..V1.trim_end().len() {
            let cut = Seed::parse(&V1.as_bytes()[..len]);
            assert!(matches!(cut, Err(SeedError::Syntax(_))), "{len}: {cut:?}");
        }
    }

    #[test]
    fn what_no_seed_has_is_refused() {
        for (of, to) in [
            ("\"version\": 1", "\"version\": 2"),
            ("\"index\": 2000", "\"index\": 30001"),
            ("\"index\": 2000", "\"index\": 4194305"),
            ("\"len\": 30000", "\"len\": 268435457"),
            ("\"len\": 30000", "\"len\": -1"),
            ("\"node\": \"pi-3\"", "\"node\": \"pi-3\", \"more\": 1"),
        ] {
            let text = V1.replace(of, to);
            assert_ne!(text, V1);
            Seed::parse(text.as_bytes()).expect_err(to);
        }
    }

    #[test]
    fn a_release_has_its_name() {
        let text = br#"{"version": 1, "release": "imgbuild-a-1", "profile": "a"}"#;
        assert_eq!(release_name(text).expect("a name"), "imgbuild-a-1");
        release_name(b"{}").expect_err("no name");
    }
}
