//! Which compression a file has, by its first bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use flate2::bufread::MultiGzDecoder;

use super::ring::Input;
use super::stages::Fault;
use super::xz::XzReader;
use super::zip;

/// A compression known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// tukaani.org/xz/xz-file-format.txt
    Xz,
    /// RFC 8878
    Zstd,
    /// RFC 1952
    Gzip,
    /// APPNOTE.TXT of PKWARE
    Zip,
}

impl Format {
    /// The format the first bytes announce, `None` for anything else.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        let mut magic = [0; 6];
        let len = file.read_at(&mut magic, 0)?;
        Ok(match magic[..len] {
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            _ => None,
        })
    }

    /// What is in the packed bytes, to their very end: streams, frames and
    /// members one behind the other are one image.
    pub(super) fn reader(self, file: &File, packed: Input) -> Result<Box<dyn Read>, Fault> {
        Ok(match self {
            Self::Xz => Box::new(XzReader::new(packed)?),
            // No frame may ask for a window of more than 128 MiB, zstd's default.
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zip => Box::new(zip::reader(file, packed)?),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Zip => "zip",
        })
    }
}
