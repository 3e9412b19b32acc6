//! Continuing a file where it stopped (RFC 9110, sections 8.8, 13.1.5, 14).

use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::http::header::{DATE, ETAG, HeaderName, LAST_MODIFIED};

/// What tells one version of a file from another, byte for byte; the value of
/// `If-Range:`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Validator(String);

impl Validator {
    /// What a server's headers say, if that is strong. A weak `ETag` is equal
    /// for files that differ. `Last-Modified` counts seconds, so a file may
    /// have changed again within its own (RFC 9110, 8.8.2.2).
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        if let Some(etag) = text(ETAG).filter(|etag| is_strong(etag)) {
            return Some(Self(etag.into()));
        }
        let modified = text(LAST_MODIFIED)?;
        let at = httpdate::parse_http_date(modified).ok()?;
        let date = httpdate::parse_http_date(text(DATE)?).ok()?;
        let age = date.duration_since(at).ok()?;
        (age >= Duration::from_secs(1)).then(|| Self(modified.into()))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_strong(etag: &str) -> bool {
    let inner = etag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.contains('"'))
}

/// `Content-Range: bytes 10-19/20`: which part of a file is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of its first byte.
    pub first: u64,
    /// Offset of its last one, not before the first.
    pub last: u64,
    /// Bytes of the whole file, where the server knows.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the header's value; `None` when it is not of that form or
    /// contradicts itself.
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self {
            first: number(first)?,
            last: number(last)?,
            total: match total {
                "*" => None,
                total => Some(number(total)?),
            },
        };
        let sound = unit.eq_ignore_ascii_case("bytes")
            && range.first <= range.last
            && range.total.is_none_or(|total| range.last < total);
        sound.then_some(range)
    }
}

/// Digits only: `parse` alone would take `+5`.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        for (text, expected) in [
            ("bytes 0-0/1", range(0, 0, Some(1))),
            ("Bytes 10-19/20", range(10, 19, Some(20))),
            ("bytes 10-19/*", range(10, 19, None)),
            ("bytes */20", None),
            ("bytes 10-9/20", None),
            ("bytes 10-20/20", None),
            ("bytes +1-2/3", None),
            ("bytes 1-2", None),
            ("items 1-2/3", None),
            ("bytes 1-99999999999999999999/*", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn only_strong_validators_count() {
        let modified = "Tue, 15 Nov 1994 08:12:31 GMT";
        for (headers, expected) in [
            (vec![("etag", "\"a\"")], Some("\"a\"")),
            (vec![("etag", "W/\"a\"")], None),
            (vec![("etag", "a")], None),
            (vec![("etag", "\"")], None),
            (vec![("last-modified", modified)], None),
            (vec![("last-modified", modified), ("date", modified)], None),
            (
                vec![
                    ("etag", "W/\"a\""),
                    ("last-modified", modified),
                    ("date", "Tue, 15 Nov 1994 08:12:32 GMT"),
                ],
                Some(modified),
            ),
            (vec![("last-modified", "then"), ("date", modified)], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                let name = HeaderName::from_static(name);
                map.insert(name, value.parse().expect("value"));
            }
            let found = Validator::of(&map);
            assert_eq!(
                found.as_ref().map(Validator::as_str),
                expected,
                "{headers:?}"
            );
        }
    }
}
