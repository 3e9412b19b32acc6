//! Checksums as sha256sum(1) writes them.

use std::fs;

use imgbuild::cmd::Cmd;
use imgbuild::signature::sums::Sums;

#[test]
fn what_sha256sum_writes_is_read() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let names = [
        "plain",
        "a b",
        "back\\slash",
        "new\nline",
        "return\r",
        "(x) = y",
        "#h",
    ];
    for name in names {
        fs::write(dir.path().join(name), name).expect("file");
    }
    for form in ["--text", "--binary", "--tag"] {
        let mut script = Cmd::new("sh", "run ci/setup")
            .arg("-c")
            .arg("cd \"$1\" && shift && exec sha256sum \"$@\"")
            .arg("-")
            .arg(dir.path())
            .arg(form)
            .arg("--");
        for name in names {
            script = script.arg(name);
        }
        let text = script.run(&[0]).expect("sha256sum").stdout;
        let sums = Sums::parse(&text).expect(form);
        for name in names {
            let digest = sums.find(name).expect(name);
            // Each file holds its own name.
            let alone = dir.path().join("alone");
            fs::write(&alone, name).expect("file");
            let output = Cmd::new("sha256sum", "run ci/setup").arg(alone).run(&[0]);
            let output = output.expect("sha256sum").stdout;
            assert!(output.starts_with(digest.as_bytes()), "{form}: {name:?}");
        }
    }
}
