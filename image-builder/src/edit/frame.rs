//! What is around a TOML document and is no part of it: line ends, byte order mark.

use toml_edit::{DocumentMut, TomlError};

/// How a file's text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    mark: &'static str,
    is_dos: bool,
}

impl Frame {
    /// Takes the document out of its frame. Its last line, and what is written behind
    /// it, end as lines do.
    ///
    /// # Errors
    /// When it is no TOML.
    pub(super) fn open(text: &str) -> Result<(Self, DocumentMut), TomlError> {
        let (mark, plain) = match text.strip_prefix('\u{feff}') {
            Some(plain) => ("\u{feff}", plain),
            None => ("", text),
        };
        let frame = Self {
            mark,
            is_dos: plain.contains("\r\n"),
        };
        let mut plain = plain.replace("\r\n", "\n");
        if !plain.is_empty() && !plain.ends_with('\n') {
            plain.push('\n');
        }
        Ok((frame, plain.parse()?))
    }

    /// The text of the changed document, as the file had it.
    pub(super) fn close(self, document: &DocumentMut) -> String {
        let text = document.to_string();
        match self.is_dos {
            true => format!("{}{}", self.mark, text.replace('\n', "\r\n")),
            false => format!("{}{text}", self.mark),
        }
    }
}
