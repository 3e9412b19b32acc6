//! The systemd unit: agrees with the contract, and systemd agrees with it.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use node_config::paths;

const UNIT: &str = include_str!("../firstboot-agent.service");

#[test]
fn the_unit_agrees_with_the_contract() {
    for line in [
        format!("ExecStart={}", paths::AGENT),
        format!("ConditionPathExists=!{}", paths::DONE),
        format!("Documentation=file://{}", paths::REPORT),
    ] {
        assert!(UNIT.lines().any(|of_unit| of_unit == line), "{line}");
    }
    // systemd-escape --path --suffix=mount
    let mount = paths::BOOT_DIR.trim_start_matches('/').replace('/', "-");
    assert!(UNIT.contains(&format!("\nWants={mount}.mount\n")));
}

#[test]
fn it_holds_nobody_up() {
    for word in ["Before=", "Requires=", "RequiresMountsFor=", "Type=oneshot"] {
        assert!(!UNIT.contains(word), "{word}");
    }
}

#[test]
fn systemd_finds_nothing_wrong() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join(paths::AGENT_UNIT);
    // The program is looked for on this machine; any will do.
    let program = env!("CARGO_BIN_EXE_firstboot-agent");
    fs::write(&path, UNIT.replace(paths::AGENT, program)).expect("unit");
    let mut verify = Command::new("systemd-analyze");
    match verify.args(["verify", "--man=no"]).arg(&path).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: systemd-analyze is not installed");
        }
        output => {
            let output = output.expect("runs");
            let said = String::from_utf8_lossy(&output.stderr);
            // It loads what this machine has, too, and may complain about that.
            let ours = said.lines().filter(|line| line.contains("firstboot-agent"));
            assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{said}");
            assert!(output.status.success(), "{said}");
        }
    }
}
