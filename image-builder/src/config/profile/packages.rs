//! `packages`: Debian packages a profile adds.

use std::collections::BTreeMap;

use crate::config::check::Checker;
use crate::config::field::Texts;
use crate::config::problem::{Wrong, quoted};

/// The names, sorted: their order means nothing.
pub(crate) fn check(packages: &Texts, check: &mut Checker) -> Option<Vec<String>> {
    let mut names = check.list(packages, |text| name(text))?;
    let mut seen = BTreeMap::new();
    for (name, item) in names.iter().zip(packages.items()) {
        if let Some(first) = check.seen_before(&mut seen, name.clone(), &item.span()) {
            let message = format!("{name} is there already, at {first}");
            check.wrong(&item.span(), Wrong::new(message, "remove one of the two"));
        }
    }
    names.sort();
    Some(names)
}

/// A binary package's name (Debian Policy, section 5.6.7).
fn name(text: &str) -> Result<String, Wrong> {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let is_name =
        text.len() >= 2 && text.bytes().all(inner) && text.as_bytes()[0].is_ascii_alphanumeric();
    if is_name {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the name of a Debian package", quoted(text));
    let hint = match text.split_once(['=', '/', ':']) {
        Some((name, _)) if !name.is_empty() => {
            format!("write \"{name}\": versions are the lock's, and nodes are arm64")
        }
        _ => {
            "write lower-case letters, digits, `+`, `-` and `.`, such as \"open-iscsi\"".to_owned()
        }
    };
    Err(Wrong::new(message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["open-iscsi", "libstdc++6", "0ad", "python3.13-minimal"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a",
            "-x",
            "Vim",
            "a b",
            "vim=2:9",
            "libc6:arm64",
            "../x",
            "a_b",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
