//! Files of checksums, as sha256sum(1) of GNU coreutils writes them: a digest
//! and a name a line, or `SHA256 (name) = digest` after `--tag`. Whether such a
//! file is to be believed is a matter of its signature.

use std::collections::BTreeMap;

/// Bytes a file of checksums may have. Debian's for all its images has 20 KB.
pub const MAX_SUMS: usize = 4 << 20;

/// Hex digits of a sha256.
const DIGITS: usize = 64;

/// Why a file of checksums gives no digest. The message is complete but for
/// the name of that file, which the caller puts before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// More than is read.
    #[error("it has more than {MAX_SUMS} bytes, so it is not looked into; fetch it again")]
    TooLarge,
    /// Bytes that are no text.
    #[error("it is not UTF-8 text; fetch it again, or name the file of sha256 checksums")]
    NotText,
    /// A line of another form.
    #[error(
        "line {line} is not a sha256 checksum as sha256sum(1) writes it; fetch it again, or name \
         the file of sha256 checksums"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Two digests for one name.
    #[error("line {line} has another digest for {name:?} than a line before it; ask the publisher")]
    Disagree {
        /// Counted from 1.
        line: usize,
        /// The file's name.
        name: String,
    },
    /// No digest for the file.
    #[error(
        "it has no digest for {name:?}; correct the name, or fetch the checksums of its release"
    )]
    Absent {
        /// The file's name.
        name: String,
    },
}

/// The digests of a file of checksums, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    digests: BTreeMap<String, String>,
}

impl Sums {
    /// Reads all of it. Blank lines and lines that begin with `#` are left
    /// aside, as are `--tag` lines of other algorithms. Lines end with `\n` or
    /// `\r\n`.
    ///
    /// # Errors
    /// When a line is of no known form, or two disagree.
    pub fn parse(text: &[u8]) -> Result<Self, SumsError> {
        let mut digests = BTreeMap::new();
        for (line, row) in rows(text)? {
            let Some((name, digest)) = entry(row).ok_or(SumsError::Line { line })? else {
                continue;
            };
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            match digests.get(&name) {
                Some(known) if *known != digest => {
                    return Err(SumsError::Disagree { line, name });
                }
                _ => digests.insert(name, digest),
            };
        }
        Ok(Self { digests })
    }

    /// All of them, by name.
    pub fn into_digests(self) -> BTreeMap<String, String> {
        self.digests
    }

    /// The sha256 of a file, in lower-case hex. A name is the whole path that is
    /// written there, but for a `./` in front.
    ///
    /// # Errors
    /// [`SumsError::Absent`].
    pub fn find(&self, name: &str) -> Result<&str, SumsError> {
        let digest = self.digests.get(name.strip_prefix("./").unwrap_or(name));
        digest.map(String::as_str).ok_or_else(|| SumsError::Absent {
            name: name.to_owned(),
        })
    }
}

/// The digest of a file out of a file of checksums that lies beside it, and may
/// hold nothing but the digest. Where names are given, they count.
///
/// # Errors
/// As of [`Sums::parse`] and [`Sums::find`].
pub fn single(text: &[u8], name: &str) -> Result<String, SumsError> {
    let mut rows = rows(text)?;
    if let (Some((_, row)), None) = (rows.next(), rows.next())
        && let Some(digest) = digest(row.trim_ascii())
    {
        return Ok(digest);
    }
    Sums::parse(text)?.find(name).map(str::to_owned)
}

/// Lines that say something, with their numbers.
fn rows(text: &[u8]) -> Result<impl Iterator<Item = (usize, &str)>, SumsError> {
    if text.len() > MAX_SUMS {
        return Err(SumsError::TooLarge);
    }
    let text = std::str::from_utf8(text).map_err(|_| SumsError::NotText)?;
    // `lines` takes both kinds of ends. A name that ends with `\r` is escaped.
    let numbered = text.lines().zip(1..).map(|(row, line)| (line, row));
    Ok(numbered.filter(|(_, row)| !row.trim_ascii().is_empty() && !row.starts_with('#')))
}

/// Name and digest of a line; none inside for one of another algorithm, none
/// outside for one of no known form.
fn entry(row: &str) -> Option<Option<(String, String)>> {
    // In front of the whole line: the name is escaped.
    let (is_escaped, row) = match row.strip_prefix('\\') {
        Some(row) => (true, row),
        None => (false, row),
    };
    let (name, digest) = match row.split_once(" (").zip(row.rsplit_once(") = ")) {
        Some(((tag, _), (_, digits))) if is_tag(tag) => {
            let name = &row[tag.len() + 2..row.len() - digits.len() - 4];
            if tag != "SHA256" {
                return Some(None);
            }
            (name, digest(digits)?)
        }
        _ => {
            let (digits, rest) = row.split_at_checked(DIGITS)?;
            // A blank for text, a star for binary: the same bytes here.
            let name = rest.strip_prefix("  ").or(rest.strip_prefix(" *"))?;
            (name, digest(digits)?)
        }
    };
    if name.is_empty() {
        return None;
    }
    let name = if is_escaped {
        unescape(name)?
    } else {
        name.to_owned()
    };
    Some(Some((name, digest)))
}

/// The name of an algorithm, as `--tag` puts it in front: `BLAKE2b-256`.
fn is_tag(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn digest(digits: &str) -> Option<String> {
    let is_digest = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digits.to_ascii_lowercase())
}

/// Undoes what is done to names with backslashes and line ends in them.
fn unescape(name: &str) -> Option<String> {
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// The digests for `@` and `%`.
    fn text(short: &str) -> String {
        short.replace('@', A).replace('%', B)
    }

    #[test]
    fn forms_of_a_line() {
        for (short, name) in [
            ("@  x.img", "x.img"),
            ("@ *x.img", "x.img"),
            ("@  x.img\r\n", "x.img"),
            ("# from CI\n\n \r\n@  x.img\n", "x.img"),
            ("@  ./x.img", "x.img"),
            ("@  x.img", "./x.img"),
            ("@  dir/x.img", "dir/x.img"),
            ("@  a b (1) = c.img", "a b (1) = c.img"),
            ("@   x.img", " x.img"),
            ("@  *x.img", "*x.img"),
            ("\\@  x\\\\y\\nz\\r", "x\\y\nz\r"),
            ("@  x\\ny", "x\\ny"),
            ("SHA256 (x.img) = @", "x.img"),
            ("SHA256 (x (1) = y) = @\r\n", "x (1) = y"),
            ("\\SHA256 (x\\ny) = @", "x\ny"),
            ("MD5 (x.img) = 0011\nSHA256 (x.img) = @", "x.img"),
            ("@  x.img\n@  x.img\n%  y.img", "x.img"),
        ] {
            let sums = Sums::parse(text(short).as_bytes()).expect(short);
            assert_eq!(sums.find(name).expect(short), A, "{short}");
        }
        let upper = format!("{}  x", A.to_uppercase());
        let sums = Sums::parse(upper.as_bytes()).expect("capital digits");
        assert_eq!(sums.find("x"), Ok(A));
    }

    #[test]
    fn refusals() {
        let line = |line| SumsError::Line { line };
        for (short, expected) in [
            ("@", line(1)),
            ("@  ", line(1)),
            ("@ x.img", line(1)),
            ("@\tx.img", line(1)),
            ("# c\n\naaaa  x.img", line(3)),
            ("@@  x.img", line(1)),
            ("g@  x.img", line(1)),
            ("SHA256 (x.img) = aaaa", line(1)),
            ("SHA256 () = @", line(1)),
            ("sha256 (x.img) = @", line(1)),
            ("SHA256 (\u{e9}) = \u{e9}) = ", line(1)),
            ("\\@  x\\ty", line(1)),
            ("\\@  x\\", line(1)),
            ("<html>", line(1)),
            (
                "@  x\n% *./x",
                SumsError::Disagree {
                    line: 2,
                    name: "x".into(),
                },
            ),
        ] {
            let found = Sums::parse(text(short).as_bytes());
            assert_eq!(found, Err(expected), "{short}");
        }
        assert_eq!(Sums::parse(b"\xff"), Err(SumsError::NotText));
        let large = vec![b'\n'; MAX_SUMS + 1];
        assert_eq!(Sums::parse(&large), Err(SumsError::TooLarge));
        let absent = SumsError::Absent { name: "y".into() };
        let sums = Sums::parse(text("@  x").as_bytes()).expect("sums");
        assert_eq!(sums.find("y"), Err(absent));
    }

    #[test]
    fn a_digest_alone_only_when_asked_for() {
        let find = |short: &str| single(text(short).as_bytes(), "x.img");
        for short in [
            "@",
            "@\n",
            " @ \r\n",
            "# c\n@",
            "@  x.img",
            "%  y\n@  x.img",
        ] {
            assert_eq!(find(short).as_deref(), Ok(A), "{short}");
        }
        for short in ["", "@\n@", "@\n%  x.img", "@  y.img", "aaaa"] {
            assert!(find(short).is_err(), "{short}");
        }
    }
}
