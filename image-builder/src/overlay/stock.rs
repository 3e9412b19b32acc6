//! The stock first boot, switched off: everything in a stock image that would
//! undo, repeat or wait for what is already baked in.

use anyhow::{Context as _, Result};

use super::{BaseView, Overlay, Part, units};

/// Units of bookworm and trixie that must not run. Only what the base has is
/// masked: a mask for a unit that does not exist does no harm, but whoever reads
/// `systemctl list-unit-files` on a node should see only what matters there.
///
/// Masked rather than disabled, because presets re-enable a disabled unit.
const MASKED: [(&str, &str); 6] = [
    (
        "userconfig.service",
        "asks for a user name on tty8, and multi-user.target waits for it for ever",
    ),
    (
        "sshd-keygen.service",
        "would add host keys of a type that nobody was told of",
    ),
    (
        "regenerate_ssh_host_keys.service",
        "deletes the baked host keys",
    ),
    (
        "rpi-resize.service",
        "grows the root file system, whose size the profile decides",
    ),
    (
        "sshswitch.service",
        "switches SSH by a file that anyone can put on the FAT partition",
    ),
    (
        "rpi-eeprom-update.service",
        "flashes the bootloader at some boot; nodes change when told to",
    ),
];

/// Files of the base's root that are gone in ours.
const GONE: [(&str, &str); 3] = [
    (
        "/etc/ssh/sshd_config.d/rename_user.conf",
        "a banner that sends people to the wizard",
    ),
    (
        "/etc/init.d/resize2fs_once",
        "bookworm's growth, a System V script",
    ),
    (
        "/etc/systemd/system/getty@tty1.service.d/autologin.conf",
        "logs in the stock user, who is not there, again and again",
    ),
];

/// Files that the first boot of some other tool would act upon.
const SEEDS: [(&str, &str); 8] = [
    ("/meta-data", "cloud-init"),
    ("/user-data", "cloud-init"),
    ("/network-config", "cloud-init"),
    ("/userconf.txt", "userconfig: a user with a password"),
    ("/userconf", "the same"),
    ("/ssh", "sshswitch"),
    ("/ssh.txt", "the same"),
    ("/custom.toml", "bookworm's init=...firstboot"),
];

/// The System V start and stop links of `resize2fs_once` are in these.
const RC_DIRS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "S"];

/// Switches it off.
pub(super) fn switch_off(overlay: &mut Overlay, base: &dyn BaseView) -> Result<()> {
    for (unit, why) in MASKED {
        if units::in_base(base, unit)? {
            units::mask(overlay, base, unit)
                .with_context(|| format!("masking {unit}, which {why}"))?;
        }
    }
    for (path, _) in GONE {
        if base.has(path)? {
            overlay.remove(Part::Root, path);
        }
    }
    for (path, _) in SEEDS {
        if base.kind(Part::Boot, path)?.is_some() {
            overlay.remove(Part::Boot, path);
        }
    }
    for level in RC_DIRS {
        let dir = format!("/etc/rc{level}.d");
        for name in base
            .names(&dir)?
            .iter()
            .filter(|name| name.ends_with("resize2fs_once"))
        {
            overlay.remove(Part::Root, &format!("{dir}/{name}"));
        }
    }
    if base.has("/etc/cloud")? {
        // It would replace the baked host keys, and set its own host name at every boot.
        let text = "Switched off by imgbuild: the image is complete without it.\n";
        overlay.file(Part::Root, "/etc/cloud/cloud-init.disabled", 0o644, text);
    }
    // The wizard took the first console for itself.
    let getty = "getty@tty1.service";
    if units::find(overlay, base, getty)?.is_some() {
        units::enable(overlay, base, getty)?;
    }
    Ok(())
}
