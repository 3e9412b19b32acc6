//! What comes back for a URL, from a server or out of a file: where it begins,
//! how long it is, its bytes.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use ureq::http::HeaderMap;

use super::error::Failure;
use super::exchange::{Exchange, Head, Part};
use super::retry::retry_after;
use super::session::Session;
use super::{Address, ContentRange, FetchError, Trouble, Validator};
use crate::progress::Progress;

/// Bytes read from a file at a time.
const STEP: usize = 1 << 20;

/// Bytes that are about to come.
pub(super) struct Answer {
    /// Their offset in the file: 0, or where the wanted part begins.
    pub(super) start: u64,
    /// The file's size, where that is known.
    pub(super) total: Option<u64>,
    /// Which version of the file they are of, where that can be told.
    pub(super) validator: Option<Validator>,
    body: Body,
}

enum Body {
    Net(Exchange),
    File(File, PathBuf),
}

impl Answer {
    /// Asks for a file, or for a part of it, which may be answered with all.
    ///
    /// # Errors
    /// When there is no answer, or none that holds the file.
    pub(super) fn open(
        session: &Session<'_>,
        address: &Address,
        part: Option<Part>,
        progress: &mut dyn Progress,
    ) -> Result<Self, Failure> {
        if let Some(path) = address.file() {
            let open = || {
                let file = File::open(&path)?;
                let len = file.metadata()?.len();
                Ok((file, len))
            };
            let (file, len) = open().map_err(FetchError::file("reading", &path))?;
            return Ok(Self {
                start: 0,
                total: Some(len),
                validator: None,
                body: Body::File(file, path),
            });
        }
        let (head, exchange) = Exchange::begin(&session.line, address, part.clone(), progress)?;
        let validator = Validator::of(&head.headers);
        let (start, total) = match (head.status, part) {
            (200, _) => (0, head.length),
            (206, Some(part)) => partial(&head.headers, &part, validator.as_ref())?,
            // The kept part is as long as the file is now, or longer.
            (416, Some(_)) => return Err(Trouble::Changed.into()),
            _ => return Err(refusal(session, address, &head)),
        };
        Ok(Self {
            start,
            total,
            validator,
            body: Body::Net(exchange),
        })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When they break off, or the user stops the waiting.
    pub(super) fn next(&mut self, progress: &mut dyn Progress) -> Result<Option<Vec<u8>>, Failure> {
        match &mut self.body {
            Body::Net(exchange) => exchange.bytes(progress),
            Body::File(file, path) => {
                let mut bytes = Vec::with_capacity(STEP);
                file.take(STEP as u64)
                    .read_to_end(&mut bytes)
                    .map_err(FetchError::file("reading", path))?;
                Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
            }
        }
    }
}

/// Where a part begins and how long its file is, if it is the part that was
/// asked for, of the file that was begun with.
fn partial(
    headers: &HeaderMap,
    asked: &Part,
    of: Option<&Validator>,
) -> Result<(u64, Option<u64>), Trouble> {
    let range = headers
        .get("content-range")
        .and_then(|value| value.to_str().ok())
        .and_then(ContentRange::parse);
    match range {
        Some(range) if range.first == asked.from && of.is_none_or(|of| *of == asked.of) => {
            Ok((range.first, range.total))
        }
        _ => Err(Trouble::Changed),
    }
}

/// What to make of another status: 408, 429 and 5xx pass.
fn refusal(session: &Session<'_>, address: &Address, head: &Head) -> Failure {
    let status = head.status;
    match status {
        408 | 429 | 500..=599 => {
            let asked = head.headers.get("retry-after");
            let asked = asked.and_then(|value| value.to_str().ok());
            Failure::Again {
                trouble: Trouble::Status(status),
                pause: asked.and_then(|value| retry_after(value, session.clock.now())),
            }
        }
        _ => Failure::Fatal(FetchError::Refused {
            url: address.clone(),
            status,
        }),
    }
}
