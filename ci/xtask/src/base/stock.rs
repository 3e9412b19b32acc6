//! Stand-ins for the first-boot machinery of a stock image, so that a builder that forgets to switch one off is found out: each says
//! `STOCK-FIRST-BOOT <name> ran` on the console and leaves a file of its name in /var/lib/stock-first-boot. The texts are ours; where
//! the units stand, what starts them and what they do to a baked node is as in the trixie images since 2025-11-24.
//! Sources: RPi-Distro/raspberrypi-sys-mods (rpi-resize, sshswitch, regenerate_ssh_host_keys, resize_early), RPi-Distro/userconf-pi
//! (userconfig, rename_user.conf), raspberrypi/rpi-eeprom, canonical/cloud-init and Raspberry Pi's settings for it.

use std::path::Path;

use anyhow::Result;

use super::shape::link;
use super::tree::put;

/// Path in the tree, mode, text.
type Stock = (&'static str, u32, &'static str);

const UNITS: &str = "usr/lib/systemd/system";

/// Unit files and the target that wants each; `regenerate_ssh_host_keys` is there but off since 2025-08-19.
const SERVICES: &[(&str, &str, Option<&str>)] = &[
    (
        "cloud-config.service",
        CLOUD_INIT_STEP,
        Some("cloud-init.target"),
    ),
    (
        "cloud-final.service",
        CLOUD_INIT_STEP,
        Some("cloud-init.target"),
    ),
    (
        "cloud-init-local.service",
        CLOUD_INIT_STEP,
        Some("cloud-init.target"),
    ),
    (
        "cloud-init-main.service",
        include_str!("stock/cloud-init-main.service"),
        Some("cloud-init.target"),
    ),
    (
        "cloud-init-network.service",
        CLOUD_INIT_STEP,
        Some("cloud-init.target"),
    ),
    (
        "regenerate_ssh_host_keys.service",
        include_str!("stock/regenerate_ssh_host_keys.service"),
        None,
    ),
    (
        "rpi-eeprom-update.service",
        include_str!("stock/rpi-eeprom-update.service"),
        Some("multi-user.target"),
    ),
    (
        "rpi-resize.service",
        include_str!("stock/rpi-resize.service"),
        Some("sysinit.target"),
    ),
    (
        "sshswitch.service",
        include_str!("stock/sshswitch.service"),
        Some("multi-user.target"),
    ),
    (
        "userconfig.service",
        include_str!("stock/userconfig.service"),
        Some("multi-user.target"),
    ),
];

const CLOUD_INIT_STEP: &str = include_str!("stock/cloud-init-step.service");

const FILES: &[Stock] = &[
    (
        "etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg",
        0o644,
        include_str!("stock/99_raspberry-pi.cfg"),
    ),
    (
        "etc/ssh/sshd_config.d/rename_user.conf",
        0o644,
        include_str!("stock/rename_user.conf"),
    ),
    (
        "usr/lib/stock-first-boot/announce",
        0o755,
        include_str!("stock/announce"),
    ),
    (
        "usr/lib/stock-first-boot/cloud-init",
        0o755,
        include_str!("stock/cloud-init"),
    ),
    (
        "usr/lib/systemd/system/cloud-init.target",
        0o644,
        include_str!("stock/cloud-init.target"),
    ),
    (
        "usr/share/initramfs-tools/scripts/local-premount/resize_early",
        0o755,
        include_str!("stock/resize_early"),
    ),
    (
        "usr/share/userconf-pi/sshd_banner",
        0o644,
        "Please note that SSH may not work until a valid user has been set up.\n",
    ),
];

/// The cloud-init seed on the boot partition: only the first holds anything.
pub(super) const SEED: &[(&str, &str)] = &[
    (
        "meta-data",
        "# NoCloud metadata\ndsmode: local\ninstance_id: rpios-image\n",
    ),
    (
        "network-config",
        "# network:\n#   version: 2\n#   ethernets:\n#     eth0:\n#       dhcp4: true\n",
    ),
    ("user-data", "#cloud-config\n# hostname: raspberrypi\n"),
];

/// Before the initramfs is made: one of them goes into it.
pub(super) fn install(tree: &Path) -> Result<()> {
    for (path, mode, text) in FILES {
        put(tree, path, text, *mode)?;
    }
    for (unit, text, wanted_by) in SERVICES {
        put(tree, &format!("{UNITS}/{unit}"), text, 0o644)?;
        if let Some(target) = wanted_by {
            link(
                tree,
                &format!("etc/systemd/system/{target}.wants/{unit}"),
                &format!("/{UNITS}/{unit}"),
            )?;
        }
    }
    // cloud-init's generator does this at each boot, so there is no link in /etc to take away.
    link(
        tree,
        &format!("{UNITS}/multi-user.target.wants/cloud-init.target"),
        "../cloud-init.target",
    )
}

/// Everything above, for the recipe's hash.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    FILES
        .iter()
        .map(|(_, _, text)| *text)
        .chain(SERVICES.iter().map(|(_, text, _)| *text))
}
