//! Power, temperature, and how the disk is connected.

use node_config::{NodeConfig, Role};
use serde::Deserialize;

use super::super::disk;
use super::Finding::{self, Fine, Warning};
use crate::system::{Command, System, read_text};

/// In mA, as the firmware agreed with the supply (Raspberry Pi documentation, "Power
/// supplies and Raspberry Pi OS"). A word in the order of device trees.
const SUPPLY: &str = "/proc/device-tree/chosen/power/max_current";

/// What a Pi 5 needs to give its USB ports and an SSD full power.
const FULL_SUPPLY: u32 = 5000;

/// Bits of `get_throttled` (Raspberry Pi documentation, "vcgencmd"): now, and since
/// the start 16 above.
const UNDER_VOLTAGE: u32 = 0x1_0001;
const TOO_HOT: u32 = 0xe_000e;

/// USB 2, in Mbit/s.
const USB_2: u32 = 480;

/// What there is to say. What cannot be asked is left out: machines differ.
pub(super) fn look(node: &NodeConfig, sys: &dyn System) -> Vec<Finding> {
    let mut findings = power(sys);
    let supply = sys.read(SUPPLY).ok().flatten().unwrap_or_default();
    if let Ok(supply) = <[u8; 4]>::try_from(supply) {
        findings.push(supplied(u32::from_be_bytes(supply)));
    }
    if let Ok(Some(name)) = disk::name_of_root(sys) {
        findings.extend(link(&name, node.node.role, sys));
        findings.extend(smart(&name, sys));
    }
    findings
}

/// What the firmware says of power and temperature.
fn power(sys: &dyn System) -> Vec<Finding> {
    let said = sys.run(&Command::new("vcgencmd", &["get_throttled"]));
    let said = said.unwrap_or_default();
    let Some(flags) = said.trim().strip_prefix("throttled=0x") else {
        return vec![Fine("no Raspberry Pi firmware to ask about power".into())];
    };
    let Ok(flags) = u32::from_str_radix(flags, 16) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if flags & UNDER_VOLTAGE != 0 {
        findings.push(Warning(format!(
            "the voltage was too low since the start ({flags:#x}): use the 27 W supply (5 V, 5 A) \
             and a short cable"
        )));
    }
    if flags & TOO_HOT != 0 {
        findings.push(Warning(format!(
            "the processor was slowed down since the start ({flags:#x}): give it a fan, or more air"
        )));
    }
    if findings.is_empty() {
        findings.push(Fine("power and temperature good".into()));
    }
    findings
}

fn supplied(milliamperes: u32) -> Finding {
    match milliamperes >= FULL_SUPPLY {
        true => Fine(format!("supply of {milliamperes} mA")),
        false => Warning(format!(
            "the supply offers {milliamperes} mA, so the USB ports get 600 mA together: use the \
             27 W supply, or set `usb_max_current` in the profile's [firmware] if yours can give 5 A"
        )),
    }
}

/// How fast the system's disk is connected, by the kind its name tells.
fn link(name: &str, role: Role, sys: &dyn System) -> Option<Finding> {
    let read = |what: &str| {
        let path = format!("/sys/class/block/{name}/device/{what}");
        read_text(sys, &path).unwrap_or_default().trim().to_owned()
    };
    if name.starts_with("nvme") {
        let speed = read("device/current_link_speed");
        let width = read("device/current_link_width");
        (!speed.is_empty()).then(|| Fine(format!("NVMe at {speed} x{width}")))
    } else if name.starts_with("mmcblk") {
        (role == Role::Server).then(|| {
            Warning("the datastore is on an SD card, which it wears out: use an SSD".into())
        })
    } else if name.starts_with("sd") {
        // From the disk over target, host and interface up to the USB device.
        let speed: u32 = read("../../../../speed").parse().ok()?;
        Some(match speed > USB_2 {
            true => Fine(format!("USB at {speed} Mbit/s")),
            false => Warning(format!(
                "the disk is connected at {speed} Mbit/s: use a blue port, or another cable"
            )),
        })
    } else {
        None
    }
}

/// What the disk says of itself, where there is a program to ask it.
fn smart(name: &str, sys: &dyn System) -> Option<Finding> {
    #[derive(Deserialize)]
    struct Said {
        smart_status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        passed: bool,
    }
    // Its exit code holds flags, of which a failing disk is one: not an error here.
    let script = "command -v smartctl >/dev/null && smartctl --json=c --health \"$0\"; :";
    let device = format!("/dev/{name}");
    let said = sys.run(&Command::new("bash", &["-c", script, &device]));
    let said: Said = serde_json::from_str(&said.ok()?).ok()?;
    Some(match said.smart_status.passed {
        true => Fine("SMART passed".into()),
        false => Warning(format!(
            "{name} says that it is failing (SMART): save what is on it, and replace it"
        )),
    })
}
