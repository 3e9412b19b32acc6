//! After the writing: the disk is let go, so that it may be unplugged.

use std::fs;
use std::path::Path;

use crate::cmd::Cmd;
use crate::device::{Device, Transport};

/// How a disk was let go. All that was written is on its medium in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ejected {
    /// It has spun down, and the system has forgotten it.
    Off,
    /// It stays, with its new partitions known.
    Stays,
}

/// Lets a disk on USB go; of any other the kernel reads the new table. What does
/// not work is no failure: the disk is written.
pub fn eject(device: &Device) -> Ejected {
    if device.transport == Transport::Usb && switch_off(device) {
        return Ejected::Off;
    }
    reread(device)
}

/// Lets the kernel read the new table.
pub fn reread(device: &Device) -> Ejected {
    let _ = Cmd::new("blockdev", "apt install util-linux")
        .arg("--rereadpt")
        .arg(&device.path)
        .run(&[0]);
    Ejected::Stays
}

fn switch_off(device: &Device) -> bool {
    // The kernel flushes the disk's cache and stops it (drivers/scsi/sd.c,
    // `sd_shutdown`). Only root may.
    let delete = Path::new("/sys/class/block")
        .join(&device.name)
        .join("device/delete");
    if fs::write(delete, "1").is_ok() {
        return true;
    }
    Cmd::new("udisksctl", "apt install udisks2")
        .arg("power-off")
        .arg("--block-device")
        .arg(&device.path)
        .run(&[0])
        .is_ok()
}
