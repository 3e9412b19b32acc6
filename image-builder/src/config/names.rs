//! DNS names: of nodes, clusters and domains.

use super::problem::{Wrong, quoted};

/// Longest label (RFC 1123, section 2.1).
const LABEL: usize = 63;
/// Longest name in text (RFC 1035, section 2.3.4, without the final dot).
const NAME: usize = 253;

/// A single label, called `what` in a message; lower case, as K3s wants the
/// names of its nodes.
pub(crate) fn label(text: &str, what: &str) -> Result<String, Wrong> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a {what}", quoted(text));
    let tidy = text.to_lowercase().replace(['_', ' ', '.'], "-");
    let tidy = tidy.trim_matches('-');
    let hint = if is_label(tidy) {
        format!("write \"{tidy}\"")
    } else if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        "write a letter too: programs read a bare number as an address".to_owned()
    } else {
        format!("write lower-case letters, digits and inner hyphens, at most {LABEL}")
    };
    Err(Wrong::new(message, hint))
}

/// Labels joined by dots.
pub(crate) fn domain(text: &str) -> Result<String, Wrong> {
    if is_domain(text) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a domain name", quoted(text));
    Err(Wrong::new(
        message,
        "write lower-case labels joined by dots, such as \"home.arpa\"",
    ))
}

/// Lower-case letters, digits and inner hyphens; not digits alone, which
/// programs take for an address.
pub(crate) fn is_label(text: &str) -> bool {
    is_dns_label(text) && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Labels joined by dots, the last of which is not a number.
pub(crate) fn is_domain(text: &str) -> bool {
    text.len() <= NAME
        && text.split('.').all(is_dns_label)
        && text.rsplit('.').next().is_some_and(is_label)
}

fn is_dns_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let long = "a".repeat(63);
        for good in ["pi-1", "a", "1a", "4-2", &long] {
            assert_eq!(label(good, "name").as_deref(), Ok(good));
        }
        let longer = "a".repeat(64);
        for (bad, hint) in [
            ("Pi_1", "write \"pi-1\""),
            ("-pi", "write \"pi\""),
            ("pi.home", "write \"pi-home\""),
            (
                "",
                "write lower-case letters, digits and inner hyphens, at most 63",
            ),
            (
                "pü",
                "write lower-case letters, digits and inner hyphens, at most 63",
            ),
            (
                &longer,
                "write lower-case letters, digits and inner hyphens, at most 63",
            ),
            (
                "42",
                "write a letter too: programs read a bare number as an address",
            ),
        ] {
            assert_eq!(
                label(bad, "name").map_err(|wrong| wrong.hint),
                Err(hint.to_owned()),
                "{bad}"
            );
        }
    }

    #[test]
    fn domains() {
        let long = format!("{}a", "a.".repeat(126));
        for good in ["home", "home.arpa", "0.pool.ntp.org", &long] {
            assert!(domain(good).is_ok(), "{good}");
        }
        let longer = format!("{}a", "a.".repeat(127));
        for bad in [
            "",
            ".",
            "home.",
            ".home",
            "a..b",
            "Home.arpa",
            "a b",
            "1.2.3.4",
            &longer,
        ] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
