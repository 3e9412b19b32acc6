//! `SHA256SUMS`, as sha256sum(1) reads it.

use super::facts::File;
use super::sign;

/// The file's name.
pub const NAME: &str = "SHA256SUMS";

/// The name of its signature's file.
pub fn signature() -> String {
    format!("{NAME}.{}", sign::END)
}

/// A line a file, sorted by name.
pub fn render(files: &[File]) -> String {
    let mut lines: Vec<_> = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    lines.sort_by(|a, b| a.get(64..).cmp(&b.get(64..)));
    lines.concat()
}
