//! What a server answers, and what of it is read.

use std::time::SystemTime;

/// Headers of an answer; servers of Go send five.
const MOST_HEADERS: usize = 32;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP's.
    pub(crate) status: u16,
    /// When the server answered, by its own clock, in seconds since 1970 (RFC 9110,
    /// 6.6.1); `None` if it did not say.
    pub(crate) date: Option<u64>,
    /// At most 64 KiB of it.
    pub(crate) body: Vec<u8>,
}

/// A date of HTTP in seconds since 1970.
pub(super) fn seconds(date: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(str::from_utf8(date).ok()?).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// An answer as it came over the wire, its body to the end of the connection; `None`
/// if it is none of HTTP/1.
pub(super) fn read(answer: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = head.parse(answer).ok()? else {
        return None;
    };
    let mut headers = head.headers.iter();
    let date = headers.find(|header| header.name.eq_ignore_ascii_case("date"));
    Some(Answer {
        status: head.code?,
        date: date.and_then(|date| seconds(date.value)),
        body: answer.get(len..)?.to_vec(),
    })
}
