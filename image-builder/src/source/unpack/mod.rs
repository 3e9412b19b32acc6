//! Compressed bases: unpacked once into the cache, as a sparse file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::BaseError;
use super::cache::Cache;
use crate::progress::Progress;

/// The unit of sparseness; also the ext4 block size.
const BLOCK: usize = 4096;

/// Bytes unpacked at a time.
const STEP: usize = 256 * BLOCK;

/// Memory an .xz may ask for: `xz -9` needs 65 MiB (xz(1)).
const XZ_MEMORY: u64 = 128 << 20;

/// The raw image for a base file, and the raw image's sha256. A file that is
/// not compressed is its own raw image.
pub(super) fn raw_image(
    file: &Path,
    packed_digest: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<(PathBuf, String)> {
    let mut packed = File::open(file).map_err(BaseError::Open)?;
    let Some(format) = Format::of(&mut packed)? else {
        return Ok((file.to_path_buf(), packed_digest.to_owned()));
    };
    let image = cache.entry(
        "raw",
        &format!("{packed_digest}.img"),
        |raw| {
            progress.step("unpacking the base", None);
            unpack(format, packed, raw, progress)
        },
        |_| Ok(()),
    )?;
    let digest = cache.digest_of(&image, progress)?;
    Ok((image, digest))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Xz,
    Zstd,
    Gzip,
}

impl Format {
    /// The format the first bytes announce, `None` for anything else.
    fn of(file: &mut File) -> Result<Option<Self>, BaseError> {
        let mut magic = Vec::new();
        file.take(6)
            .read_to_end(&mut magic)
            .map_err(BaseError::Open)?;
        file.rewind().map_err(BaseError::Open)?;
        Ok(match magic[..] {
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn reader(self, packed: File) -> io::Result<Box<dyn Read>> {
        let packed = BufReader::with_capacity(STEP, packed);
        Ok(match self {
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    XZ_MEMORY,
                    liblzma::stream::CONCATENATED,
                )?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        })
    }
}

fn unpack(
    format: Format,
    packed: File,
    raw: &File,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let failed = |source| BaseError::Unpack {
        format: format.name(),
        source,
    };
    let mut reader = format.reader(packed).map_err(failed)?;
    let mut buffer = vec![0; STEP];
    let mut offset = 0;
    loop {
        let len = fill(&mut reader, &mut buffer).map_err(failed)?;
        if len == 0 {
            break;
        }
        for (index, block) in buffer[..len].chunks(BLOCK).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                raw.write_all_at(block, offset + (index * BLOCK) as u64)?;
            }
        }
        offset += len as u64;
        progress.advance(len as u64)?;
    }
    raw.set_len(offset)?;
    Ok(())
}

/// Fills the buffer, less only at the end.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
