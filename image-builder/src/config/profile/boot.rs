//! What goes into the boot partition as it is: lines of config.txt and words of
//! the kernel command line.

use crate::config::problem::{Wrong, quoted};

/// Longest line of config.txt; the firmware drops the rest (Raspberry Pi
/// documentation, what_is_config_txt).
const CONFIG_LINE: usize = 98;

/// Beginnings of config.txt lines that would contradict what imgbuild writes.
const OWN_LINES: [(&str, &str); 8] = [
    ("kernel=", "set `page_size` instead"),
    ("usb_max_current_enable=", "set `usb_max_current` instead"),
    ("dtparam=pciex1_gen=", "set `pcie_gen` instead"),
    ("arm_64bit=", "leave it out: the system is 64-bit"),
    ("auto_initramfs=", "leave it out: the base sets it"),
    (
        "initramfs",
        "leave it out: the firmware picks the kernel's own",
    ),
    ("cmdline=", "set `kernel_words` instead"),
    // The EEPROM's bootloader, which reads the file on a Pi 5, ignores it.
    ("include", "write the included lines themselves"),
];

/// Kernel words that imgbuild or the agent decide about, up to and with `=`.
const OWN_WORDS: [(&str, &str); 20] = [
    ("root=", "leave it out: it names the node's own partition"),
    ("rootfstype=", "leave it out: the base sets it"),
    ("rootwait", "leave it out: the base sets it"),
    ("ro", "leave it out: the base decides"),
    (
        "rw",
        "leave it out: it makes systemd enable every installed unit at the first boot",
    ),
    ("init=", "leave it out: systemd starts the node"),
    ("rdinit=", "leave it out: systemd starts the node"),
    (
        "resize",
        "leave it out: the first-boot agent grows the disk",
    ),
    ("ds=", "leave it out: cloud-init is off"),
    (
        "systemd.run=",
        "leave it out: the first-boot agent does that work",
    ),
    (
        "systemd.unit=",
        "leave it out: the node boots into its default target",
    ),
    ("systemd.machine_id=", "set `machine_id` instead"),
    ("cgroup_enable=", "set `cgroup_memory` instead"),
    ("cgroup_disable=", "set `cgroup_memory` instead"),
    ("cgroup_memory=", "set `cgroup_memory` instead"),
    ("usb-storage.quirks=", "set `usb_quirks` instead"),
    (
        "nvme_core.default_ps_max_latency_us=",
        "set `nvme_power` instead",
    ),
    ("pcie_aspm=", "set `nvme_power` instead"),
    ("pcie_port_pm=", "set `nvme_power` instead"),
    (
        "cfg80211.ieee80211_regdom=",
        "set `country` in [wifi] instead",
    ),
];

/// A line that the firmware reads as it stands.
pub(crate) fn config_line(text: &str) -> Result<String, Wrong> {
    let is_printable = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !is_printable || text.trim().is_empty() {
        let message = format!("{} is not a line of config.txt", quoted(text));
        return Err(Wrong::new(
            message,
            "write one line of plain ASCII text per entry",
        ));
    }
    if text.len() > CONFIG_LINE {
        let message = format!(
            "this line has {} letters; the firmware drops those after {CONFIG_LINE}",
            text.len()
        );
        return Err(Wrong::new(message, "write it as several lines"));
    }
    let squeezed: String = text.split_whitespace().collect();
    match OWN_LINES.iter().find(|(own, _)| squeezed.starts_with(own)) {
        Some((_, hint)) => Err(Wrong::new(
            format!("config.txt's {} is imgbuild's", quoted(text)),
            *hint,
        )),
        None => Ok(text.to_owned()),
    }
}

/// A word that means the same to the kernel, the initramfs and systemd.
pub(crate) fn kernel_word(text: &str) -> Result<String, Wrong> {
    let is_word = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"'".contains(&byte));
    if text.is_empty() || !is_word {
        let message = format!("{} is not a word of the kernel command line", quoted(text));
        return Err(Wrong::new(
            message,
            "write each word as a text of its own, without blanks and quotes",
        ));
    }
    if text == "--" {
        let hint = "leave it out: what follows would go to systemd, not to the kernel";
        return Err(Wrong::new("\"--\" ends the kernel command line", hint));
    }
    // Bookworm's initramfs looks for this string anywhere in the command line.
    if text.contains("firstboot") {
        let message = format!("{} would start the stock first boot", quoted(text));
        return Err(Wrong::new(
            message,
            "write a word without \"firstboot\" in it",
        ));
    }
    // To the kernel, `-` and `_` are the same in a parameter's name.
    let name = |word: &str| {
        word.split_inclusive('=')
            .next()
            .unwrap_or_default()
            .replace('-', "_")
    };
    match OWN_WORDS.iter().find(|(own, _)| name(own) == name(text)) {
        Some((_, hint)) => Err(Wrong::new(
            format!("the kernel word {} is imgbuild's", quoted(text)),
            *hint,
        )),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_lines() {
        let longest = "#".repeat(98);
        for good in [
            "dtparam=fan_temp0=55000",
            "[pi5]",
            "# why",
            &longest,
            "dtoverlay=x,y=1",
        ] {
            assert_eq!(config_line(good).as_deref(), Ok(good));
        }
        let longer = "#".repeat(99);
        for bad in [
            "",
            " ",
            "a=1\nb=2",
            "ä",
            &longer,
            "kernel=x.img",
            "kernel = x.img",
            "include extra.txt",
            "initramfs x followkernel",
        ] {
            assert!(config_line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kernel_words() {
        for good in [
            "panic=10",
            "quiet",
            "console=ttyAMA10,115200",
            "rootdelay=5",
            "nosmt",
            "root_x=1",
        ] {
            assert_eq!(kernel_word(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a b",
            "a=\"b\"",
            "a='b'",
            "a\nb",
            "ü",
            "--",
            "root=/dev/sda2",
            "resize",
            "rw",
            "init=/bin/sh",
            "x.firstboot=1",
            "usb_storage.quirks=a",
            "pcie-aspm=off",
            "systemd.run=/x",
        ] {
            assert!(kernel_word(bad).is_err(), "{bad}");
        }
    }
}
