//! The static address on the wired interface, and the radio.

mod stock;

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::ids::NodeIds;
use crate::plan::NodePlan;

use super::{BaseView, Overlay, Part, units};

const KEYFILE: &str = "/etc/NetworkManager/system-connections/lan.nmconnection";
const NO_AUTO_DEFAULT: &str = "/etc/NetworkManager/conf.d/90-imgbuild.conf";
const MAC_LINK: &str = "/etc/systemd/network/10-imgbuild-lan.link";
const RFKILL: &str = "/var/lib/systemd/rfkill";

/// How long NetworkManager asks whether somebody else has the address before it
/// takes it (RFC 5227), in milliseconds. Its own default is 200 or none at all by
/// version, and a switch port may be silent for its first second. The agent
/// cannot ask: that takes raw packets, and no program of the base sends them.
const DUPLICATE_CHECK: u32 = 2000;

/// udev's rules for interface names, switched off so that the wired interface
/// keeps the kernel's name. Raspberry Pi OS does the same; without it the device
/// tree's alias makes the name `end0` and nothing below matches.
const NAME_RULES: [&str; 2] = [
    "/etc/systemd/network/99-default.link",
    "/etc/systemd/network/73-usb-net-by-mac.link",
];

/// What the agent runs on every node: of iproute2, systemd, coreutils, util-linux
/// and e2fsprogs. The others it calls come with systemd and the SSH server, or it
/// can do without.
const AGENT_NEEDS: [&str; 7] = [
    "ip",
    "systemctl",
    "date",
    "partx",
    "wipefs",
    "mke2fs",
    "resize2fs",
];

/// Where the agent looks for programs (its `system/program.rs`). `/sbin` and
/// `/bin` are these, or a base's that is not merged.
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The name of the interface that has the baked address.
pub(super) fn interface(plan: &NodePlan) -> &'static str {
    match plan.node.mac {
        // The kernel's name for a certain card depends on which one answers
        // first, so a card chosen by its address gets a name of its own, outside
        // the kernel's name space: a rename to `eth0` could find it taken.
        Some(_) => "lan0",
        None => "eth0",
    }
}

/// Sets both up.
pub(super) fn add(
    overlay: &mut Overlay,
    plan: &NodePlan,
    ids: &NodeIds,
    base: &dyn BaseView,
) -> Result<()> {
    ensure!(
        units::find(overlay, base, "NetworkManager.service")?.is_some(),
        "the base has no NetworkManager, so nothing would set the node's address"
    );
    for program in AGENT_NEEDS {
        ensure!(
            has_program(base, program)?,
            "the base has no `{program}`, without which the first-boot agent cannot do its work"
        );
    }
    stock::remove_wired(overlay, base)?;
    // NetworkManager ignores, silently, a keyfile that others may read.
    overlay.file(Part::Root, KEYFILE, 0o600, keyfile(plan, ids));
    // Without this a second wired interface gets "Wired connection 1" with DHCP,
    // and a second default route.
    overlay.file(
        Part::Root,
        NO_AUTO_DEFAULT,
        0o644,
        "[main]\nno-auto-default=*\n",
    );

    for path in NAME_RULES {
        overlay.link(Part::Root, path, "/dev/null");
    }
    if let Some(mac) = plan.node.mac {
        let name = interface(plan);
        let text = format!("[Match]\nPermanentMACAddress={mac}\n\n[Link]\nName={name}\n");
        overlay.file(Part::Root, MAC_LINK, 0o644, text);
    }
    switch_radio(overlay, plan, base)
}

fn has_program(base: &dyn BaseView, name: &str) -> Result<bool> {
    for dir in PROGRAMS {
        if base.has(&format!("{dir}/{name}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn keyfile(plan: &NodePlan, ids: &NodeIds) -> String {
    let (node, network) = (&plan.node, &plan.network);
    let mut text = format!(
        "[connection]\nid=lan\nuuid={}\ntype=ethernet\n",
        ids.connection
    );
    let _ = match node.mac {
        // Not the name: should the rename fail, the address still comes up.
        Some(mac) => writeln!(text, "\n[ethernet]\nmac-address={mac}"),
        None => writeln!(text, "interface-name={}", interface(plan)),
    };
    let _ = writeln!(
        text,
        "\n[ipv4]\nmethod=manual\naddress1={},{}\ndad-timeout={DUPLICATE_CHECK}\ndns={}",
        node.address,
        network.gateway,
        list(&network.dns)
    );
    if !network.search.is_empty() {
        let _ = writeln!(text, "dns-search={}", list(&network.search));
    }
    text + "\n[ipv6]\nmethod=auto\naddr-gen-mode=default\n"
}

/// A keyfile's list: every item ends with a semicolon.
fn list(items: &[impl ToString]) -> String {
    items.iter().map(|item| item.to_string() + ";").collect()
}

/// Raspberry Pi OS blocks the radio until a country is set. On means to lift
/// that everywhere it is remembered; the country itself is a kernel word.
fn switch_radio(overlay: &mut Overlay, plan: &NodePlan, base: &dyn BaseView) -> Result<()> {
    let on = plan.profile.wifi_country.is_some();
    let state = format!("[main]\nNetworkingEnabled=true\nWirelessEnabled={on}\nWWANEnabled=true\n");
    overlay.file(
        Part::Root,
        "/var/lib/NetworkManager/NetworkManager.state",
        0o644,
        state,
    );
    for name in base
        .names(RFKILL)?
        .iter()
        .filter(|name| name.ends_with(":wlan"))
    {
        let blocked = if on { "0\n" } else { "1\n" };
        overlay.file(Part::Root, &format!("{RFKILL}/{name}"), 0o644, blocked);
    }
    Ok(())
}
