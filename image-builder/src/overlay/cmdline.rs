//! `cmdline.txt`: the kernel's words, on one line.

use anyhow::{Result, bail, ensure};

use crate::ids::NodeIds;
use crate::plan::{NvmePower, Profile};

use super::{BaseView, Overlay, Part, mounts};

const CMDLINE: &str = "/cmdline.txt";

/// Used when the base has no `cmdline.txt`: Raspberry Pi OS' own words.
const STOCK: &str = "console=serial0,115200 console=tty1 rootfstype=ext4 fsck.repair=yes rootwait";

/// Disks that drop off the bus mostly do so on waking up; these are the words
/// that keep disk and link awake (raspberrypi/linux 6821).
const NVME_SAFE: [&str; 3] = [
    "nvme_core.default_ps_max_latency_us=0",
    "pcie_aspm=off",
    "pcie_port_pm=off",
];

/// Whether a word is of a certain kind, and what that kind does to a node.
type Harm = (fn(&str) -> bool, &'static str);

/// Words that break a node, whoever writes them.
const HARMFUL: [Harm; 4] = [
    (
        |word| word.contains("firstboot"),
        "bookworm's initramfs looks for that string anywhere in the line, and repartitions the disk",
    ),
    (
        // The beginning: the hook looks for the string ` resize` in the line.
        |word| word.starts_with("resize"),
        "trixie's initramfs then writes into the partition table and rewrites fstab",
    ),
    (
        |word| word == "rw",
        "with a writable root systemd applies Debian's presets, which enable every unit there is",
    ),
    (
        |word| word.starts_with("root="),
        "the root partition is the image's own, named by its id",
    ),
];

/// Beginnings of stock words that are dropped without a complaint: Imager's and
/// cloud-init's hooks, and a console that says nothing.
const STOCK_ONLY: [&str; 5] = [
    "systemd.run",
    "systemd.unit=kernel-command-line.target",
    "ds=",
    "cloud-init=",
    "quiet",
];

/// Rewrites the line.
pub(super) fn add(
    overlay: &mut Overlay,
    profile: &Profile,
    ids: &NodeIds,
    base: &dyn BaseView,
) -> Result<()> {
    let stock = base.text(Part::Boot, CMDLINE)?;
    let stock = stock
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .unwrap_or(STOCK);
    let mut words: Vec<String> = Vec::new();
    for word in stock.split_whitespace() {
        if word.starts_with("root=") {
            words.push(root(ids));
        } else if harm(word).is_none() && !STOCK_ONLY.iter().any(|start| word.starts_with(start)) {
            words.push(word.to_owned());
        }
    }
    // Of two values for one parameter the kernel takes the last.
    let (consoles, others): (Vec<_>, Vec<_>) = wanted(profile, ids)?
        .into_iter()
        .partition(|word| console(word).is_some());
    for word in others {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    // The last console is /dev/console, so one that is asked for moves to the
    // end; of two for one device the options of the first would count.
    for word in consoles {
        words.retain(|old| console(old) != console(&word));
        words.push(word);
    }
    overlay.file(Part::Boot, CMDLINE, 0o644, words.join(" ") + "\n");
    Ok(())
}

fn wanted(profile: &Profile, ids: &NodeIds) -> Result<Vec<String>> {
    let firmware = &profile.firmware;
    // An SSD on USB appears after seconds; without `rootwait` the kernel panics first.
    let mut words = vec![root(ids), "rootwait".into()];
    // The initramfs has udev rules of its own, which an offline build cannot
    // change; a card it renamed keeps that name (see `network`).
    words.push("net.ifnames=0".into());
    if firmware.cgroup_memory {
        // The device tree says `cgroup_disable=memory`; this line comes after it.
        words.push("cgroup_enable=memory".into());
    }
    if !firmware.usb_quirks.is_empty() {
        // Here and not in modprobe.d: the driver is built in.
        words.push(format!(
            "usb-storage.quirks={}",
            firmware.usb_quirks.join(",")
        ));
    }
    if firmware.nvme_power == NvmePower::Safe {
        words.extend(NVME_SAFE.map(String::from));
    }
    if let Some(country) = &profile.wifi_country {
        words.push(format!("cfg80211.ieee80211_regdom={country}"));
    }
    for word in &firmware.kernel_words {
        if let Some(why) = harm(word) {
            bail!("the kernel word {word:?} cannot be used: {why}");
        }
        ensure!(
            !word.contains(char::is_whitespace),
            "the kernel word {word:?} has a blank in it"
        );
        words.push(word.clone());
    }
    Ok(words)
}

fn root(ids: &NodeIds) -> String {
    format!("root={}", mounts::partuuid(ids.root))
}

/// The device of a `console=` word, without its options.
fn console(word: &str) -> Option<&str> {
    word.strip_prefix("console=")?.split(',').next()
}

fn harm(word: &str) -> Option<&'static str> {
    HARMFUL.iter().find(|(is, _)| is(word)).map(|(_, why)| *why)
}
