//! A secret leaves the program.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::bail;

use super::terminal::print_text;
use crate::io::Scratch;
use crate::secret::Secret;
use crate::sink::SinkError;

/// Writes a secret to a file of its own, mode 0600, or to stdout where that is no
/// terminal.
pub(super) fn hand_out(
    what: &str,
    content: &Secret,
    output: Option<&Path>,
    force: bool,
) -> anyhow::Result<()> {
    let Some(output) = output else {
        if io::stdout().is_terminal() {
            bail!("{what} is not shown on a terminal; write it to a file with --output");
        }
        return print_text(content.expose());
    };
    let write = || {
        let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty());
        let scratch = Scratch::new(dir.unwrap_or(Path::new(".")))?;
        scratch.file().write_all(content.expose().as_bytes())?;
        scratch.keep(output, force)
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SinkError::Exists(output.into()),
        _ => SinkError::Write(output.into(), error),
    })?;
    eprintln!("{} is written, readable by you only", output.display());
    Ok(())
}
