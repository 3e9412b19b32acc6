//! The systemd unit agrees with the contract. What systemd thinks of it is asked
//! on the node itself: image-builder/tests/real/boot.rs.

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
