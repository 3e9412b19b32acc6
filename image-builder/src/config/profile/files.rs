//! `[[files]]`: files a profile adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::path::{folded, is_in, is_on_fat, path};
use crate::config::check::{Checker, all};
use crate::config::field::{Field, Span};
use crate::config::files::{Files, resolve, why};
use crate::config::problem::{Wrong, quoted, shown};
use crate::config::written;
use crate::plan::ExtraFile;

/// Configuration, not payload: the contents of all files are held in memory.
const LIMIT: u64 = 16 << 20;

/// The paths that files have so far, and where they stand.
pub(crate) type Taken = BTreeMap<String, Span>;

pub(crate) fn check(
    files: &Field<Vec<Field<written::ExtraFile>>>,
    taken: &mut Taken,
    check: &mut Checker,
    disk: &dyn Files,
) -> Option<Vec<ExtraFile>> {
    files.get()?;
    all(files.items().iter().map(|item| {
        let file = item.get()?;
        let path = check.value(&file.path, |text| path(text));
        if let Some(path) = &path {
            clash(path, &file.path.span(), taken, check);
        }
        let on_fat = path.as_deref().is_some_and(is_on_fat);
        let mode = permission(&file.mode, 0o644, on_fat, mode, check);
        let owner = permission(&file.owner, (0, 0), on_fat, owner, check);
        let content = content(file, &item.span(), check, disk);
        Some(ExtraFile {
            path: path?,
            mode: mode?,
            owner: owner?,
            content: content?,
        })
    }))
}

/// Reports a path that is another file's, or that another's lies below or above.
pub(crate) fn clash(path: &str, span: &Span, seen: &mut Taken, check: &mut Checker) {
    let key = folded(path);
    let other = seen
        .keys()
        .find(|other| is_in(other, &key) || is_in(&key, other))
        .cloned();
    if let Some(other) = other {
        let message = format!("{path} and {other} cannot both be files: one lies in the other");
        check.wrong(span, Wrong::new(message, "move one of the two"));
    }
    if let Some(first) = check.seen_before(seen, key, span) {
        let message = format!("{path} is there already, at {first}");
        check.wrong(span, Wrong::new(message, "remove one of the two"));
    }
}

/// `mode` or `owner`: only where the file system keeps them.
fn permission<T>(
    field: &Field<String>,
    default: T,
    on_fat: bool,
    parse: fn(&str) -> Result<T, Wrong>,
    check: &mut Checker,
) -> Option<T> {
    if field.is_absent() {
        return Some(default);
    }
    check.value(field, |text| {
        if on_fat {
            let message = "a FAT partition keeps neither mode nor owner";
            return Err(Wrong::new(
                message,
                "leave it out for files in /boot/firmware",
            ));
        }
        parse(text)
    })
}

pub(crate) fn mode(text: &str) -> Result<u16, Wrong> {
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let bits = u16::from_str_radix(text, 8).ok();
    let Some(bits) = bits.filter(|_| is_octal && (3..=4).contains(&text.len())) else {
        let message = format!("{} is not a mode", quoted(text));
        return Err(Wrong::new(
            message,
            "write three or four octal digits, such as \"0644\"",
        ));
    };
    if bits & 0o002 != 0 {
        let hint = format!("write \"{:04o}\"", bits & !0o002);
        return Err(Wrong::new(
            format!("{text} lets everybody write this file"),
            hint,
        ));
    }
    if bits & 0o6000 != 0 && bits & 0o020 != 0 {
        let hint = format!("write \"{:04o}\"", bits & !0o020);
        let message = format!("{text} lets a group change what runs with another's rights");
        return Err(Wrong::new(message, hint));
    }
    Ok(bits)
}

fn owner(text: &str) -> Result<(u32, u32), Wrong> {
    let id = |text: &str| {
        text.parse()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
    };
    let ids = text
        .split_once(':')
        .and_then(|(user, group)| Some((id(user)?, id(group)?)));
    // The largest number stands for "no such user" to the kernel.
    ids.filter(|(user, group)| *user < u32::MAX && *group < u32::MAX).ok_or_else(|| {
        let message = format!("{} is not a numeric owner", quoted(text));
        let hint = "write user and group by number, such as \"0:0\" for root or \"1000:1000\" for the first user";
        Wrong::new(message, hint)
    })
}

/// What the file holds, from the profile itself or from a file beside it.
fn content(
    file: &written::ExtraFile,
    whole: &Span,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<Arc<[u8]>> {
    let written::ExtraFile {
        content, source, ..
    } = file;
    match (content.is_absent(), source.is_absent()) {
        (false, true) => content.get().map(|text| text.as_bytes().into()),
        (true, false) => {
            let path = resolve(files, check.path(), source.get()?);
            check.value(source, |_| {
                files.read(&path, LIMIT).map(Arc::from).map_err(|error| {
                    let message = format!("{} cannot be read: {}", shown(&path), why(&error));
                    Wrong::new(
                        message,
                        "name a file of at most 16MiB, relative to the profile",
                    )
                })
            })
        }
        (both_absent, _) => {
            let message = if both_absent {
                "this file says neither `content` nor `source`"
            } else {
                "this file says both `content` and `source`"
            };
            check.misplaced(whole, Wrong::new(message, "write one of the two"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (good, bits) in [
            ("0644", 0o644),
            ("600", 0o600),
            ("4755", 0o4755),
            ("0775", 0o775),
        ] {
            assert_eq!(mode(good), Ok(bits));
        }
        for (bad, hint) in [
            ("0666", "write \"0664\""),
            ("4777", "write \"4775\""),
            ("2775", "write \"2755\""),
            ("644x", "write three or four octal digits, such as \"0644\""),
            ("+644", "write three or four octal digits, such as \"0644\""),
            ("44", "write three or four octal digits, such as \"0644\""),
            ("0689", "write three or four octal digits, such as \"0644\""),
        ] {
            assert_eq!(
                mode(bad).map_err(|wrong| wrong.hint),
                Err(hint.to_owned()),
                "{bad}"
            );
        }
    }

    #[test]
    fn owners() {
        assert_eq!(owner("1000:1000"), Ok((1000, 1000)));
        for bad in [
            "root:root",
            "0",
            ":",
            "0:",
            "+1:0",
            "-1:0",
            "4294967295:0",
            "0:0:0",
        ] {
            assert!(owner(bad).is_err(), "{bad}");
        }
    }
}
