//! The Cleartext Signature Framework (RFC 9580 section 7). By hand: the crate's
//! reader searches the whole text anew for every line, lets lines begin with a
//! dash, and does not say what it left out.

use super::armor::Block;
use super::{MAX_DOCUMENT, SignatureError};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

/// The signed text and the armored signature behind it.
///
/// # Errors
/// [`SignatureError::Outside`], or what is no such document.
pub(super) fn split(document: &[u8]) -> Result<(String, &[u8]), SignatureError> {
    if document.len() > MAX_DOCUMENT {
        return Err(SignatureError::TooLarge {
            what: "bytes",
            limit: MAX_DOCUMENT,
        });
    }
    let document = std::str::from_utf8(document).map_err(|_| wrong("it is not UTF-8 text"))?;
    let mut lines = document.split_inclusive('\n');
    if lines.next().is_none_or(|line| line.trim_end() != BEGIN) {
        let later = lines.any(|line| line.trim_end() == BEGIN);
        return Err(if later {
            SignatureError::Outside { place: "before" }
        } else {
            SignatureError::NoSignature
        });
    }
    // Any other header could say something that nobody signed.
    let mut headers = lines.by_ref().map(content).take_while(|h| !h.is_empty());
    if let Some(header) = headers.find(|header| !header.starts_with("Hash: ")) {
        let header: String = header.chars().take(64).collect();
        return Err(wrong(&format!("it has the header {header:?}")));
    }
    let mut text: Option<String> = None;
    let mut offset = document.len() - lines.clone().map(str::len).sum::<usize>();
    for line in lines {
        if line.trim_end() == Block::Signature.begin() {
            let signature = &document[offset..];
            check_end(signature)?;
            return Ok((text.unwrap_or_default(), signature.as_bytes()));
        }
        let plain = match content(line) {
            escaped if escaped.starts_with("- ") => &escaped[2..],
            dash if dash.starts_with('-') => {
                return Err(wrong("a line of its text begins with a bare dash"));
            }
            plain => plain,
        };
        // Line ends stand between lines: that of the last is not signed.
        let text = match &mut text {
            Some(text) => {
                text.push('\n');
                text
            }
            None => text.insert(String::new()),
        };
        text.push_str(plain.trim_end_matches([' ', '\t']));
        offset += line.len();
    }
    Err(wrong("it is cut off"))
}

/// Nothing but blanks behind the first end of the signature.
fn check_end(signature: &str) -> Result<(), SignatureError> {
    let end = Block::Signature.end();
    let mut lines = signature.split_inclusive('\n');
    if !lines.any(|line| line.trim_end() == end) {
        return Err(wrong("its signature is cut off"));
    }
    if lines.any(|line| !line.trim_end().is_empty()) {
        return Err(SignatureError::Outside { place: "after" });
    }
    Ok(())
}

/// A line without its end, which is `\n` or `\r\n`.
fn content(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

fn wrong(why: &str) -> SignatureError {
    SignatureError::NotOpenPgp { why: why.into() }
}
