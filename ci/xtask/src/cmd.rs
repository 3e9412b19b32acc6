//! One way to run another program: the error holds the command line and the end of what the program said.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// How many lines of a failed program's output go into the error, and how many of those before that name an error themselves.
const LAST_WORDS: usize = 12;
const COMPLAINTS: usize = 8;
/// What is shown of a command line, in characters: dpkg gets hundreds of files.
const LINE: usize = 400;

/// A program about to run, in the C locale and with the system directories on its path.
pub(crate) struct Cmd {
    command: Command,
    /// An exit code beside 0 that is no failure.
    also_fine: Option<i32>,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Cmd {
        let mut command = Command::new(program);
        // A user's path often lacks the sbin directories, where mkfs.fat and mke2fs are.
        let path = std::env::var("PATH").unwrap_or_default()
            + ":/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
        command
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        Cmd {
            command,
            also_fine: None,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Cmd {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.command.env(name, value);
        self
    }

    /// For programs that say more by their exit code than good or bad.
    pub(crate) fn allow(mut self, code: i32) -> Cmd {
        self.also_fine = Some(code);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Cmd {
        self.command.current_dir(folder);
        self
    }

    /// The file the program reads as its standard input.
    pub(crate) fn input(mut self, path: &Path) -> Result<Cmd> {
        self.command
            .stdin(File::open(path).with_context(|| format!("opening {}", path.display()))?);
        Ok(self)
    }

    /// Runs it and keeps its talk for the error.
    pub(crate) fn run(self) -> Result<()> {
        self.read().map(drop)
    }

    /// Runs it and returns what it wrote to its standard output.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.command.output().map_err(|e| self.not_started(&e))?;
        self.expect_success(&output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a program that reports to the user by itself.
    pub(crate) fn run_aloud(mut self) -> Result<()> {
        let status = self.command.status().map_err(|e| self.not_started(&e))?;
        if !status.success() {
            bail!(
                "`{}` failed ({status}); its own words are above",
                self.line()
            );
        }
        Ok(())
    }

    fn expect_success(&self, output: &Output) -> Result<()> {
        if output.status.success()
            || (self.also_fine.is_some() && output.status.code() == self.also_fine)
        {
            return Ok(());
        }
        // Some tools complain on standard output only.
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let said = String::from_utf8_lossy(said);
        let lines: Vec<&str> = said.lines().collect();
        let (before, end) = lines.split_at(lines.len().saturating_sub(LAST_WORDS));
        let complaints = before
            .iter()
            .filter(|line| line.contains("error"))
            .take(COMPLAINTS);
        let words: Vec<&str> = complaints.chain(end).copied().collect();
        bail!(
            "`{}` failed ({}):\n  {}",
            self.line(),
            output.status,
            words.join("\n  ")
        )
    }

    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "`{}` is not installed; run ci/setup",
                self.command.get_program().display()
            ),
            _ => anyhow!("starting `{}`: {error}", self.line()),
        }
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let line = words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        if line.chars().count() > LINE {
            line.chars().take(LINE).chain(" ...".chars()).collect()
        } else {
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cmd;

    #[test]
    fn the_error_holds_the_command_line_and_the_last_words() {
        let error = Cmd::new("sh")
            .arg("-c")
            .arg("seq 100 >&2; exit 3")
            .run()
            .expect_err("exits with 3")
            .to_string();
        assert!(
            error.starts_with("`sh -c seq 100 >&2; exit 3` failed (exit status: 3)"),
            "{error}"
        );
        assert!(
            error.ends_with("\n  100") && !error.contains("\n  80\n"),
            "{error}"
        );
    }

    #[test]
    fn an_early_complaint_is_kept_and_a_long_command_line_is_not() {
        let script = format!(
            "echo error: disk full >&2; seq 100 >&2; exit 1 # {}",
            "x".repeat(1000)
        );
        let error = Cmd::new("sh")
            .arg("-c")
            .arg(script)
            .run()
            .expect_err("exits with 1")
            .to_string();
        assert!(error.contains("\n  error: disk full\n  89\n"), "{error}");
        assert!(
            error
                .lines()
                .next()
                .is_some_and(|line| line.contains("x ...` failed") && line.len() < 500),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_names_the_setup() {
        let error = Cmd::new("no-such-program-here")
            .run()
            .expect_err("does not exist")
            .to_string();
        assert_eq!(
            error,
            "`no-such-program-here` is not installed; run ci/setup"
        );
    }
}
