//! `[locale]`.

use crate::config::check::Checker;
use crate::config::nearest::nearest;
use crate::config::problem::{Wrong, listed, quoted};
use crate::config::written;
use crate::plan;

/// The first parts of the zone names that are not kept for old times' sake
/// only: Debian has the others (`US/Eastern`) in a package the base lacks.
const AREAS: [&str; 11] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
];

pub(crate) fn check(locale: &written::Locale, check: &mut Checker) -> Option<plan::Locale> {
    let lang = check.value(&locale.lang, |lang| self::lang(lang));
    let timezone = check.value(&locale.timezone, |zone| timezone(zone));
    let keyboard = check.value(&locale.keyboard, |layout| keyboard(layout));
    Some(plan::Locale {
        lang: lang?,
        timezone: timezone?,
        keyboard: keyboard?,
    })
}

fn lang(text: &str) -> Result<String, Wrong> {
    let (language, modifier) = text.split_once('@').unwrap_or((text, "x"));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_name = |name: &str| match name.split_once('_') {
        Some((language, country)) => {
            (2..=3).contains(&language.len())
                && language.bytes().all(|b| b.is_ascii_lowercase())
                && country.len() == 2
                && country.bytes().all(|b| b.is_ascii_uppercase())
        }
        None => name == "C",
    };
    match language.split_once('.') {
        Some((name, "UTF-8")) if is_name(name) && is_word(modifier) => Ok(text.to_owned()),
        Some((name, _)) if is_name(name) => {
            let message = format!("{} is not in UTF-8", quoted(text));
            Err(Wrong::new(message, format!("write \"{name}.UTF-8\"")))
        }
        None if is_name(language) => {
            let message = format!("{} does not name its character set", quoted(text));
            Err(Wrong::new(message, format!("write \"{language}.UTF-8\"")))
        }
        _ => {
            let message = format!("{} is not a locale", quoted(text));
            Err(Wrong::new(
                message,
                "write \"C.UTF-8\", or one such as \"en_GB.UTF-8\"",
            ))
        }
    }
}

fn timezone(text: &str) -> Result<String, Wrong> {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    let (area, city) = text.split_once('/').unwrap_or((text, ""));
    let is_city = city.split('/').count() <= 2 && city.split('/').all(is_part);
    if text == "UTC" || (AREAS.contains(&area) && is_city) {
        return Ok(text.to_owned());
    }
    let hint = match nearest(area, AREAS) {
        _ if AREAS.contains(&area) || !is_city => {
            "write \"UTC\", or area and city, such as \"Europe/Berlin\"".to_owned()
        }
        Some(near) => format!("did you mean \"{near}/{city}\"?"),
        None => format!("the areas are {}", listed(AREAS)),
    };
    Err(Wrong::new(
        format!("{} is not a time zone", quoted(text)),
        hint,
    ))
}

fn keyboard(text: &str) -> Result<String, Wrong> {
    let hint = match text {
        // Languages and countries that are often taken for layouts.
        "uk" | "en_GB" => "write \"gb\"",
        "en" | "en_US" => "write \"us\", or \"gb\" for the British layout",
        _ if (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase()) => {
            return Ok(text.to_owned());
        }
        _ => "write an XKB layout, such as \"us\" or \"de\"",
    };
    Err(Wrong::new(
        format!("{} is not a keyboard layout", quoted(text)),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn langs() {
        for good in [
            "C.UTF-8",
            "en_GB.UTF-8",
            "sr_RS.UTF-8@latin",
            "fil_PH.UTF-8",
        ] {
            assert_eq!(lang(good).as_deref(), Ok(good));
        }
        for (bad, message, hint) in [
            (
                "en_GB",
                "does not name its character set",
                "write \"en_GB.UTF-8\"",
            ),
            (
                "de_DE.ISO-8859-1",
                "is not in UTF-8",
                "write \"de_DE.UTF-8\"",
            ),
            ("C.utf8", "is not in UTF-8", "write \"C.UTF-8\""),
            (
                "german",
                "is not a locale",
                "write \"C.UTF-8\", or one such as \"en_GB.UTF-8\"",
            ),
            (
                "en_GB.UTF-8@a b",
                "is not in UTF-8",
                "write \"en_GB.UTF-8\"",
            ),
        ] {
            assert_eq!(
                lang(bad),
                Err(Wrong::new(format!("{bad:?} {message}"), hint))
            );
        }
    }

    #[test]
    fn timezones() {
        for good in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+2",
        ] {
            assert_eq!(timezone(good).as_deref(), Ok(good));
        }
        let form = "write \"UTC\", or area and city, such as \"Europe/Berlin\"";
        for (bad, hint) in [
            ("Europ/Berlin", "did you mean \"Europe/Berlin\"?"),
            ("Berlin", form),
            ("UTC+2", form),
            ("Europe/", form),
            ("Europe/../Berlin", form),
            ("Europe/A/B/C", form),
        ] {
            assert_eq!(
                timezone(bad).map_err(|wrong| wrong.hint),
                Err(hint.to_owned()),
                "{bad}"
            );
        }
        let legacy = timezone("US/Eastern").expect_err("not in the base");
        assert!(
            legacy.hint.starts_with("the areas are `Africa`, "),
            "{}",
            legacy.hint
        );
    }

    #[test]
    fn keyboards() {
        for good in ["us", "gb", "latam"] {
            assert_eq!(keyboard(good).as_deref(), Ok(good));
        }
        for bad in ["uk", "en", "US", "", "u", "us,de", "germankeys"] {
            assert!(keyboard(bad).is_err(), "{bad}");
        }
    }
}
