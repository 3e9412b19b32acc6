//! Judged by xz and zstd, and for the seek table by the crate `zeekstd`.

use std::fs::File;
use std::io::{Cursor, Read as _, Seek as _};
use std::path::Path;

use super::*;
use crate::cmd::Cmd;

/// A little over three frames and one block: text, noise, zeros.
fn image() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(8);
    let mut bytes = "as a disk has it\n".repeat(700_000).into_bytes();
    bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(3 << 20));
    bytes.resize(26 << 20, 0);
    bytes.extend(b"the end");
    bytes
}

type Pack = fn(&mut dyn std::io::Read, &mut dyn std::io::Write, usize) -> std::io::Result<()>;

fn packed(pack: Pack, bytes: &[u8], threads: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    pack(&mut &bytes[..], &mut packed, threads).expect("packed");
    packed
}

fn unpacked(program: &str, path: &Path) -> Vec<u8> {
    let cmd = Cmd::new(program, "run ci/setup").arg("-dc").arg(path);
    cmd.run(&[0]).expect(program).stdout
}

#[test]
fn other_programs_unpack_it_and_threads_do_not_show() {
    let dir = tempfile::tempdir().expect("directory");
    let image = image();
    let packs: [(&str, Pack); 2] = [("xz", xz), ("zstd", zst)];
    for (program, pack) in packs {
        for bytes in [&image[..], b"", b"x"] {
            let path = dir.path().join("image");
            let one = packed(pack, bytes, 1);
            std::fs::write(&path, &one).expect("written");
            assert!(unpacked(program, &path) == bytes, "{program}");
            for threads in [2, 5] {
                assert!(packed(pack, bytes, threads) == one, "{program} {threads}");
            }
        }
    }
}

#[test]
fn an_xz_has_its_blocks() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("image.xz");
    std::fs::write(&path, packed(xz, &image(), 2)).expect("written");
    let list = Cmd::new("xz", "run ci/setup").arg("--robot").arg("--list");
    let list = list.arg(&path).run(&[0]).expect("xz").stdout;
    let list = String::from_utf8(list).expect("text");
    // xz(1), "Robot mode": streams, then blocks.
    assert!(list.contains("\nfile\t1\t2\t"), "{list}");
}

#[test]
fn a_zst_is_read_from_the_middle() {
    let image = image();
    let mut file = tempfile::tempfile().expect("file");
    zst(&mut &image[..], &mut file, 2).expect("packed");
    let mut reader = zeekstd::Decoder::new(Cursor::new(read(&mut file))).expect("a seek table");
    for offset in [0, FRAME_END - 3, image.len() - 7] {
        let offset = offset as u64;
        reader.set_offset(offset).expect("a place in it");
        let mut bytes = [0; 7];
        reader.read_exact(&mut bytes).expect("read");
        assert_eq!(bytes, image[offset as usize..][..7]);
    }
}

/// Where the second frame begins.
const FRAME_END: usize = 8 << 20;

fn read(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("rewound");
    file.read_to_end(&mut bytes).expect("read");
    bytes
}

#[test]
fn a_reader_or_writer_that_fails_ends_it() {
    struct Bad;
    impl std::io::Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no more"))
        }
    }
    impl std::io::Write for Bad {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let image = image();
    for pack in [xz as Pack, zst] {
        assert!(pack(&mut Bad, &mut Vec::new(), 2).is_err());
        assert!(pack(&mut &image[..], &mut Bad, 2).is_err());
    }
}
