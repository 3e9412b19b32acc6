//! The one image in a .zip. Its place is looked up in the directory at the
//! file's end; the bytes come along the stream like those of any other format.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Take};

use ::zip::{CompressionMethod, ZipArchive};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::ring::Input;
use super::stages::Fault;

/// What the directory says of the image.
struct Entry {
    start: u64,
    packed_len: u64,
    len: u64,
    crc: u32,
    deflated: bool,
}

/// Reads the one `.img` of an archive, and then the rest of the packed bytes.
pub(super) fn reader(file: &File, mut packed: Input) -> Result<impl Read + use<>, Fault> {
    let entry = find(file)?;
    io::copy(&mut (&mut packed).take(entry.start), &mut io::sink())?;
    let body = packed.take(entry.packed_len);
    Ok(Member {
        body: match entry.deflated {
            true => Body::Deflated(DeflateDecoder::new(body)),
            false => Body::Stored(body),
        },
        crc: Crc::new(),
        len: 0,
        entry,
    })
}

fn find(file: &File) -> Result<Entry, Fault> {
    let broken = |error: ::zip::result::ZipError| Fault::Damaged(io::Error::from(error));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut images = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(broken)?;
        let name = file.name().map_err(broken)?.into_owned();
        if file.is_file() && name.to_ascii_lowercase().ends_with(".img") {
            images.push((index, name));
        }
    }
    let [(index, name)] = &images[..] else {
        let names: Vec<&str> = images.iter().map(|(_, name)| name.as_str()).collect();
        return Err(Fault::Zip(match names[..] {
            [] => "it has no file that ends in .img".into(),
            _ => format!(
                "it has {} files that end in .img: {}; take out the one to use",
                names.len(),
                names.join(", ")
            ),
        }));
    };
    let file = archive.by_index_raw(*index).map_err(broken)?;
    let deflated = match file.compression() {
        CompressionMethod::STORE => false,
        CompressionMethod::DEFLATE => true,
        other => {
            return Err(Fault::Zip(format!(
                "{name} is packed by {other}, and only stored and deflated files can be read; \
                 unpack it with another program"
            )));
        }
    };
    if file.encrypted() {
        return Err(Fault::Zip(format!("{name} is encrypted")));
    }
    let Some(start) = file.data_start() else {
        return Err(Fault::Zip(format!("{name} has no place in it")));
    };
    Ok(Entry {
        start,
        packed_len: file.compressed_size(),
        len: file.size(),
        crc: file.crc32(),
        deflated,
    })
}

enum Body {
    Stored(Take<Input>),
    Deflated(DeflateDecoder<Take<Input>>),
}

struct Member {
    body: Body,
    crc: Crc,
    len: u64,
    entry: Entry,
}

impl Member {
    /// At the end of the image: it has to be what the directory promised.
    fn finish(&mut self) -> io::Result<()> {
        let packed = match &mut self.body {
            Body::Stored(packed) => packed,
            Body::Deflated(decoder) => decoder.get_mut(),
        };
        let as_promised =
            packed.limit() == 0 && (self.len, self.crc.sum()) == (self.entry.len, self.entry.crc);
        // The sha256 is the whole file's.
        io::copy(packed.get_mut(), &mut io::sink())?;
        match as_promised {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::InvalidData,
                "the image in it is not what its directory says",
            )),
        }
    }
}

impl Read for Member {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = match &mut self.body {
            Body::Stored(packed) => packed.read(buf)?,
            Body::Deflated(decoder) => decoder.read(buf)?,
        };
        self.crc.update(&buf[..len]);
        self.len += len as u64;
        if len == 0 && !buf.is_empty() {
            self.finish()?;
        }
        Ok(len)
    }
}
