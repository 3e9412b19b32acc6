//! A cluster with a secrets file: the same nodes, from one encrypted file.

use std::fs;

use imgbuild::cmd::Cmd;

use crate::lab::{Lab, NODE, stderr};

const HINT: &str = "run ci/setup";

#[test]
fn an_image_is_the_same_from_the_secrets_file() {
    let Some(lab) = Lab::new() else { return };
    let plain = lab.build("plain.img");
    let key = lab.path("key");
    let key = key.to_str().expect("UTF-8");
    let secrets = lab.path("secrets");
    let recipient = format!("{key}.pub");
    let init = lab
        .imgbuild()
        .args(["secrets", "init", "--recipient", &recipient, "--import"])
        .arg(&secrets)
        .output()
        .expect("imgbuild");
    assert!(init.status.success(), "{}", stderr(&init));
    fs::remove_dir_all(&secrets).expect("removed");

    let kept = lab.path("kept.img");
    let build = |with_key: &[&str]| {
        let mut command = lab.imgbuild();
        command.args(["build", NODE, "--output"]).arg(&kept);
        command.args(with_key).output().expect("imgbuild")
    };
    let without = build(&[]);
    assert_eq!(without.status.code(), Some(11), "{}", stderr(&without));
    assert!(!kept.exists());
    let with = build(&["--identity", key]);
    assert!(with.status.success(), "{}", stderr(&with));
    assert!(!secrets.exists(), "no plain file is made");
    for end in ["img", "known_hosts"] {
        Cmd::new("cmp", HINT)
            .arg(plain.with_extension(end))
            .arg(kept.with_extension(end))
            .run(&[0])
            .expect("the same bytes");
    }
}
