//! Running an external program: one way, with errors that can be acted on.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use crate::secret;

/// Lines of the program's stderr shown in an error.
const TAIL: usize = 8;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CmdError {
    /// It is not installed.
    #[error("`{program}` is not installed; {hint}")]
    Missing {
        /// The program's name.
        program: String,
        /// How to install it.
        hint: &'static str,
    },
    /// It could not be started.
    #[error("starting `{line}`")]
    Start {
        /// The command line.
        line: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It said no.
    #[error("`{line}` ended with {status}{}{stderr}", if stderr.is_empty() { "" } else { ":\n" })]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote to stderr, or to stdout if that is empty.
        stderr: String,
    },
}

/// A program to run, and how to get it if it is missing.
#[derive(Debug)]
pub struct Cmd {
    command: Command,
    hint: &'static str,
}

impl Cmd {
    /// A program found through `PATH` or in the system directories, which an
    /// ordinary user's `PATH` lacks on Debian.
    pub fn new(program: &str, hint: &'static str) -> Self {
        let mut command = Command::new(program);
        command.env("PATH", search_path()).stdin(Stdio::null());
        // Ctrl-C is ours to answer; a child that dies of it would be reported
        // as its failure.
        command.process_group(0);
        // Messages are read and shown; no translation, no surprises in tests.
        command.env("LC_ALL", "C");
        secret::keep_from(&mut command);
        Self { command, hint }
    }

    /// Adds an argument. Never a secret: argument lists are public (ps(1)).
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.command.arg(arg.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it to its end, and returns what it wrote.
    ///
    /// # Errors
    /// When it is missing, cannot be started, or ends with another status than
    /// one `accept` lists.
    pub fn run(mut self, accept: &[i32]) -> Result<Output, CmdError> {
        let line = self.line();
        let output = self
            .command
            .output()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => CmdError::Missing {
                    program: self.command.get_program().to_string_lossy().into_owned(),
                    hint: self.hint,
                },
                _ => CmdError::Start {
                    line: line.clone(),
                    source,
                },
            })?;
        if output
            .status
            .code()
            .is_some_and(|code| accept.contains(&code))
        {
            return Ok(output);
        }
        let words = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        Err(CmdError::Failed {
            line,
            status: output.status,
            stderr: tail(words),
        })
    }

    fn line(&self) -> String {
        std::iter::once(self.command.get_program())
            .chain(self.command.get_args())
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// `PATH` with the system directories behind it. Never an empty entry: that one
/// means the working directory.
fn search_path() -> OsString {
    const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin";
    match std::env::var_os("PATH").filter(|path| !path.is_empty()) {
        Some(mut path) => {
            path.push(":");
            path.push(SYSTEM);
            path
        }
        None => format!("/usr/local/bin:/usr/bin:/bin:{SYSTEM}").into(),
    }
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_the_end_of_stderr() {
        let error = Cmd::new("sh", "")
            .arg("-c")
            .arg("seq 20 >&2; exit 3")
            .run(&[0])
            .expect_err("exit 3");
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.ends_with("19\n20"),
            "{text}"
        );
        assert!(!text.contains("\n12\n"), "{text}");
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = Cmd::new("no-such-program", "apt install it")
            .run(&[0])
            .expect_err("missing");
        assert_eq!(
            error.to_string(),
            "`no-such-program` is not installed; apt install it"
        );
    }
}
