//! The record of what was written: it lies in space of the disk that nothing
//! uses, so that any machine can tell later whether the disk still holds it.

use std::io;

use base16ct::lower;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::buffer::Buffer;
use super::content::UNIT;
use crate::io::ReadAt;

/// How a record begins; after it, 64 hex digits of sha256 and the length of the
/// text they are of, in bytes.
const MAGIC: &str = "imgbuild wrote this disk\n";

/// Where it lies: right behind the head, where no partition of ours is and
/// firmware looks for nothing.
pub const OFFSET: u64 = super::content::HEAD;

/// No record is longer: a disk of 8 GiB in use has 2048 ranges of some 100 bytes.
const MAX_LEN: usize = 6 << 20;

/// Of what a range of the disk is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hash {
    /// Zeros.
    #[default]
    Zeros,
    /// Bytes with this sha256.
    Sha256([u8; 32]),
}

/// A range of the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First byte.
    pub at: u64,
    /// Length.
    pub len: u64,
    /// sha256 of its bytes; none for zeros.
    #[serde(rename = "sha256", with = "hex", default)]
    pub hash: Hash,
}

/// What was written to a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// 1.
    pub version: u32,
    /// The disk's length when it was written.
    pub disk_len: u64,
    /// What was written, in the disk's order.
    pub ranges: Vec<Range>,
}

/// Why there is no record to be had.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// None there.
    #[error(
        "it has no record of what was written: `imgbuild write` did not write it, or there was no room for one"
    )]
    None,
    /// It was overwritten in part.
    #[error("its record of what was written is damaged ({0}); the disk was changed since")]
    Damaged(String),
    /// A later imgbuild wrote it.
    #[error("its record is of version {0}, which this imgbuild does not know; use a newer one")]
    Version(u32),
    /// The disk cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Record {
    /// A name for all that was written: sha256 over the text of the ranges.
    /// Equal content on disks of equal length has equal digests, and no byte
    /// that is not written has to be hashed.
    pub fn digest(&self) -> String {
        lower::encode_string(&Sha256::digest(self.text()))
    }

    /// The record as it lies on the disk, in whole blocks of 4096 bytes.
    pub(super) fn encode(&self) -> Buffer {
        let text = self.text();
        let header = format!("{MAGIC}{} {}\n", self.digest(), text.len());
        let len = header.len() + text.len();
        let mut buffer = Buffer::new(len.next_multiple_of(UNIT as usize));
        buffer[..header.len()].copy_from_slice(header.as_bytes());
        buffer[header.len()..len].copy_from_slice(text.as_bytes());
        buffer
    }

    /// Reads a record from a disk.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(disk: &impl ReadAt) -> Result<Self, RecordError> {
        let have = disk.len().saturating_sub(OFFSET).min(MAX_LEN as u64);
        let mut first = vec![0; (UNIT.min(have)) as usize];
        disk.read_exact_at(OFFSET, &mut first)?;
        let Some((_, _, len)) = header(&first)? else {
            return Err(RecordError::None);
        };
        let mut all = vec![0; len.min(have as usize)];
        disk.read_exact_at(OFFSET, &mut all)?;
        Self::parse(&all)
    }

    /// Parses a record.
    ///
    /// # Errors
    /// [`RecordError`], but for its `Io`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |why: &dyn std::fmt::Display| RecordError::Damaged(why.to_string());
        let Some((digest, start, end)) = header(bytes)? else {
            return Err(RecordError::None);
        };
        let text = bytes
            .get(start..end)
            .ok_or_else(|| damaged(&"it is cut short"))?;
        if lower::encode_string(&Sha256::digest(text)) != digest {
            return Err(damaged(&"its sha256 is another"));
        }
        // The version first: a later one may have other fields.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(text).map_err(|error| damaged(&error))?;
        if version != 1 {
            return Err(RecordError::Version(version));
        }
        let record: Self = serde_json::from_slice(text).map_err(|error| damaged(&error))?;
        let mut end = 0;
        for range in &record.ranges {
            let stop = range.at.checked_add(range.len);
            match stop.filter(|stop| range.at >= end && *stop <= record.disk_len) {
                Some(stop) => end = stop,
                None => return Err(damaged(&"its ranges are out of order")),
            }
        }
        Ok(record)
    }

    fn text(&self) -> String {
        // Numbers and strings in a struct: nothing there that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The digest, and where the text begins and ends.
fn header(bytes: &[u8]) -> Result<Option<(String, usize, usize)>, RecordError> {
    let Some(rest) = bytes.strip_prefix(MAGIC.as_bytes()) else {
        return Ok(None);
    };
    let damaged = || RecordError::Damaged("its first lines are not as they should be".into());
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| damaged())?;
    let (digest, len) = line.split_once(' ').ok_or_else(damaged)?;
    let len: usize = len.parse().map_err(|_| damaged())?;
    if len > MAX_LEN {
        return Err(damaged());
    }
    let start = MAGIC.len() + line.len() + 1;
    Ok(Some((digest.to_owned(), start, start + len)))
}

/// A sha256 as 64 hex digits; `null` for zeros.
mod hex {
    use base16ct::lower;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Hash::Zeros => None,
            Hash::Sha256(bytes) => Some(lower::encode_string(bytes)),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(Hash::Zeros);
        };
        let mut bytes = [0; 32];
        match lower::decode(&text, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Hash::Sha256(bytes)),
            _ => Err(de::Error::custom(format!("{text:?} is no sha256"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let range = |at, len, hash| Range { at, len, hash };
        Record {
            version: 1,
            disk_len: 1 << 30,
            ranges: vec![
                range(0, 1 << 20, Hash::Sha256([7; 32])),
                range(8 << 20, 4096, Hash::Zeros),
            ],
        }
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = record().encode();
        assert_eq!(Record::parse(&bytes).expect("a record"), record());
        assert!(bytes.len().is_multiple_of(4096));
    }

    #[test]
    fn a_record_that_is_none_is_told_from_a_damaged_one() {
        assert!(matches!(Record::parse(&[0; 4096]), Err(RecordError::None)));
        let good = record().encode();
        for at in [MAGIC.len() + 3, 200] {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(
                matches!(Record::parse(&bad), Err(RecordError::Damaged(_))),
                "{at}"
            );
        }
        let cut = Record::parse(&good[..150]);
        assert!(matches!(cut, Err(RecordError::Damaged(_))));
        let later = Record {
            version: 2,
            ..record()
        };
        let later = Record::parse(&later.encode());
        assert!(matches!(later, Err(RecordError::Version(2))));
        let mut unordered = record();
        unordered.ranges.reverse();
        let unordered = Record::parse(&unordered.encode());
        assert!(matches!(unordered, Err(RecordError::Damaged(_))));
    }
}
