//! `[units]`: systemd units to enable or mask.

use std::collections::BTreeMap;

use node_config::paths;

use crate::config::check::Checker;
use crate::config::field::{Span, Texts};
use crate::config::nearest::nearest;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;

/// The kinds of unit that can be enabled or masked.
const KINDS: [&str; 8] = [
    "service",
    "socket",
    "timer",
    "mount",
    "automount",
    "path",
    "target",
    "swap",
];

/// Without one of these nobody reaches the node, or nothing makes it one.
const NEEDED: [&str; 4] = [
    "ssh.service",
    "NetworkManager.service",
    "systemd-journald.service",
    paths::AGENT_UNIT,
];

/// Longest unit name (systemd.unit(5)).
const NAME: usize = 255;

/// Units to enable and units to mask.
pub(crate) fn check(
    units: &written::Units,
    check: &mut Checker,
) -> Option<(Vec<String>, Vec<String>)> {
    let enable = check.list(&units.enable, |name| enabled(name));
    let mask = check.list(&units.mask, |name| masked(name));
    let mut seen = BTreeMap::new();
    once(&units.enable, &mut seen, check);
    once(&units.mask, &mut seen, check);
    Some((enable?, mask?))
}

/// Reports a unit that was named before, in either list.
fn once(list: &Texts, seen: &mut BTreeMap<String, Span>, check: &mut Checker) {
    for item in list.items() {
        let Some(name) = item.get() else { continue };
        if let Some(first) = check.seen_before(seen, name.clone(), &item.span()) {
            let message = format!("{} is named already, at {first}", quoted(name));
            check.wrong(&item.span(), Wrong::new(message, "remove one of the two"));
        }
    }
}

fn enabled(text: &str) -> Result<String, Wrong> {
    let name = unit(text)?;
    if name.contains("@.") {
        let message = format!("{} is a template", quoted(text));
        let hint = format!(
            "name an instance, such as \"{}\"",
            name.replace("@.", "@tty1.")
        );
        return Err(Wrong::new(message, hint));
    }
    Ok(name)
}

fn masked(text: &str) -> Result<String, Wrong> {
    let name = unit(text)?;
    if NEEDED.contains(&text) {
        let message = format!("a node does not work without {}", quoted(text));
        return Err(Wrong::new(message, "leave it out"));
    }
    Ok(name)
}

fn unit(text: &str) -> Result<String, Wrong> {
    let is_plain = |stem: &str| {
        !stem.is_empty()
            && !stem.starts_with(['@', '.'])
            && stem
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
    };
    let (stem, kind) = text.rsplit_once('.').unwrap_or((text, ""));
    if text.len() <= NAME && is_plain(stem) && KINDS.contains(&kind) {
        return Ok(text.to_owned());
    }
    let hint = match nearest(kind, KINDS) {
        Some(near) if is_plain(stem) => format!("did you mean \"{stem}.{near}\"?"),
        _ if is_plain(text) && text.len() < NAME / 2 => {
            format!("write the full name, such as \"{text}.service\"")
        }
        _ => "write the full name, such as \"fstrim.timer\"".to_owned(),
    };
    Err(Wrong::new(
        format!("{} is not the name of a unit", quoted(text)),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for good in [
            "fstrim.timer",
            "getty@tty1.service",
            "mnt-a\\x2db.mount",
            "a.b.service",
        ] {
            assert_eq!(unit(good).as_deref(), Ok(good));
        }
        for (bad, hint) in [
            ("fstrim", "write the full name, such as \"fstrim.service\""),
            ("fstrim.tmer", "did you mean \"fstrim.timer\"?"),
            (
                "../x.service",
                "write the full name, such as \"fstrim.timer\"",
            ),
            (
                "a b.service",
                "write the full name, such as \"fstrim.timer\"",
            ),
            (".service", "write the full name, such as \"fstrim.timer\""),
            ("", "write the full name, such as \"fstrim.timer\""),
        ] {
            assert_eq!(
                unit(bad).map_err(|wrong| wrong.hint),
                Err(hint.to_owned()),
                "{bad}"
            );
        }
    }

    #[test]
    fn templates_are_masked_but_not_enabled() {
        assert!(masked("getty@.service").is_ok());
        assert!(enabled("getty@.service").is_err());
        assert!(masked("ssh.service").is_err());
    }
}
