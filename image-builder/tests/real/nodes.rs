//! Adding a node: the images of the others stay as they are.

use imgbuild::cmd::Cmd;

use crate::lab::{Lab, stderr};

#[test]
fn one_node_more_changes_no_byte_of_the_others() {
    let Some(lab) = Lab::new() else { return };
    let before = lab.build("before.img");
    let add = lab.imgbuild().args(["node", "add", "pi-4"]).output();
    let add = add.expect("imgbuild");
    assert!(add.status.success(), "{}", stderr(&add));
    let after = lab.build("after.img");
    for end in ["img", "known_hosts"] {
        let cmp = Cmd::new("cmp", "run ci/setup");
        let cmp = cmp.arg(before.with_extension(end));
        let cmp = cmp.arg(after.with_extension(end));
        cmp.run(&[0]).expect("the same bytes");
    }
}
