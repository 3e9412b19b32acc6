//! Whether the user means this disk.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use crate::device::{Bytes, Contents, Device};
use crate::inspect::text::plain;

/// Links that name one piece of hardware, whatever else is plugged in.
const BY_ID: &str = "/dev/disk/by-id";

/// A disk that is not written because nobody said so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConfirmed {
    /// `--yes` with a name that may be another disk's tomorrow.
    #[error("--yes needs a name that is this disk's alone, and {given} is not: {}", stable(link.as_deref()))]
    Name {
        given: PathBuf,
        /// The name it should be.
        link: Option<PathBuf>,
    },
    /// Nobody to ask.
    #[error(
        "{0} holds {1}, and there is no terminal to ask on; give its name below /dev/disk/by-id and --yes"
    )]
    NoTerminal(PathBuf, String),
    /// Something else was typed.
    #[error("what was typed is not {0}; nothing was written")]
    Other(String),
}

fn stable(link: Option<&Path>) -> String {
    match link {
        Some(link) => format!("write {}", link.display()),
        None => "it has none below /dev/disk/by-id; run this on a terminal without --yes".into(),
    }
}

/// Asks, unless the disk is empty or the user said yes beforehand.
///
/// # Errors
/// [`NotConfirmed`], or when the terminal cannot be read.
pub(super) fn confirm(
    given: &Path,
    device: &Device,
    contents: &Contents,
    yes: bool,
) -> anyhow::Result<()> {
    if yes {
        return match given.parent() == Some(Path::new(BY_ID)) {
            true => Ok(()),
            false => {
                let link = device.by_id.first().cloned();
                let given = given.into();
                Err(NotConfirmed::Name { given, link }.into())
            }
        };
    }
    if *contents == Contents::Nothing {
        return Ok(());
    }
    let held = plain(&contents.to_string());
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(NotConfirmed::NoTerminal(given.into(), held).into());
    }
    let (what, expected) = secret_word(device);
    eprintln!(
        "{} is {}, {}, {}{}",
        given.display(),
        Bytes(device.size),
        device.transport,
        device.model.as_deref().unwrap_or("of no known model"),
        device
            .serial
            .as_deref()
            .map_or_else(String::new, |serial| format!(", serial {serial}")),
    );
    eprintln!("  it holds {held}\n  all of it will be lost");
    eprint!("Type {what} to go on: ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    match is_meant(&line, &expected) {
        true => Ok(()),
        false => Err(NotConfirmed::Other(what).into()),
    }
}

/// What has to be typed, in words and as it is. Not "yes": fingers type that by
/// themselves.
fn secret_word(device: &Device) -> (String, String) {
    match device
        .serial
        .as_deref()
        .filter(|serial| serial.chars().count() >= 4)
    {
        Some(serial) => {
            let skip = serial.chars().count() - 4;
            let last = serial.chars().skip(skip).collect();
            ("the last four characters of its serial number".into(), last)
        }
        None => (
            "its name without /dev/".into(),
            device.name.replace('!', "/"),
        ),
    }
}

fn is_meant(typed: &str, expected: &str) -> bool {
    typed.trim().eq_ignore_ascii_case(expected.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::testing::Tree;

    #[test]
    fn the_last_four_of_the_serial_are_asked_or_the_name() {
        let tree = Tree::workshop();
        let system = tree.system();
        let word = |path: &str| secret_word(&system.find(Path::new(path)).expect(path)).1;
        assert_eq!(word("/dev/sda"), "3456");
        assert_eq!(word("/dev/sde"), "sde");
        assert!(is_meant(" 3456\n", "3456"));
        assert!(!is_meant("\n", "3456"));
        assert!(!is_meant("yes\n", "3456"));
    }

    #[test]
    fn yes_needs_a_name_that_stays() {
        let tree = Tree::workshop();
        let device = tree.system().find(Path::new("/dev/sda")).expect("sda");
        let held = Contents::Unreadable("x".into());
        let by = |path: &Path| confirm(path, &device, &held, true);
        let error = by(Path::new("/dev/sda"))
            .expect_err("a passing name")
            .to_string();
        assert!(error.contains("/dev/disk/by-id/usb-Samsung"), "{error}");
        by(Path::new("/dev/disk/by-id/../../sda")).expect_err("a way around");
        by(&device.by_id[0]).expect("its own name");
    }
}
