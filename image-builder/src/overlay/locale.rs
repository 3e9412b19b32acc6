//! Language, time zone and keyboard. What the base cannot do is refused here:
//! on the node it would only show as warnings at every login.

use anyhow::{Result, bail};

use crate::plan::Locale;

use super::{BaseView, Kind, Overlay, Part, is_normal};

const ZONEINFO: &str = "/usr/share/zoneinfo";
const LOCALES: &str = "/usr/lib/locale";
const LOCALE: &str = "/etc/default/locale";
const LOCALE_CONF: &str = "/etc/locale.conf";
const TMPFILES: &str = "/usr/lib/tmpfiles.d/debian.conf";
const KEYBOARD: &str = "/etc/default/keyboard";

/// `keyboard-setup` runs this script instead of reading the settings, if it is
/// there: the old layout would stay.
const KEYBOARD_CACHE: &str = "/etc/console-setup/cached_setup_keyboard.sh";

/// Sets all three.
pub(super) fn add(overlay: &mut Overlay, locale: &Locale, base: &dyn BaseView) -> Result<()> {
    let Locale {
        lang,
        timezone,
        keyboard,
    } = locale;
    set_timezone(overlay, timezone, base)?;
    set_lang(overlay, lang, base)?;
    set_keyboard(overlay, keyboard, base)
}

fn set_timezone(overlay: &mut Overlay, zone: &str, base: &dyn BaseView) -> Result<()> {
    let file = format!("{ZONEINFO}/{zone}");
    let known = match is_normal(&file) {
        true => matches!(base.at(&file)?, Some(Kind::File | Kind::Symlink(_))),
        false => false,
    };
    if !known {
        match nearest_zone(zone, base)? {
            Some(near) => bail!("the base knows no time zone {zone:?}; did you mean {near:?}?"),
            None => bail!("the base has no {file}: is the package tzdata installed in it?"),
        }
    }
    overlay.link(Part::Root, "/etc/localtime", &file);
    // trixie's tzdata no longer makes this copy of the name; where it exists it
    // must agree with the link.
    if base.has("/etc/timezone")? {
        overlay.file(Part::Root, "/etc/timezone", 0o644, format!("{zone}\n"));
    }
    Ok(())
}

/// The zone of the same area whose name agrees longest, upper and lower case alike.
fn nearest_zone(zone: &str, base: &dyn BaseView) -> Result<Option<String>> {
    let nearest = |names: Vec<String>, wanted: &str| {
        let shared = |name: &String| {
            let pairs = name.bytes().zip(wanted.bytes());
            pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
        };
        names.into_iter().rev().max_by_key(shared)
    };
    let (area, city) = zone.split_once('/').unwrap_or((zone, ""));
    let Some(area) = nearest(base.names(ZONEINFO)?, area) else {
        return Ok(None);
    };
    let path = format!("{ZONEINFO}/{area}");
    let cities = match base.at(&path)? {
        Some(Kind::Dir) => base.names(&path)?,
        _ => Vec::new(),
    };
    Ok(Some(match nearest(cities, city) {
        Some(city) => format!("{area}/{city}"),
        None => area,
    }))
}

fn set_lang(overlay: &mut Overlay, lang: &str, base: &dyn BaseView) -> Result<()> {
    if !has_locale(lang, base)? {
        bail!(
            "the base has no locale {lang:?}, and generating one takes programs of the base; \
             use \"C.UTF-8\", which every base has, or a base that has the locale"
        );
    }
    let setting = format!("LANG={lang}\n");
    if has_moved(base)? {
        overlay.file(Part::Root, LOCALE_CONF, 0o644, setting);
        overlay.link(Part::Root, LOCALE, "../locale.conf");
        return Ok(());
    }
    if base.at(LOCALE_CONF)? == Some(Kind::File) {
        overlay.file(Part::Root, LOCALE_CONF, 0o644, setting.as_str());
    }
    overlay.file(Part::Root, LOCALE, 0o644, setting);
    Ok(())
}

/// Whether the setting is in `/etc/locale.conf` and the old path a link to it.
/// Debian 13 makes the link at every boot (`L+` in tmpfiles.d/debian.conf), over
/// whatever file is there: a setting left in the old place would be lost.
fn has_moved(base: &dyn BaseView) -> Result<bool> {
    if matches!(base.at(LOCALE)?, Some(Kind::Symlink(_))) {
        return Ok(true);
    }
    let rules = base.read(Part::Root, TMPFILES)?.unwrap_or_default();
    let rules = String::from_utf8_lossy(&rules);
    Ok(rules.lines().any(|rule| {
        let mut words = rule.split_whitespace();
        words.next().is_some_and(|kind| kind.starts_with('L')) && words.next() == Some(LOCALE)
    }))
}

fn has_locale(lang: &str, base: &dyn BaseView) -> Result<bool> {
    // Part of the C library itself.
    if matches!(lang, "C" | "POSIX" | "C.UTF-8" | "C.utf8") {
        return Ok(true);
    }
    let name = stored_name(lang);
    if base.has(&format!("{LOCALES}/{name}"))? {
        return Ok(true);
    }
    // The archive is a hash table of strings that end in NUL. Its layout is not
    // worth a parser: no other string in it looks like a locale's name.
    let archive = base
        .read(Part::Root, &format!("{LOCALES}/locale-archive"))?
        .unwrap_or_default();
    let needle = [name.as_bytes(), b"\0"].concat();
    Ok(archive.windows(needle.len()).any(|window| window == needle))
}

/// A locale's name as `localedef` stores it: `en_GB.UTF-8` is `en_GB.utf8`.
fn stored_name(lang: &str) -> String {
    let (name, rest) = lang.split_once('.').unwrap_or((lang, ""));
    let (charset, modifier) = match rest.split_once('@') {
        Some((charset, modifier)) => (charset, format!("@{modifier}")),
        None => (rest, String::new()),
    };
    let charset: String = charset
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase();
    match charset.is_empty() {
        true => format!("{name}{modifier}"),
        false => format!("{name}.{charset}{modifier}"),
    }
}

fn set_keyboard(overlay: &mut Overlay, layout: &str, base: &dyn BaseView) -> Result<()> {
    let stock = base.text(Part::Root, KEYBOARD)?.unwrap_or_else(|| {
        "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\n\nBACKSPACE=\"guess\"\n".into()
    });
    let mut text = String::new();
    for line in stock.lines() {
        match line.split_once('=') {
            Some(("XKBLAYOUT", _)) => text += &format!("XKBLAYOUT=\"{layout}\""),
            // A variant belongs to its layout: `nodeadkeys` of `de` is unknown to `us`.
            Some(("XKBVARIANT", _)) => text += "XKBVARIANT=\"\"",
            _ => text += line,
        }
        text.push('\n');
    }
    overlay.file(Part::Root, KEYBOARD, 0o644, text);
    if base.has(KEYBOARD_CACHE)? {
        overlay.remove(Part::Root, KEYBOARD_CACHE);
    }
    Ok(())
}
