//! `config.txt`: what the Pi's firmware is told.

use anyhow::{Context as _, Result, ensure};

use crate::plan::{PageSize, Profile};

use super::{BaseView, Overlay, Part, block};

const CONFIG: &str = "/config.txt";

/// The overlays that cut the radio off, the Pi 5's own first: whether the plain
/// name is mapped to it depends on the age of the base's overlay map.
const RADIO_OFF: [&str; 2] = ["disable-wifi-pi5", "disable-wifi"];

/// Puts our settings at the end of `config.txt`. Where one is given twice the
/// firmware takes the last, so the base's own lines need not be touched.
pub(super) fn add(overlay: &mut Overlay, profile: &Profile, base: &dyn BaseView) -> Result<()> {
    let stock = base.text(Part::Boot, CONFIG)?.unwrap_or_default();
    let lines = settings(profile, base)?;
    overlay.file(Part::Boot, CONFIG, 0o644, block::append(&stock, &lines));
    Ok(())
}

fn settings(profile: &Profile, base: &dyn BaseView) -> Result<Vec<String>> {
    let firmware = &profile.firmware;
    // A stock file ends in [all], an edited one may not; our lines are for any board.
    let mut lines = vec!["[all]".to_owned()];
    lines.extend(kernel(firmware.page_size, base)?);
    if firmware.usb_max_current {
        // On a supply that does not announce 5 A the USB ports get 600 mA in
        // all and the firmware refuses to boot from them.
        lines.push("usb_max_current_enable=1".into());
    }
    if let Some(generation) = firmware.pcie_gen {
        lines.push(format!("dtparam=pciex1_gen={generation}"));
    }
    if profile.wifi_country.is_none() {
        lines.extend(radio_off(base)?);
    }
    for line in &firmware.config_txt {
        ensure!(
            !line.contains(['\n', '\r']),
            "the profile's line {line:?} has a line break in it"
        );
        lines.push(line.clone());
    }
    Ok(lines)
}

/// The kernel by name, for either size: a stock file may have a `kernel=` of its
/// own, and where the 16 KiB kernel is missing the Pi 5 loads the other without a
/// word. `auto_initramfs` takes the initramfs that belongs to the name. Every
/// profile is for a Pi 5, so no other model is led astray.
fn kernel(size: PageSize, base: &dyn BaseView) -> Result<Option<String>> {
    let has = |name| {
        base.kind(Part::Boot, name)
            .map(|kind| kind.is_some())
            .with_context(|| format!("looking for {name} in the base's boot file system"))
    };
    let (small, large) = (has("/kernel8.img")?, has("/kernel_2712.img")?);
    match size {
        // Some other distribution's kernel, which the stock file names if the Pi's
        // firmware is to boot it. For arm64 they have 4 KiB pages, Debian's too.
        PageSize::FourKib if !small && !large => Ok(None),
        PageSize::FourKib => {
            ensure!(
                small,
                "the base has no kernel8.img, the kernel with 4 KiB pages; set `page_size` to \
                 \"16k\", or use another base"
            );
            Ok(Some("kernel=kernel8.img".into()))
        }
        PageSize::SixteenKib => {
            ensure!(
                large,
                "the base has no kernel_2712.img, the kernel with 16 KiB pages; set `page_size` \
                 to \"4k\", or use another base"
            );
            Ok(Some("kernel=kernel_2712.img".into()))
        }
    }
}

/// Off in the device tree, not by rfkill alone: the radio then draws no power,
/// has no interface for anything to bring up, and no login complains that it is
/// blocked until a country is set.
fn radio_off(base: &dyn BaseView) -> Result<Option<String>> {
    for name in RADIO_OFF {
        if base
            .kind(Part::Boot, &format!("/overlays/{name}.dtbo"))?
            .is_some()
        {
            return Ok(Some(format!("dtoverlay={name}")));
        }
    }
    Ok(None)
}
