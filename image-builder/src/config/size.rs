//! Sizes, `32GiB`.

use super::problem::{Wrong, quoted};
use crate::plan::Size;

/// The most that is taken for meant: ext4 without `64bit`, as Raspberry Pi OS
/// makes it, ends there.
const LARGEST: Size = Size(16 << 40);

/// A whole number with `MiB`, `GiB` or `TiB`: partitions and caps have no use
/// for less, and decimal units leave it open which of two sizes is meant.
pub(crate) fn size(text: &str) -> Result<Size, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(not_a_size(text, number, unit)),
    };
    let bytes = number
        .parse()
        .ok()
        .and_then(|count: u64| count.checked_mul(1 << shift));
    match bytes.map(Size) {
        Some(Size(0)) => Err(Wrong::new(
            format!("{} is nothing", quoted(text)),
            "write a size, such as \"32GiB\"",
        )),
        Some(size) if size <= LARGEST => Ok(size),
        _ if number.is_empty() => Err(not_a_size(text, number, unit)),
        _ => {
            let message = format!("{} is more than {LARGEST}", quoted(text));
            Err(Wrong::new(message, format!("write at most \"{LARGEST}\"")))
        }
    }
}

fn not_a_size(text: &str, number: &str, unit: &str) -> Wrong {
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => "",
    };
    let hint = if meant.is_empty() || number.is_empty() {
        "write a whole number with MiB, GiB or TiB, such as \"32GiB\"".to_owned()
    } else {
        format!("write \"{number}{meant}\"")
    };
    Wrong::new(format!("{} is not a size", quoted(text)), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for good in ["1MiB", "512MiB", "32GiB", "16TiB"] {
            assert_eq!(size(good).map(|size| size.to_string()).as_deref(), Ok(good));
        }
        assert_eq!(size("1024MiB"), Ok(Size(1 << 30)));
        let form = "write a whole number with MiB, GiB or TiB, such as \"32GiB\"";
        for (bad, message, hint) in [
            ("8GB", "\"8GB\" is not a size", "write \"8GiB\""),
            ("8 g", "\"8 g\" is not a size", "write \"8GiB\""),
            ("8", "\"8\" is not a size", form),
            ("", "\"\" is not a size", form),
            ("GiB", "\"GiB\" is not a size", form),
            ("-1GiB", "\"-1GiB\" is not a size", form),
            ("1.5GiB", "\"1.5GiB\" is not a size", form),
            (
                "0GiB",
                "\"0GiB\" is nothing",
                "write a size, such as \"32GiB\"",
            ),
            (
                "17TiB",
                "\"17TiB\" is more than 16TiB",
                "write at most \"16TiB\"",
            ),
            (
                "99999999999999999999MiB",
                "\"99999999999999999999MiB\" is more than 16TiB",
                "write at most \"16TiB\"",
            ),
        ] {
            assert_eq!(size(bad), Err(Wrong::new(message, hint)), "{bad}");
        }
    }
}
