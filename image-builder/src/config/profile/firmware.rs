//! `[firmware]`: settings for config.txt and the kernel command line.

use std::collections::BTreeMap;

use super::boot;
use crate::config::check::Checker;
use crate::config::field::Texts;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::{Firmware, NvmePower, PageSize};

/// `usb-storage` keeps its quirks in 128 bytes and drops what does not fit
/// (drivers/usb/storage/usb.c).
const QUIRKS: usize = 127;

/// The flags `usb-storage.quirks` knows (kernel-parameters.txt).
const QUIRK_FLAGS: &str = "abcdefghijklmnoprstuwy";

pub(crate) fn check(firmware: &written::Firmware, check: &mut Checker) -> Option<Firmware> {
    let usb_quirks = check.list(&firmware.usb_quirks, |text| quirk(text));
    quirks_together(&firmware.usb_quirks, check);
    let pcie_gen = check.optional(&firmware.pcie_gen, |generation| Ok(*generation));
    let config_txt = check.list(&firmware.config_txt, |line| boot::config_line(line));
    let kernel_words = check.list(&firmware.kernel_words, |word| boot::kernel_word(word));
    Some(Firmware {
        page_size: match firmware.page_size.get()? {
            written::PageSize::FourKib => PageSize::FourKib,
            written::PageSize::SixteenKib => PageSize::SixteenKib,
        },
        cgroup_memory: *firmware.cgroup_memory.get()?,
        usb_max_current: *firmware.usb_max_current.get()?,
        usb_quirks: usb_quirks?,
        pcie_gen: pcie_gen?,
        nvme_power: match firmware.nvme_power.get()? {
            written::NvmePower::Default => NvmePower::Default,
            written::NvmePower::Safe => NvmePower::Safe,
        },
        config_txt: config_txt?,
        kernel_words: kernel_words?,
    })
}

/// `VVVV:PPPP:flags`, in lower case.
fn quirk(text: &str) -> Result<String, Wrong> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_id = |id: &str| id.len() == 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let [vendor, product, flags] = parts[..] else {
        return Err(not_a_quirk(text));
    };
    if !is_id(vendor) || !is_id(product) || flags.is_empty() {
        return Err(not_a_quirk(text));
    }
    if let Some(flag) = flags.chars().find(|flag| !QUIRK_FLAGS.contains(*flag)) {
        let message = format!(
            "{} is not a flag of usb-storage.quirks",
            quoted(&flag.to_string())
        );
        return Err(Wrong::new(message, "write \"u\" to switch UAS off"));
    }
    Ok(text.to_ascii_lowercase())
}

fn not_a_quirk(text: &str) -> Wrong {
    let hint =
        "write vendor, product and flags, such as \"152d:0578:u\"; `lsusb` shows the first two";
    Wrong::new(format!("{} is not a USB quirk", quoted(text)), hint)
}

/// What only shows when all quirks are looked at: a device named twice, and
/// more than the kernel has room for.
fn quirks_together(quirks: &Texts, check: &mut Checker) {
    let mut seen = BTreeMap::new();
    for item in quirks.items() {
        let Some(Ok(quirk)) = item.get().map(|text| quirk(text)) else {
            continue;
        };
        let device = quirk.rsplit_once(':').map(|(device, _)| device.to_owned());
        if let Some(first) = check.seen_before(&mut seen, device, &item.span()) {
            let message = format!("this device has quirks already, at {first}");
            check.wrong(
                &item.span(),
                Wrong::new(message, "write all its flags in one entry"),
            );
        }
    }
    let letters: usize = quirks
        .items()
        .iter()
        .filter_map(|item| item.get())
        .map(|text| text.len() + 1)
        .sum();
    if letters > QUIRKS + 1 {
        let message = format!("these quirks are longer than the {QUIRKS} letters the kernel keeps");
        check.wrong(
            &quirks.span(),
            Wrong::new(message, "keep those of your own disks"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks() {
        assert_eq!(quirk("152D:0578:u").as_deref(), Ok("152d:0578:u"));
        for bad in [
            "",
            "152d:0578",
            "152d:0578:",
            "152d:578:u",
            "152d:0578:u:u",
            "152d:0578:x",
            "g52d:0578:u",
            "152d:0578:u,1",
        ] {
            assert!(quirk(bad).is_err(), "{bad}");
        }
    }
}
