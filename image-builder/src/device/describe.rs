//! What a disk is called, and how it is connected: udev's word where there is
//! one, else what the kernel shows of the hardware.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use super::sysfs::{Block, attribute};
use super::udev::Properties;
use super::{Transport, words};

/// Byte 0 of a page of a SCSI disk's vital product data is the device's type,
/// byte 1 the page, bytes 2-3 the length (SPC, "unit serial number page").
const VPD_HEADER: usize = 4;

/// How it is connected, by its place in the machine: some adapters from USB to
/// SATA answer for the disk behind them, and then udev says `ata`.
pub(super) fn transport(block: &Block, udev: &Properties) -> Transport {
    let below = |bus: &str| {
        block.dir.components().any(|part| {
            let name = part.as_os_str().as_bytes();
            name.strip_prefix(bus.as_bytes())
                .is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
        })
    };
    let named = |prefix: &str| block.name.starts_with(prefix);
    match () {
        () if named("loop") => Transport::Loop,
        () if below("usb") => Transport::Usb,
        () if named("nvme") => Transport::Nvme,
        () if named("mmcblk") => Transport::Mmc,
        () if below("virtio") => Transport::Virtio,
        () if below("ata") => Transport::Sata,
        () => match udev.get("ID_BUS") {
            Some("usb") => Transport::Usb,
            Some("ata") => Transport::Sata,
            Some(bus) => Transport::Other(bus.to_owned()),
            None => Transport::Other("unknown".to_owned()),
        },
    }
}

/// Soldered or screwed in: not removable, and neither on USB nor a card nor a
/// loop device. Flash that is soldered (eMMC) is of type `MMC`, a card `SD`.
pub(super) fn internal(block: &Block, transport: &Transport, removable: bool) -> bool {
    match transport {
        Transport::Usb | Transport::Loop => false,
        Transport::Mmc => block.attribute("device/type").as_deref() == Some("MMC"),
        _ => !removable,
    }
}

/// Maker and model.
pub(super) fn model(block: &Block, udev: &Properties) -> Option<String> {
    let of_kernel = |name: &str| block.attribute(name).as_deref().and_then(words);
    let model = udev
        .text("ID_MODEL")
        .or_else(|| of_kernel("device/model"))
        .or_else(|| of_kernel("device/name"))?;
    let vendor = match udev.text("ID_MODEL") {
        Some(_) => udev.text("ID_VENDOR"),
        None => of_kernel("device/vendor"),
    };
    // A SATA disk's vendor is `ATA`, that of virtio `0x1af4`; others repeat it.
    match vendor {
        Some(vendor)
            if vendor != "ATA" && !vendor.starts_with("0x") && !model.starts_with(&vendor) =>
        {
            Some(format!("{vendor} {model}"))
        }
        _ => Some(model),
    }
}

/// The serial number, as it is on the label where the maker was kind.
pub(super) fn serial(block: &Block, udev: &Properties) -> Option<String> {
    udev.text("ID_SERIAL_SHORT")
        .or_else(|| of_usb(block))
        .or_else(|| words(&block.attribute("device/serial")?))
        .or_else(|| words(&block.attribute("serial")?))
        .or_else(|| vital_product_data(block))
}

/// The serial of the USB device that the disk is in. udev takes that one too.
fn of_usb(block: &Block) -> Option<String> {
    let usb = block
        .dir
        .ancestors()
        .take_while(|dir| dir.file_name().is_some_and(|name| !is_root_hub(name)))
        .find(|dir| dir.join("idVendor").exists())?;
    words(&attribute(usb, "serial")?)
}

/// `usb2`: its serial is the controller's address.
fn is_root_hub(name: &OsStr) -> bool {
    let digits = name.as_bytes().strip_prefix(b"usb");
    digits.is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
}

fn vital_product_data(block: &Block) -> Option<String> {
    let page = fs::read(block.dir.join("device/vpd_pg80")).ok()?;
    let text = page.get(VPD_HEADER..)?;
    words(&String::from_utf8_lossy(text).replace('\0', " "))
}
