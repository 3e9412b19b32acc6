//! `profiles/*.toml` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one;
use crate::config::field::{Field, Texts};

/// A kind of node: what its image starts from and how the Pi is set up.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "imgbuild profile")]
pub(crate) struct ProfileFile {
    /// Version of this file's format.
    #[schemars(range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "checked before anything else is read")]
    version: Field<u32>,
    /// Where the machine-id comes from. `derived`: a node that is flashed again
    /// is the same node to its own logs and to the network.
    #[serde(default = "Field::<MachineId>::of_default")]
    #[schemars(example = &"derived")]
    pub(crate) machine_id: Field<MachineId>,
    /// The operating-system image to start from.
    pub(crate) base: Field<Base>,
    /// Sizes of the partitions.
    #[serde(default = "Field::<Disk>::of_default")]
    pub(crate) disk: Field<Disk>,
    /// What the Pi's firmware and kernel are told.
    #[serde(default = "Field::<Firmware>::of_default")]
    pub(crate) firmware: Field<Firmware>,
    /// Wi-Fi; off unless a country is set.
    #[serde(default = "Field::<Wifi>::of_default")]
    pub(crate) wifi: Field<Wifi>,
    /// The system's log.
    #[serde(default = "Field::<Journal>::of_default")]
    pub(crate) journal: Field<Journal>,
    /// Debian packages to add, with all they need. They are taken from the base's
    /// own apt sources, locked, baked in, and installed at the first boot
    /// without a network.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one("open-iscsi"))]
    pub(crate) packages: Texts,
    /// Downloads to add.
    #[serde(default = "Field::<Vec<Field<Artifact>>>::of_default")]
    pub(crate) artifacts: Field<Vec<Field<Artifact>>>,
    /// Files to add.
    #[serde(default = "Field::<Vec<Field<ExtraFile>>>::of_default")]
    pub(crate) files: Field<Vec<Field<ExtraFile>>>,
    /// systemd units to enable or mask.
    #[serde(default = "Field::<Units>::of_default")]
    pub(crate) units: Field<Units>,
}

/// The operating-system image to start from: exactly one of `url` and `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Base {
    /// Where to download it. Needs `sha256`.
    #[serde(default)]
    #[schemars(example = &"https://example.org/raspios-lite.img.xz")]
    pub(crate) url: Field<String>,
    /// Or a file on this machine, relative to the profile: raw, .xz, .zst, .gz
    /// or .zip.
    #[serde(default)]
    #[schemars(example = &"../out/base/debian-trixie-arm64.img")]
    pub(crate) file: Field<String>,
    /// sha256 of the file as it is downloaded or lies there, compressed or not:
    /// 64 hex digits. A `file` without it is used as found.
    #[serde(default)]
    #[schemars(example = &"cdf4f3bfac35ae947b46e4e767f935453810549779ac3290e05a6754aee627e5")]
    pub(crate) sha256: Field<String>,
    /// Fingerprint of the OpenPGP key that must have signed the download: 40 or
    /// 64 hex digits. `imgbuild lock` then checks the `.sig` beside it.
    #[serde(default)]
    #[schemars(example = &"F4AADD86C4687D69AE04543E796C114AD12B2292")]
    pub(crate) signer: Field<String>,
    /// File with that key, relative to the profile. Left out, a key server is
    /// asked: whoever hands the key over, its fingerprint must be `signer`.
    #[serde(default)]
    #[schemars(example = &"keys/raspberrypi.asc")]
    pub(crate) signer_key: Field<String>,
}

/// A download to add as a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Artifact {
    /// Where it is published.
    #[schemars(example = &"https://example.org/tool-arm64")]
    pub(crate) url: Field<String>,
    /// Its sha256: 64 hex digits.
    #[schemars(example = &"cdf4f3bfac35ae947b46e4e767f935453810549779ac3290e05a6754aee627e5")]
    pub(crate) sha256: Field<String>,
    /// Absolute path on the node; not on the boot partition.
    #[schemars(example = &"/usr/local/bin/tool")]
    pub(crate) path: Field<String>,
    /// Permissions, in octal; `0755` if left out: most downloads are programs.
    #[serde(default)]
    #[schemars(example = &"0755")]
    pub(crate) mode: Field<String>,
}

/// Sizes of the partitions: a number with `MiB`, `GiB` or `TiB`, or `rest` for
/// what the disk has left, at most once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Disk {
    /// The system. All of the disk by default, as on a stock Raspberry Pi.
    #[schemars(example = &"32GiB")]
    pub(crate) root: Field<String>,
    /// A partition of its own for data, such as Longhorn's: flashing or filling
    /// the system leaves it alone. None by default.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(example = &"rest")]
    pub(crate) data: Field<String>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            root: Field::of("rest".to_owned()),
            data: Field::default(),
        }
    }
}

/// What the Pi's firmware and kernel are told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Firmware {
    /// Memory page size of the kernel. `4k` by default: container images are
    /// built for it, and some (anything with its own jemalloc) die on `16k`.
    #[schemars(example = &"4k")]
    pub(crate) page_size: Field<PageSize>,
    /// Turn the memory cgroup on. K3s does not start without it, and the Pi's
    /// firmware turns it off.
    #[schemars(example = true)]
    pub(crate) cgroup_memory: Field<bool>,
    /// Give the USB ports full power from a supply that does not announce 5 A.
    /// Off by default: a supply that cannot keep the promise browns out.
    #[schemars(example = true)]
    pub(crate) usb_max_current: Field<bool>,
    /// `usb-storage.quirks` for bridges that misbehave: `VVVV:PPPP:flags`, `u`
    /// for "no UAS". It costs speed, so none by default.
    #[schemars(example = one("152d:0578:u"))]
    pub(crate) usb_quirks: Texts,
    /// PCIe generation of the SSD's link. The firmware's own default is 2; 3 is
    /// faster and outside the Pi's certification.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(range(min = 1, max = 3), example = 3)]
    pub(crate) pcie_gen: Field<u8>,
    /// NVMe power saving; `safe` for disks that drop off the bus.
    #[schemars(example = &"safe")]
    pub(crate) nvme_power: Field<NvmePower>,
    /// Lines for the end of `config.txt`, as they are.
    #[schemars(example = one("dtparam=fan_temp0=55000"))]
    pub(crate) config_txt: Texts,
    /// Words for the end of the kernel command line.
    #[schemars(example = one("panic=10"))]
    pub(crate) kernel_words: Texts,
}

impl Default for Firmware {
    fn default() -> Self {
        Self {
            page_size: Field::of(PageSize::FourKib),
            cgroup_memory: Field::of(true),
            usb_max_current: Field::of(false),
            usb_quirks: Field::of_default(),
            pcie_gen: Field::default(),
            nvme_power: Field::of(NvmePower::Default),
            config_txt: Field::of_default(),
            kernel_words: Field::of_default(),
        }
    }
}

/// Memory page size of the kernel.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) enum PageSize {
    /// 4 KiB: what third-party containers expect.
    #[serde(rename = "4k")]
    FourKib,
    /// 16 KiB: Raspberry Pi OS's own choice on a Pi 5, a little faster.
    #[serde(rename = "16k")]
    SixteenKib,
}

/// NVMe power saving.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NvmePower {
    /// The kernel's own policy.
    Default,
    /// No autonomous power states and no link power saving.
    Safe,
}

/// Where the machine-id comes from.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MachineId {
    /// From cluster id and node name.
    #[default]
    Derived,
    /// A random one, made at the first boot.
    FirstBoot,
}

/// Wi-Fi; off unless a country is set.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Wifi {
    /// Two-letter country code: turns the radio on with that country's rules.
    /// Off by default: a node has a wire, and a radio is one more way in.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(example = &"DE")]
    pub(crate) country: Field<String>,
}

/// The system's log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Journal {
    /// Cap of the persistent journal: weeks of a quiet node, and no room to
    /// fill the disk when one is not quiet.
    #[schemars(example = &"512MiB")]
    pub(crate) max: Field<String>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            max: Field::of("512MiB".to_owned()),
        }
    }
}

/// A file to add: exactly one of `content` and `source`. Directories that are
/// missing in a user's home become the user's, elsewhere root's. Settings for
/// sshd cannot allow passwords, not even in a `Match` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ExtraFile {
    /// Absolute path on the node; below `/boot/firmware` it goes to the FAT
    /// partition.
    #[schemars(example = &"/etc/motd")]
    pub(crate) path: Field<String>,
    /// What it holds.
    #[serde(default)]
    #[schemars(example = &"Welcome.\n")]
    pub(crate) content: Field<String>,
    /// Or a file to take it from, relative to the profile.
    #[serde(default)]
    #[schemars(example = &"files/motd")]
    pub(crate) source: Field<String>,
    /// Permissions, in octal; `0644` if left out: most configuration is no
    /// secret.
    #[serde(default)]
    #[schemars(example = &"0644")]
    pub(crate) mode: Field<String>,
    /// Numeric user and group; `0:0`, root, if left out.
    #[serde(default)]
    #[schemars(example = &"1000:1000")]
    pub(crate) owner: Field<String>,
}

/// systemd units to enable or mask, beyond what imgbuild does by itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Units {
    /// Started at boot. Full names.
    #[schemars(example = one("fstrim.timer"))]
    pub(crate) enable: Texts,
    /// Never started, whoever asks. Full names.
    #[schemars(example = one("bluetooth.service"))]
    pub(crate) mask: Texts,
}

impl Default for Units {
    fn default() -> Self {
        Self {
            enable: Field::of_default(),
            mask: Field::of_default(),
        }
    }
}
