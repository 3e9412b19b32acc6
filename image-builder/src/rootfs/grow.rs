//! Checking and enlarging an ext4 file system, by e2fsprogs: no Rust crate
//! grows one. Plain files only: no root, no loop device, no mount.

use std::path::Path;

use crate::cmd::{Cmd, CmdError};

const HINT: &str =
    "install e2fsprogs (Debian: `sudo apt install e2fsprogs`, macOS: `brew install e2fsprogs`)";

/// Checks the file system at `offset` bytes in a file, changing nothing.
///
/// # Errors
/// When e2fsck finds an error, or is not installed.
pub fn check(file: &Path, offset: u64) -> Result<(), CmdError> {
    let mut device = file.as_os_str().to_owned();
    if offset != 0 {
        device.push(format!("?offset={offset}"));
    }
    Cmd::new("e2fsck", HINT).arg("-fn").arg(device).run(&[0])?;
    Ok(())
}

/// Enlarges the file system that fills `file` to the file's present length.
/// `epoch` replaces the clock, so the same base gives the same bytes; 0 becomes 1,
/// for e2fsprogs takes 0 as "ask the clock".
///
/// # Errors
/// When resize2fs fails or is not installed.
pub fn grow(file: &Path, epoch: i64) -> Result<(), CmdError> {
    // -f: it wants a check since the last mount, and `check` was just that.
    Cmd::new("resize2fs", HINT)
        .env("E2FSPROGS_FAKE_TIME", &epoch.max(1).to_string())
        .arg("-f")
        .arg(file)
        .run(&[0])?;
    Ok(())
}

/// Whether the programs are there.
///
/// # Errors
/// When one is missing; the message says how to install it.
pub fn check_tools() -> Result<(), CmdError> {
    // `-V` prints the version; resize2fs has no such flag but says its version
    // before it complains about its arguments.
    Cmd::new("e2fsck", HINT).arg("-V").run(&[0])?;
    Cmd::new("resize2fs", HINT).run(&[1])?;
    Ok(())
}
