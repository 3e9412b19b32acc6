//! `[base]`: what the image starts from.

use crate::config::check::Checker;
use crate::config::field::Field;
use crate::config::files::{Files, resolve};
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::{BaseLocation, BaseRef};

pub(crate) fn check(
    base: &Field<written::Base>,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<BaseRef> {
    let written::Base { url, file, sha256 } = base.get()?;
    let digest = check.optional(sha256, |digest| self::digest(digest));
    let location = match (url.is_absent(), file.is_absent()) {
        (false, true) => {
            if sha256.is_absent() {
                let hint = "add the sha256 that the publisher names beside the download";
                check.misplaced(
                    &url.span(),
                    Wrong::new("a download without `sha256` cannot be trusted", hint),
                );
            }
            check
                .value(url, |url| self::url(url))
                .map(BaseLocation::Url)
        }
        (true, false) => {
            let path = check.value(file, |file| self::file(file));
            path.map(|path| BaseLocation::File(resolve(files, check.path(), &path)))
        }
        (both_absent, _) => {
            let message = if both_absent {
                "[base] says neither `url` nor `file`"
            } else {
                "[base] says both `url` and `file`"
            };
            check.misplaced(&base.span(), Wrong::new(message, "write one of the two"));
            None
        }
    };
    Some(BaseRef {
        location: location?,
        sha256: digest?,
    })
}

fn digest(text: &str) -> Result<String, Wrong> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let message = format!("{} is not a sha256", quoted(text));
    Err(Wrong::new(
        message,
        "write the 64 hex digits that `sha256sum` prints",
    ))
}

fn url(text: &str) -> Result<String, Wrong> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    if host.contains('@') {
        let hint = "leave them out: this file and the cache show the URL";
        return Err(Wrong::new("this URL holds a user name or password", hint));
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if host.is_empty() || !is_plain {
        let message = format!("{} is not a web address", quoted(text));
        return Err(Wrong::new(
            message,
            "write https://, the host and the path of the image",
        ));
    }
    Ok(text.to_owned())
}

fn file(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new(
            format!("{} is not a file", quoted(text)),
            "write the image's path",
        ));
    }
    if text.contains("://") {
        let message = format!("{} is a web address, not a file", quoted(text));
        return Err(Wrong::new(message, "write url = instead of file ="));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in ["https://example.org/a.img.xz", "http://nas:8080/a.img"] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a.img",
            "ftp://a/b",
            "https://",
            "https:///a",
            "https://a b/c",
            "https://a/#b",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        let secret = url("https://me:hunter2@example.org/a").expect_err("a password");
        assert!(!secret.message.contains("hunter2"));
    }

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(digest(&"AB".repeat(32)), Ok("ab".repeat(32)));
        for bad in [&"a".repeat(63), &"g".repeat(64), ""] {
            assert!(digest(bad).is_err());
        }
    }
}
