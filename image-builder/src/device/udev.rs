//! What udev found out about a device: its database, `/run/udev/data/bMAJ:MIN`
//! (a line `E:KEY=VALUE` each property; systemd's `device_read_db_internal`).
//! Not every machine has one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Number;

/// The properties of one device; empty without udev.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads a file of the database. What is no property is left aside.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let pairs = text.lines().filter_map(|line| {
            let (key, value) = line.strip_prefix("E:")?.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        });
        Self(pairs.collect())
    }

    pub(super) fn of(run: &Path, number: Number) -> Self {
        let file = run.join("udev/data").join(format!("b{number}"));
        fs::read(file).map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// A property that says something.
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The text of a property as the device has it: `KEY_ENC`, where bytes that
    /// udev did not like are `\xHH`, or else `KEY`, where they are underscores.
    pub fn text(&self, key: &str) -> Option<String> {
        let text = match self.get(&format!("{key}_ENC")) {
            Some(encoded) => decode(encoded),
            None => self.get(key)?.to_owned(),
        };
        super::words(&text)
    }
}

/// `\xHH` is one byte (systemd's `encode_devnode_name`).
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'\\'
            && let Some((b"x", digits)) = after.split_at_checked(1)
            && let Some((digits, after)) = digits.split_at_checked(2)
            && let Ok(bytes) = base16ct::mixed::decode_vec(digits)
        {
            out.extend(bytes);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_the_device_has_them() {
        let text = b"S:disk/by-id/usb-X\nI:12\nE:ID_MODEL=PSSD_T7\n\
E:ID_MODEL_ENC=PSSD\\x20T7\\x20\\xc2\\xb2\\x20\\x20\nE:ID_BUS=usb\nE:EMPTY=\nE:no pair\nG:systemd\n\
E:ID_VENDOR=Sam_sung\nE:BAD_ENC=a\\x2\n";
        let properties = Properties::parse(text);
        assert_eq!(properties.text("ID_MODEL"), Some("PSSD T7 \u{b2}".into()));
        assert_eq!(properties.text("ID_VENDOR"), Some("Sam_sung".into()));
        assert_eq!(properties.text("BAD"), Some("a\\x2".into()));
        assert_eq!(properties.get("ID_BUS"), Some("usb"));
        assert_eq!(properties.get("EMPTY"), None);
        assert_eq!(properties.text("ID_SERIAL_SHORT"), None);
    }
}
