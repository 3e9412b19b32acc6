//! The block map of an image, as bmaptool reads it (yoctoproject/bmaptool,
//! `bmaptool/BmapCreate.py`, format 2.0): which blocks have to be written, and
//! their sha256.

use std::io;
use std::ops::Range;

use rangemap::RangeSet;
use sha2::{Digest as _, Sha256};

use crate::io::ReadAt;
use crate::overlay::hex;

/// Bytes of a block.
pub const BLOCK: u64 = 4096;

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

/// A checksum that is not known yet.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Renders the map of an image of which `used`, in bytes, has to be written; the
/// rest may keep what a disk has there.
///
/// # Errors
/// When the image cannot be read.
pub fn render(image: &impl ReadAt, used: &RangeSet<u64>) -> io::Result<String> {
    let len = image.len();
    let mut blocks = RangeSet::new();
    for range in used.iter() {
        let end = range.end.min(len).div_ceil(BLOCK);
        if range.start / BLOCK < end {
            blocks.insert(range.start / BLOCK..end);
        }
    }
    let mapped: u64 = blocks.iter().map(|range| range.end - range.start).sum();
    let mut ranges = String::new();
    for range in blocks.iter() {
        let sum = sha256(image, range.start * BLOCK..(range.end * BLOCK).min(len))?;
        let last = range.end - 1;
        let place = match range.start == last {
            true => last.to_string(),
            false => format!("{}-{last}", range.start),
        };
        let line = format!("    <Range chksum=\"{sum}\"> {place} </Range>\n");
        ranges.push_str(&line);
    }
    let total = len.div_ceil(BLOCK);
    let with = |own: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n  \
             <ImageSize> {len} </ImageSize>\n  \
             <BlockSize> {BLOCK} </BlockSize>\n  \
             <BlocksCount> {total} </BlocksCount>\n  \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n  \
             <ChecksumType> sha256 </ChecksumType>\n  \
             <BmapFileChecksum> {own} </BmapFileChecksum>\n  \
             <BlockMap>\n{ranges}  </BlockMap>\n</bmap>\n"
        )
    };
    // Of the file with zeros in this one's place.
    let own = hex(&Sha256::digest(with(NONE)));
    Ok(with(&own))
}

fn sha256(image: &impl ReadAt, range: Range<u64>) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP as usize];
    let mut at = range.start;
    while at < range.end {
        let len = STEP.min(range.end - at);
        let bytes = &mut buffer[..len as usize];
        image.read_exact_at(at, bytes)?;
        hash.update(&*bytes);
        at += len;
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;
    use std::sync::Arc;

    use super::*;
    use crate::cmd::Cmd;
    use crate::io::Region;

    #[test]
    fn bmaptool_writes_by_it_and_notices_damage() {
        let dir = tempfile::tempdir().expect("directory");
        let [path, map, copy] = ["image", "map", "copy"].map(|name| dir.path().join(name));
        let file = File::create_new(&path).expect("image");
        file.set_len(3 << 20).expect("grown");
        for (at, byte) in [(0, 1), (1 << 20, 2), ((3 << 20) - 1, 3)] {
            file.write_all_at(&[byte], at).expect("written");
        }
        let image = Region::whole(Arc::new(File::open(&path).expect("image"))).expect("region");
        let used: RangeSet<u64> = [0..100, (1 << 20)..(1 << 20) + 5000, (3 << 20) - 10..3 << 20]
            .into_iter()
            .collect();
        let text = render(&image, &used).expect("rendered");
        assert!(text.contains("<MappedBlocksCount> 4 <"), "{text}");
        assert!(text.contains("> 256-257 <"), "{text}");
        fs::write(&map, &text).expect("written");
        let bmaptool = || {
            let cmd = Cmd::new("bmaptool", "run ci/setup").arg("copy");
            cmd.arg("--bmap").arg(&map).arg(&path).arg(&copy)
        };
        bmaptool().run(&[0]).expect("copied");
        assert!(fs::read(&path).expect("image") == fs::read(&copy).expect("copy"));

        file.write_all_at(&[9], (1 << 20) + 7).expect("written");
        let error = bmaptool().run(&[0]).expect_err("a wrong checksum");
        assert!(error.to_string().contains("checksum"), "{error}");
        fs::write(&map, text.replace("<BlockSize> 4096", "<BlockSize> 4095")).expect("written");
        bmaptool()
            .run(&[0])
            .expect_err("a wrong checksum of the map");
    }
}
