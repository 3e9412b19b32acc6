//! The program from outside: arguments and exit codes.

use std::path::Path;
use std::process::{Command, Output};

use node_config::paths;

fn agent(args: &[&str]) -> Output {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_firstboot-agent"));
    agent.args(args).output().expect("runs")
}

#[test]
fn it_knows_its_version() {
    let output = agent(&["--version"]);
    assert!(output.status.success());
    let expected = format!("firstboot-agent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn it_refuses_other_arguments() {
    for args in [&["--help"][..], &["run"], &["--version", "x"]] {
        let output = agent(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: "));
    }
}

#[test]
fn without_a_configuration_it_says_so() {
    // On a node the agent would do its work: no place for tests.
    assert!(
        !Path::new(paths::NODE_CONFIG).exists(),
        "this machine is a node"
    );
    let output = agent(&[]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("/etc/imgbuild/node.toml is missing"),
        "{said}"
    );
}
