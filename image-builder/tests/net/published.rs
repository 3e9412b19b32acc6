//! `imgbuild verify` on a release that is somewhere else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use imgbuild::release::facts::{File, Input};
use imgbuild::release::manifest::Manifest;
use imgbuild::release::pack::zst;
use imgbuild::release::sign::{Comment, SigningKey, generate};

use crate::lab::{bytes, sha256};
use crate::server::Server;

const NAME: &str = "imgbuild-lab-1.2";

/// A small release, signed, and whose it is.
fn release() -> (BTreeMap<String, Vec<u8>>, String) {
    let image = bytes(100_000);
    let mut packed = Vec::new();
    zst(&mut image.as_slice(), &mut packed, 1).expect("packed");
    let input = Input {
        name: "a".into(),
        sha256: sha256(b"a"),
    };
    let manifest = Manifest {
        format: 1,
        name: NAME.into(),
        version: "1.2".into(),
        profile: "lab".into(),
        builder: "imgbuild".into(),
        date: "2026-11-27T00:00:00Z".into(),
        image: File {
            name: format!("{NAME}.img"),
            size: image.len() as u64,
            sha256: sha256(&image),
        },
        partitions: Vec::new(),
        base: input.clone(),
        agent: input,
        k3s: None,
        packages: Vec::new(),
    };
    let mut files = BTreeMap::from([
        (format!("{NAME}.img.zst"), packed),
        (
            format!("{NAME}.release.json"),
            manifest.render().into_bytes(),
        ),
    ]);
    let lines = files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)));
    let sums: String = lines.collect();
    let comment = Comment {
        name: NAME.into(),
        version: "1.2".into(),
        time: 0,
        files: files.keys().cloned().collect(),
    };
    let (secret, public) = generate(None).expect("a key");
    let key = SigningKey::open(&secret, || None).expect("opened");
    let signature = key.sign(sums.as_bytes(), &comment).expect("signed");
    files.insert("SHA256SUMS.minisig".into(), signature.into_bytes());
    files.insert("SHA256SUMS".into(), sums.into_bytes());
    let public = public.lines().last().expect("a line").to_owned();
    (files, public)
}

fn publish(files: BTreeMap<String, Vec<u8>>) -> Server {
    let files = Arc::new(files);
    Server::start(move |_, request, wire| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let name = path.strip_prefix("/r/").unwrap_or_default();
        match files.get(name) {
            Some(bytes) => wire.file(request, bytes),
            None => wire.status("404 Not Found", &[]),
        }
    })
}

fn verify(dir: &Path, url: &str, key: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    command
        .current_dir(dir)
        .args(["--cache", "cache", "verify", url, "--key", key]);
    command.args(more).output().expect("imgbuild")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_release_or_one_image_of_it_is_brought_and_verified() {
    let dir = tempfile::tempdir().expect("directory");
    let (files, key) = release();
    let server = publish(files.clone());
    let output = verify(dir.path(), &server.url("/r"), &key, &["--output", "here"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        names(&dir.path().join("here")),
        files.keys().cloned().collect::<Vec<_>>()
    );

    // Without a place nothing stays, and of an image only the list comes with it.
    let before = server.requests().len();
    let image = server.url(&format!("/r/{NAME}.img.zst"));
    let output = verify(dir.path(), &image, &key, &[]);
    assert!(output.status.success(), "{output:?}");
    let asked = server.requests().len() - before;
    assert_eq!(asked, 3, "list, signature, image");
    assert_eq!(names(&dir.path().join("cache")), Vec::<String>::new());
}

#[test]
fn what_is_not_signed_by_one_of_ours_is_not_downloaded() {
    let dir = tempfile::tempdir().expect("directory");
    let ((files, _), (_, other)) = (release(), release());
    let server = publish(files.clone());
    let output = verify(dir.path(), &server.url("/r/"), &other, &[]);
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    assert_eq!(server.requests().len(), 2, "the list and its signature");

    let mut unsigned = files;
    unsigned.remove("SHA256SUMS.minisig");
    let server = publish(unsigned);
    let output = verify(dir.path(), &server.url("/r/"), &other, &[]);
    assert_eq!(output.status.code(), Some(8), "{output:?}");
}

#[test]
fn what_is_not_as_signed_is_not_kept() {
    let dir = tempfile::tempdir().expect("directory");
    let (mut files, key) = release();
    let image = files
        .get_mut(&format!("{NAME}.img.zst"))
        .expect("the image");
    let middle = image.len() / 2;
    image[middle] ^= 1;
    let server = publish(files);
    let output = verify(dir.path(), &server.url("/r/"), &key, &["--output", "here"]);
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let left = names(&dir.path().join("here"));
    assert!(!left.contains(&format!("{NAME}.img.zst")), "{left:?}");
}
