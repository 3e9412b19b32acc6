//! The node's disk as the agent is to leave it: which one it is, by ids, and how
//! large its partitions become.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// The disk that the node boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// GPT disk GUID. A disk with another one is not touched.
    pub id: Uuid,
    /// The root partition.
    pub root: Root,
    /// The data partition, if there is to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

/// The root partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Partition GUID, as in `PARTUUID=`.
    pub id: Uuid,
    /// How large it becomes; it is never made smaller.
    pub size: Extent,
}

/// The data partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Partition GUID, as in `PARTUUID=`.
    pub id: Uuid,
    /// UUID of the ext4 file system in it: what has another one is not ours.
    pub file_system: Uuid,
    /// How large it is made.
    pub size: Extent,
}

/// How large a partition is to be: a number of bytes, or `"rest"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes.
    Fixed(u64),
    /// Whatever the disk has left.
    Rest,
}

const REST: &str = "rest";

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // TOML's numbers end there, and no disk does.
            Extent::Fixed(bytes) => {
                serializer.serialize_i64((*bytes).try_into().unwrap_or(i64::MAX))
            }
            Extent::Rest => serializer.serialize_str(REST),
        }
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtentVisitor)
    }
}

struct ExtentVisitor;

impl Visitor<'_> for ExtentVisitor {
    type Value = Extent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or \"rest\"")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Extent, E> {
        let unexpected = de::Unexpected::Signed(bytes);
        let bytes = u64::try_from(bytes).map_err(|_| E::invalid_value(unexpected, &self))?;
        Ok(Extent::Fixed(bytes))
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Extent, E> {
        Ok(Extent::Fixed(bytes))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Extent, E> {
        match word {
            REST => Ok(Extent::Rest),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        size: Extent,
    }

    #[test]
    fn a_size_is_a_number_or_a_word() {
        for (text, size) in [
            ("size = 0\n", Some(Extent::Fixed(0))),
            ("size = 34359738368\n", Some(Extent::Fixed(32 << 30))),
            ("size = \"rest\"\n", Some(Extent::Rest)),
            ("size = -1\n", None),
            ("size = \"32GiB\"\n", None),
            ("size = 1.5\n", None),
        ] {
            let found = toml::from_str::<Document>(text).ok();
            assert_eq!(found, size.map(|size| Document { size }), "{text}");
            if let Some(document) = found {
                assert_eq!(toml::to_string(&document).expect("text"), text);
            }
        }
    }
}
