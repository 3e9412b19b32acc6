//! Mistakes in a profile.

use std::path::Path;

use super::{check_blocks, good, load_good};
use crate::plan::{BaseLocation, Extent, Size};

const FILE: &str = "profiles/pi5.toml";

#[test]
fn a_good_file_becomes_a_profile() {
    let workspace = load_good(&good()).expect("nothing wrong");
    let profile = workspace.plan("pi-1").expect("a node").profile;
    assert_eq!(
        profile.base.location,
        BaseLocation::File("profiles/base.img".into())
    );
    assert_eq!(profile.disk.root, Extent::Fixed(Size::mib(32 * 1024)));
    assert_eq!(profile.disk.data, Some(Extent::Rest));
    assert_eq!(profile.files[0].mode, 0o644);
    assert_eq!(profile.files[0].content[..], *b"Welcome.");
    assert_eq!(profile.enable_units, ["fstrim.timer"]);
}

#[test]
fn mistakes_are_named() {
    check_blocks(FILE, include_str!("profile.txt"));
}

#[test]
fn a_source_is_read_beside_the_profile() {
    let mut files = good();
    let text = super::PROFILE.replace("content = \"Welcome.\"", "source = \"files/motd\"");
    files.insert(FILE.into(), text.into());
    files.insert("profiles/files/motd".into(), b"\xffbytes".to_vec());
    let workspace = load_good(&files).expect("any bytes will do");
    assert_eq!(
        workspace.plan("pi-1").expect("a node").profile.files[0].content[..],
        *b"\xffbytes"
    );

    files.insert("profiles/files/motd".into(), vec![0; (16 << 20) + 1]);
    let problems = load_good(&files).expect_err("too large");
    let problem = problems.iter().next().expect("one");
    assert_eq!(
        (problem.file.as_path(), problem.line),
        (Path::new(FILE), 15)
    );
    assert!(
        problem
            .message
            .ends_with("it is too large for what it should be")
    );
}
