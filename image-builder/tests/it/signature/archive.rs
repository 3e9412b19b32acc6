//! What the Debian archive really signs, as this machine's apt fetched it.

use std::fs;
use std::path::{Path, PathBuf};

use imgbuild::cmd::Cmd;
use imgbuild::signature::openpgp::{Keyring, cleartext};

use super::gpg::at;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The `InRelease` files of suites of the Debian archive, or none where that
/// is allowed.
fn documents() -> Vec<PathBuf> {
    let dir = fs::read_dir("/var/lib/apt/lists").into_iter().flatten();
    let files = dir.flatten().map(|entry| entry.path());
    let documents: Vec<_> = files
        .filter(|path| path.to_string_lossy().ends_with("InRelease"))
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().any(|line| line.starts_with("Origin: Debian"))
        })
        .collect();
    if documents.is_empty() || !Path::new(KEYRING).exists() {
        assert!(
            std::env::var_os("IMGBUILD_NO_SKIP").is_none(),
            "cannot be skipped here: run `apt-get update`"
        );
        eprintln!("skipped: apt has no lists of the Debian archive here");
    }
    documents
}

#[test]
fn gpgv_and_we_agree_about_every_suite() {
    for document in documents() {
        // `VALIDSIG fingerprint day time ... primary` (doc/DETAILS of GnuPG).
        let output = Cmd::new("gpgv", "run ci/setup")
            .arg("--status-fd=1")
            .arg("--keyring")
            .arg(KEYRING)
            .arg(&document)
            .run(&[0, 2])
            .expect("gpgv");
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs: Vec<(&str, i64)> = status
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] VALIDSIG "))
            .map(|line| {
                let fields: Vec<_> = line.split(' ').collect();
                (fields[9], fields[2].parse().expect("a time"))
            })
            .collect();
        let name = document.display();
        assert!(!theirs.is_empty(), "{name}: {status}");
        let ring = Keyring::parse(&fs::read(KEYRING).expect("keyring")).expect("keyring");
        let bytes = fs::read(&document).expect("document");
        let newest = theirs.iter().map(|(_, made)| *made).max().expect("one");
        for (primary, made) in &theirs {
            let ring = ring.clone().pinned(&primary.parse().expect("fingerprint"));
            let ours = cleartext(&ring.expect("pinned"), &bytes, at(newest)).expect("good");
            assert_eq!(ours.signer.primary.to_string(), *primary, "{name}");
            assert_eq!(ours.signer.made, at(*made), "{name}");
            assert!(ours.text.contains("\nSHA256:\n"), "{name}");
        }
        cleartext(&ring, &bytes, at(newest)).expect("by any of them");
        let changed = String::from_utf8(bytes)
            .expect("UTF-8")
            .replacen("Debian", "debian", 1);
        cleartext(&ring, changed.as_bytes(), at(newest)).expect_err("changed");
    }
}

#[test]
fn keyrings_of_this_machine_are_read() {
    for dir in ["/usr/share/keyrings", "/etc/apt/trusted.gpg.d"] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.to_string_lossy().contains("debian-archive-") {
                let bytes = fs::read(&path).expect("keyring");
                Keyring::parse(&bytes)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
}
