//! Keyrings of one certificate and of many, and damaged ones.

use imgbuild::signature::openpgp::{Fingerprint, Keyring, detached};

use super::gpg::{Gpg, NOW, at};

#[test]
fn every_form_gpg_exports() {
    let gpg = Gpg::new();
    let mut keys = ["a@test", "b@test", "c@test"].map(|user| gpg.signing_key(user));
    keys.sort();
    let both = gpg.export("@test");
    let armored = gpg.run(NOW, &["--armor", "--export", "@test"]);
    let block = |user| gpg.run(NOW, &["--armor", "--export", user]);
    let commented = [
        b"for people\n".to_vec(),
        block("a@test"),
        b"\r\nand more\n".to_vec(),
        block("b@test"),
        block("c@test"),
    ]
    .concat();
    for bytes in [&both, &armored, &commented, &both.repeat(2)] {
        let ring = Keyring::parse(bytes).expect("keyring");
        assert!(ring.fingerprints().eq(keys));
        for key in keys {
            let one = ring.clone().pinned(&key).expect("pinned");
            assert!(one.fingerprints().eq([key]));
        }
        let other = Fingerprint::V4([7; 20]);
        let error = ring.pinned(&other).expect_err("not there").to_string();
        for key in keys.iter().chain([&other]) {
            assert!(error.contains(&key.to_string()), "{error}");
        }
    }
}

#[test]
fn only_the_pinned_key_is_believed() {
    let gpg = Gpg::new();
    let a = gpg.signing_key("a@test");
    gpg.signing_key("b@test");
    let ring = gpg.ring("@test").pinned(&a).expect("pinned");
    let by_b = gpg.detached("b@test", b"x");
    let error = detached(&ring, &by_b, &b"x"[..], at(NOW)).expect_err("not pinned");
    assert!(error.to_string().contains("not in the keyring"), "{error}");
}

#[test]
fn a_damaged_certificate_is_named() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let a = gpg.export("a@test");
    let key = gpg.signing_key("b@test").to_string();
    let mut b = gpg.export("b@test");
    *b.last_mut().expect("bytes") ^= 1;
    for bytes in [[&a[..], &b].concat(), [&b[..], &a].concat()] {
        let error = Keyring::parse(&bytes).expect_err("damaged").to_string();
        assert!(error.contains(&key) && error.contains("damaged"), "{error}");
    }
}

#[test]
fn no_flipped_bit_makes_another_key_good() {
    let gpg = Gpg::new();
    gpg.key("a@test", "ed25519", "cert", "never");
    gpg.subkey("a@test", "30d");
    let signature = gpg.detached("a@test", b"x");
    let bytes = gpg.export("a@test");
    let ring = Keyring::parse(&bytes).expect("keyring");
    let good = detached(&ring, &signature, &b"x"[..], at(NOW)).expect("good");
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        if let Ok(ring) = Keyring::parse(&changed)
            && let Ok(signer) = detached(&ring, &signature, &b"x"[..], at(NOW))
        {
            assert_eq!(signer, good, "byte {index}");
        }
    }
}

#[test]
fn refusals() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let good = gpg.export("a@test");
    let armored = gpg.run(NOW, &["--armor", "--export", "a@test"]);
    let secret = gpg.run(NOW, &["--export-secret-keys", "a@test"]);
    for (name, bytes, expected) in [
        ("empty", Vec::new(), "neither binary nor"),
        ("a web page", b"<html>".to_vec(), "neither binary nor"),
        (
            "cut armor",
            armored[..armored.len() - 40].to_vec(),
            "cut off",
        ),
        ("cut", good[..good.len() - 1].to_vec(), "damaged"),
        (
            "a signature",
            gpg.detached("a@test", b"x"),
            "begin with a public key",
        ),
        ("secret", secret, "begin with a public key"),
        (
            "too large",
            vec![0x99; (4 << 20) + 1],
            "more than 4194304 bytes",
        ),
        ("too many", good.repeat(2000), "more than 4096 packets"),
    ] {
        let error = Keyring::parse(&bytes).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}
