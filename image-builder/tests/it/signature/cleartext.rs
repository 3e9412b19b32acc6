//! Documents with their signature in them.

use std::fs;

use imgbuild::signature::openpgp::{Keyring, cleartext};

use super::gpg::{Gpg, NOW, SIGNED, at};

const TEXT: &str = "Origin: here\n- a dash\n-----BEGIN PGP SIGNATURE-----\n\nFrom \u{fc}\n";

fn clear_sign(gpg: &Gpg, text: &str) -> String {
    let document = gpg.sign(SIGNED, text.as_bytes(), &["-u", "a@test", "--clear-sign"]);
    String::from_utf8(document).expect("UTF-8")
}

#[test]
fn the_text_is_what_gpg_says_was_signed() {
    let gpg = Gpg::new();
    let primary = gpg.signing_key("a@test");
    let ring = gpg.ring("a@test");
    for (text, signed) in [
        (TEXT, TEXT.trim_end()),
        ("", ""),
        ("one line, no end", "one line, no end"),
        ("blanks \t \nbehind\t\n", "blanks\nbehind"),
        ("windows\r\nlines\r\n", "windows\nlines"),
        ("a\n\n\n", "a\n\n"),
        ("\n\na", "\n\na"),
        ("--\n- - -\n-\n", "--\n- - -\n-"),
    ] {
        let document = clear_sign(&gpg, text);
        let ours = cleartext(&ring, document.as_bytes(), at(NOW)).expect(text);
        assert_eq!(ours.text, signed, "{text:?}");
        assert_eq!(
            (ours.signer.primary, ours.signer.made),
            (primary, at(SIGNED))
        );
        let file = gpg.path("document");
        fs::write(&file, &document).expect("file");
        let theirs = gpg.run(NOW, &["--decrypt", file.to_str().expect("UTF-8")]);
        let theirs = String::from_utf8(theirs)
            .expect("UTF-8")
            .replace("\r\n", "\n");
        let lines: Vec<_> = theirs
            .lines()
            .map(|line| line.trim_end_matches([' ', '\t']))
            .collect();
        assert_eq!(ours.text, lines.join("\n"), "{text:?}");
        // On its way it may get other line ends, and empty lines behind.
        for carried in [
            document.replace("\r\n", "\n").replace('\n', "\r\n"),
            format!("{document}\n\n"),
        ] {
            assert_eq!(
                cleartext(&ring, carried.as_bytes(), at(NOW)).expect(text),
                ours
            );
        }
    }
}

#[test]
fn one_good_one_of_several_suffices() {
    let gpg = Gpg::new();
    let users = ["a@test", "b@test", "c@test"];
    let keys = users.map(|user| gpg.signing_key(user));
    let args = [
        "-u",
        users[0],
        "-u",
        users[1],
        "-u",
        users[2],
        "--clear-sign",
    ];
    let document = gpg.sign(SIGNED, TEXT.as_bytes(), &args);
    for (user, key) in users.iter().zip(keys) {
        let found = cleartext(&gpg.ring(user), &document, at(NOW)).expect(user);
        assert_eq!(found.signer.primary, key);
    }
    gpg.signing_key("d@test");
    let error = cleartext(&gpg.ring("d@test"), &document, at(NOW)).expect_err("a stranger");
    for key in keys {
        assert!(error.to_string().contains(&key.to_string()), "{error}");
    }
}

#[test]
fn refusals() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let ring = gpg.ring("a@test");
    let good = clear_sign(&gpg, TEXT);
    let refusal = |document: &str| {
        let error = cleartext(&ring, document.as_bytes(), at(NOW)).expect_err(document);
        error.to_string()
    };
    let cut = |mark: &str| good[..good.find(mark).expect(mark)].to_owned();
    let sha1 = gpg.sign(SIGNED, b"x", &["--digest-algo", "SHA1", "--clear-sign"]);
    for (name, document, expected) in [
        ("tampered", good.replace("here", "there"), "was changed"),
        (
            "a line more",
            good.replace("here\n", "here\nmore\n"),
            "was changed",
        ),
        (
            "a line end more",
            good.replace("\n- From", "\n\n- From"),
            "was changed",
        ),
        ("text before", format!("hello\n{good}"), "text before"),
        ("a blank line before", format!("\n{good}"), "text before"),
        ("text after", format!("{good}hello\n"), "text after"),
        ("two blocks", good.repeat(2), "text after"),
        (
            "a header",
            good.replace("Hash:", "Comment: free\nHash:"),
            "header",
        ),
        (
            "a bare dash",
            good.replace("- - a dash", "- a dash"),
            "was changed",
        ),
        (
            "a bare dash",
            good.replace("- - a dash", "-a dash"),
            "bare dash",
        ),
        ("no blank line", good.replacen("\n\n", "\n", 1), "header"),
        (
            "no end",
            cut("-----END PGP SIGNATURE"),
            "signature is cut off",
        ),
        (
            "no signature",
            cut("-----BEGIN PGP SIGNATURE-----\n\ni"),
            "cut off",
        ),
        (
            "begin alone",
            "-----BEGIN PGP SIGNED MESSAGE-----".into(),
            "cut off",
        ),
        ("only text", TEXT.into(), "no signature in it"),
        ("nothing", String::new(), "no signature in it"),
        (
            "weak",
            String::from_utf8(sha1).expect("UTF-8"),
            "the hash SHA1",
        ),
    ] {
        let error = refusal(&document);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let binary = cleartext(&ring, b"\xff", at(NOW)).expect_err("no text");
    assert!(binary.to_string().contains("not UTF-8"), "{binary}");
    let large = cleartext(&ring, &vec![b'\n'; (16 << 20) + 1], at(NOW)).expect_err("large");
    assert!(
        large.to_string().contains("more than 16777216 bytes"),
        "{large}"
    );
}

#[test]
fn many_short_lines_take_no_longer_than_few_long_ones() {
    let gpg = Gpg::new();
    gpg.signing_key("a@test");
    let ring: Keyring = gpg.ring("a@test");
    // A reader that searches the text anew for every line needs minutes.
    let signed = clear_sign(&gpg, &"a\n".repeat(4 << 20));
    cleartext(&ring, signed.as_bytes(), at(NOW)).expect("eight megabytes");
}
