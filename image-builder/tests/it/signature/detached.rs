//! Signatures that lie beside their data.

use std::io::{self, Read};

use imgbuild::signature::openpgp::{Keyring, SignatureError, detached};
use pgp::composed::{Deserializable as _, SignedPublicKey};
use pgp::packet::SubpacketData;
use pgp::ser::Serialize as _;

use super::gpg::{DAY, Gpg, MADE, NOW, SIGNED, at};

const DATA: &[u8] = b"an image\n";

/// The verdict in short, or the error.
fn verdict(
    ring: &Keyring,
    signature: &[u8],
    data: &[u8],
    now: i64,
) -> Result<String, SignatureError> {
    detached(ring, signature, data, at(now)).map(|signer| signer.primary.to_string())
}

#[test]
fn good_ones_of_every_kind_of_key() {
    for (algorithm, usage, has_subkey) in [
        ("ed25519", "sign", false),
        ("ed25519", "cert", true),
        ("rsa4096", "sign", false),
        ("nistp256", "sign", false),
    ] {
        let gpg = Gpg::new();
        let primary = gpg.key("a@test", algorithm, usage, "never");
        if has_subkey {
            gpg.subkey("a@test", "never");
        }
        let ring = gpg.ring("a@test");
        // More than one reading, and not a whole number of them.
        let data = vec![0x5a; 200_001];
        for armor in ["--armor", "--no-armor"] {
            for hash in ["SHA256", "SHA384", "SHA512"] {
                let args = [armor, "--digest-algo", hash, "--detach-sign"];
                let signature = gpg.sign(SIGNED, &data, &args);
                let signer = detached(&ring, &signature, &*data, at(NOW)).expect(algorithm);
                assert_eq!((signer.primary, signer.made), (primary, at(SIGNED)));
            }
        }
    }
}

#[test]
fn one_good_one_of_several_suffices() {
    let gpg = Gpg::new();
    let one = gpg.signing_key("one@test");
    let two = gpg.signing_key("two@test");
    let both = gpg.sign(
        SIGNED,
        DATA,
        &["-u", "one@test", "-u", "two@test", "--detach-sign"],
    );
    for (user, primary) in [("one@test", one), ("two@test", two)] {
        let found = verdict(&gpg.ring(user), &both, DATA, NOW);
        assert_eq!(found.expect(user), primary.to_string());
    }
    gpg.revoke("one@test");
    let ring = gpg.ring("one@test").merge(gpg.ring("two@test"));
    assert_eq!(
        verdict(&ring, &both, DATA, NOW).expect("the other"),
        two.to_string()
    );
}

#[test]
fn refusals() {
    let gpg = Gpg::new();
    gpg.signing_key("good@test");
    let stranger = gpg.signing_key("stranger@test").to_string();
    let expiring = gpg
        .key("expiring@test", "ed25519", "sign", "10d")
        .to_string();
    gpg.key("sub@test", "ed25519", "cert", "never");
    gpg.subkey("sub@test", "10d");
    gpg.key("small@test", "rsa1024", "sign", "never");
    let good = gpg.ring("good@test");
    let signature = gpg.detached("good@test", DATA);
    let expired = (
        gpg.ring("expiring@test"),
        gpg.detached("expiring@test", DATA),
    );
    let subkey = (gpg.ring("sub@test"), gpg.detached("sub@test", DATA));
    let by_stranger = gpg.detached("stranger@test", DATA);
    let small = (gpg.ring("small@test"), gpg.detached("small@test", DATA));
    let variant = |args: &[&str]| {
        let args: Vec<_> = ["-u", "good@test"].iter().chain(args).copied().collect();
        gpg.sign(SIGNED, DATA, &args)
    };
    let sha1 = variant(&["--digest-algo", "SHA1", "--detach-sign"]);
    let md160 = variant(&["--digest-algo", "RIPEMD160", "--detach-sign"]);
    let text = variant(&["--textmode", "--detach-sign"]);
    let inline = variant(&["--compress-algo", "none", "--sign"]);
    let ending = variant(&["--default-sig-expire", "3d", "--detach-sign"]);
    let armored = variant(&["--armor", "--detach-sign"]);
    let short = armored[..armored.len() / 2].to_vec();
    let mut changed = signature.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    let many = signature.repeat(17);
    let first_day = MADE + 10 * DAY;
    for (name, ring, signature, data, now, expected) in [
        ("wrong key", &good, &by_stranger, DATA, NOW, &*stranger),
        (
            "expired key",
            &expired.0,
            &expired.1,
            DATA,
            first_day,
            "expired on 2025-10-19",
        ),
        (
            "expired, whose",
            &expired.0,
            &expired.1,
            DATA,
            first_day,
            &*expiring,
        ),
        (
            "expired subkey",
            &subkey.0,
            &subkey.1,
            DATA,
            first_day,
            "expired on 2025-10-19",
        ),
        (
            "tampered data",
            &good,
            &signature,
            b"another\n",
            NOW,
            "was changed",
        ),
        ("no data", &good, &signature, b"", NOW, "was changed"),
        (
            "tampered signature",
            &good,
            &changed,
            DATA,
            NOW,
            "was changed",
        ),
        (
            "from the future",
            &good,
            &signature,
            DATA,
            SIGNED - 1,
            "is not yet",
        ),
        (
            "ended",
            &good,
            &ending,
            DATA,
            SIGNED + 3 * DAY,
            "ended on 2025-10-13",
        ),
        ("SHA-1", &good, &sha1, DATA, NOW, "the hash SHA1"),
        ("RIPEMD", &good, &md160, DATA, NOW, "the hash RIPEMD160"),
        (
            "short RSA",
            &small.0,
            &small.1,
            DATA,
            NOW,
            "an RSA key of 1024 bits",
        ),
        ("text mode", &good, &text, DATA, NOW, "how the lines end"),
        (
            "inline",
            &good,
            &inline,
            DATA,
            NOW,
            "OnePassSignature packet",
        ),
        ("truncated armor", &good, &short, DATA, NOW, "cut off"),
        (
            "truncated",
            &good,
            &changed[..40].to_vec(),
            DATA,
            NOW,
            "cut off",
        ),
        ("empty", &good, &Vec::new(), DATA, NOW, "no signature in it"),
        (
            "a web page",
            &good,
            &b"<html>".to_vec(),
            DATA,
            NOW,
            "neither binary nor",
        ),
        (
            "a keyring",
            &good,
            &gpg.export("good@test"),
            DATA,
            NOW,
            "PublicKey packet",
        ),
        (
            "too many",
            &good,
            &many,
            DATA,
            NOW,
            "more than 16 signatures",
        ),
        (
            "too large",
            &good,
            &vec![b' '; 65_537],
            DATA,
            NOW,
            "more than 65536 bytes",
        ),
    ] {
        let error = verdict(ring, signature, data, now)
            .expect_err(name)
            .to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    // A second earlier each is good.
    for (ring, signature, now) in [
        (&expired.0, &expired.1, first_day - 1),
        (&subkey.0, &subkey.1, first_day - 1),
        (&good, &signature, SIGNED),
        (&good, &ending, SIGNED + 3 * DAY - 1),
    ] {
        verdict(ring, signature, DATA, now).expect("in time");
    }
}

#[test]
fn what_is_revoked_does_not_count() {
    let gpg = Gpg::new();
    let primary = gpg.key("a@test", "ed25519", "cert", "never").to_string();
    gpg.subkey("a@test", "never");
    let signature = gpg.detached("a@test", DATA);
    let before = gpg.ring("a@test");
    assert_eq!(
        verdict(&before, &signature, DATA, NOW).expect("good"),
        primary
    );
    gpg.edit("a@test", "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let without_subkey = gpg.ring("a@test");
    gpg.revoke("a@test");
    let without_all = gpg.ring("a@test");
    for (ring, is_primary) in [(&without_subkey, false), (&without_all, true)] {
        // A copy from before does not hide it.
        for ring in [ring.clone(), ring.clone().merge(before.clone())] {
            match verdict(&ring, &signature, DATA, NOW) {
                Err(SignatureError::Revoked { key }) => {
                    assert_eq!(key.to_string() == primary, is_primary);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_subkey_must_have_signed_back() {
    let gpg = Gpg::new();
    gpg.key("a@test", "ed25519", "cert", "never");
    gpg.subkey("a@test", "never");
    let signature = gpg.detached("a@test", DATA);
    let mut certificate = SignedPublicKey::from_bytes(&*gpg.export("a@test")).expect("certificate");
    let binding = &mut certificate.public_subkeys[0].signatures[0];
    let parts = &binding.config().expect("known").unhashed_subpackets;
    let back = parts
        .iter()
        .position(|part| matches!(part.data, SubpacketData::EmbeddedSignature(_)));
    binding
        .unhashed_subpacket_remove(back.expect("signed back"))
        .expect("removed");
    let ring = Keyring::parse(&certificate.to_bytes().expect("bytes")).expect("keyring");
    let error = verdict(&ring, &signature, DATA, NOW).expect_err("refused");
    assert!(error.to_string().contains("not one for signing"), "{error}");
}

#[test]
fn a_newer_self_signature_has_the_say() {
    let gpg = Gpg::new();
    let primary = gpg.key("a@test", "ed25519", "sign", "3d").to_string();
    let signature = gpg.detached("a@test", DATA);
    let late = MADE + 5 * DAY;
    assert!(verdict(&gpg.ring("a@test"), &signature, DATA, late).is_err());
    gpg.run(SIGNED, &["--quick-set-expire", &primary, "20d"]);
    let ring = gpg.ring("a@test");
    assert_eq!(
        verdict(&ring, &signature, DATA, late).expect("longer"),
        primary
    );
}

#[test]
fn no_flipped_bit_makes_another_verdict() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let ring = gpg.ring("a@test");
    let signature = gpg.detached("a@test", DATA);
    let good = detached(&ring, &signature, DATA, at(NOW)).expect("good");
    for index in 0..signature.len() {
        let mut changed = signature.clone();
        changed[index] ^= 1;
        // What names the key is not signed; all else must be refused.
        if let Ok(signer) = detached(&ring, &changed, DATA, at(NOW)) {
            assert_eq!(signer, good, "byte {index}");
        }
        assert!(detached(&ring, &changed, &DATA[1..], at(NOW)).is_err());
    }
}

#[test]
fn what_the_reader_says_is_passed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("interrupted by the user"))
        }
    }
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let signature = gpg.detached("a@test", DATA);
    let error = detached(&gpg.ring("a@test"), &signature, Broken, at(NOW)).expect_err("refused");
    assert!(matches!(error, SignatureError::Read(_)), "{error}");
}

#[test]
fn a_name_taken_back_does_not_vouch_for_the_key() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    gpg.signing_key("b@test");
    let signature = gpg.detached("a@test", DATA);
    gpg.run(SIGNED, &["--quick-add-uid", "a@test", "second name"]);
    gpg.run(SIGNED, &["--quick-revoke-uid", "a@test", "a@test"]);
    verdict(&gpg.ring("a@test"), &signature, DATA, NOW).expect("by its second name");
    let filter = ["--export-filter", "keep-uid=uid = a@test"];
    let args = [&["--export"], &filter[..], &["a@test"]].concat();
    let nameless = gpg.run(NOW, &args);
    // It does not spoil the keyring that it is in.
    let both = [nameless, gpg.export("b@test")].concat();
    let ring = Keyring::parse(&both).expect("keyring");
    let error = verdict(&ring, &signature, DATA, NOW).expect_err("refused");
    assert!(error.to_string().contains("does not vouch"), "{error}");
}
