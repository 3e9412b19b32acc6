//! An overlay as sorted text: one header line a change, the content below it.
//! What tests compare and people read; secrets are never in it.

use std::fmt::Write as _;

use super::{Change, Content, Overlay};

impl Overlay {
    /// The overlay as text, in the order it is applied.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (part, path, change) in self.all() {
            let _ = writeln!(text, "{part}:{path} {change}");
            if let Change::File {
                content,
                secret: false,
                ..
            } = change
            {
                write_content(&mut text, content);
            }
        }
        text
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_content(text: &mut String, content: &Content) {
    let Some(lines) = content.inline().and_then(as_text) else {
        let _ = writeln!(text, "    sha256 {}", content.sha256());
        return;
    };
    for line in lines.split_terminator('\n') {
        let _ = writeln!(text, "    |{}", line.replace('\r', "\\r"));
    }
    if !lines.is_empty() && !lines.ends_with('\n') {
        let _ = writeln!(text, "    (no newline at the end)");
    }
}

fn as_text(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    let strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.contains(strange)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, Part};
    use super::*;

    #[test]
    fn every_kind_of_change() {
        let mut overlay = Overlay::default();
        overlay.file(Part::Root, "/b", 0o644, "one\r\ntwo");
        overlay.file(Part::Root, "/c", 0o755, b"\x7fELF".to_vec());
        overlay.link(Part::Root, "/d", "/dev/null");
        overlay.remove(Part::Boot, "/z");
        overlay.set(Part::Root, "/a", Change::Rename { to: "/e".into() });
        let (mode, owner, content) = (0o600, Owner { uid: 1, gid: 2 }, Content::from("hunter2"));
        overlay.set(
            Part::Root,
            "/s",
            Change::File {
                mode,
                owner,
                content,
                secret: true,
            },
        );
        assert_eq!(
            overlay.to_text(),
            "root:/a rename to /e\n\
             boot:/z remove\n\
             root:/b file 0644 0:0 8 bytes\n    |one\\r\n    |two\n    (no newline at the end)\n\
             root:/c file 0755 0:0 4 bytes\n    \
             sha256 3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359\n\
             root:/d link -> /dev/null\n\
             root:/s file 0600 1:2 7 bytes, secret\n"
        );
    }
}
