//! What names a download: its URL and its digest.

use super::problem::{Wrong, quoted};

/// A sha256, in lower case.
pub(crate) fn digest(text: &str) -> Result<String, Wrong> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let message = format!("{} is not a sha256", quoted(text));
    Err(Wrong::new(
        message,
        "write the 64 hex digits that `sha256sum` prints",
    ))
}

/// The address of a file: `https`, `http`, or `file` with an absolute path.
pub(crate) fn url(text: &str) -> Result<String, Wrong> {
    let after = |scheme| text.strip_prefix(scheme);
    let host = match after("file://") {
        Some(path) => path.starts_with('/').then_some("this machine"),
        None => after("https://")
            .or(after("http://"))
            .and_then(|rest| rest.split('/').next()),
    };
    let host = host.unwrap_or_default();
    if host.contains('@') {
        let hint = "leave them out: this file and the cache show the URL";
        return Err(Wrong::new("this URL holds a user name or password", hint));
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if host.is_empty() || !is_plain {
        let message = format!("{} is not a web address", quoted(text));
        return Err(Wrong::new(message, "write https://, the host and the path"));
    }
    Ok(text.to_owned())
}

/// The beginning of URLs, up to a slash: what a mirror stands for.
pub(crate) fn prefix(text: &str) -> Result<String, Wrong> {
    let hint = "write it up to a slash, such as \"https://example.org/images/\"";
    match url(text)? {
        prefix if prefix.ends_with('/') => Ok(prefix),
        _ => Err(Wrong::new(
            format!("{} does not end in a slash", quoted(text)),
            hint,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in [
            "https://example.org/a.img.xz",
            "http://nas:8080/a.img",
            "file:///srv/a.img",
        ] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a.img",
            "ftp://a/b",
            "file://a/b",
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
    fn prefixes_end_in_a_slash() {
        assert!(prefix("https://example.org/").is_ok());
        assert!(prefix("https://example.org").is_err());
        assert!(prefix("/srv/").is_err());
    }

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(digest(&"AB".repeat(32)), Ok("ab".repeat(32)));
        for bad in [&"a".repeat(63), &"g".repeat(64), ""] {
            assert!(digest(bad).is_err());
        }
    }
}
