//! Runs a program: with a time limit, in one language, and with an error that
//! holds the command line and the end of what the program complained about.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Command, Hear, SystemError};

/// Where programs are looked up. Nobody else's PATH counts.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// As much of a failed program's stderr as fits a report.
const STDERR_TAIL: usize = 300;

/// Runs it to its end, and gives what it wrote to stdout, each line also when it
/// is written.
///
/// # Errors
/// When there is no such program, when it fails, or when its time is over; then
/// it is killed, with the programs it started.
pub(super) fn follow(command: &Command, hear: Hear<'_>) -> Result<String, SystemError> {
    let problem = |problem: String| SystemError::Program {
        command: command.clone(),
        problem,
    };
    // Files in memory in place of pipes: nobody has to read along, and a
    // grandchild that keeps one open does not keep us waiting.
    let mut followed = || -> io::Result<_> {
        let stdout = File::from(memfd_create("stdout", MFdFlags::MFD_CLOEXEC)?);
        let stderr = File::from(memfd_create("stderr", MFdFlags::MFD_CLOEXEC)?);
        let mut child = start(command, stdout.try_clone()?, stderr.try_clone()?)?;
        let mut stdout = Lines::of(stdout, hear);
        let status = wait(&mut child, command.limit, &mut stdout)?;
        Ok((status, stdout.into_text()?, text(stderr)?))
    };
    let (status, stdout, stderr) = match followed() {
        Ok(followed) => followed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SystemError::NotInstalled {
                command: command.clone(),
            });
        }
        Err(error) => return Err(problem(error.to_string())),
    };
    match status {
        Some(status) if status.success() => Ok(stdout),
        Some(status) => Err(problem(format!("{status}{}", tail(&stderr)))),
        None => Err(problem(format!(
            "stopped after {} s without an end{}",
            command.limit.as_secs(),
            tail(&stderr)
        ))),
    }
}

fn start(command: &Command, stdout: File, stderr: File) -> io::Result<Child> {
    std::process::Command::new(command.program)
        .args(&command.args)
        .env_clear()
        .env("PATH", PATH)
        // Output is read by programs and quoted in reports: one language.
        .env("LC_ALL", "C")
        // Nobody is there to answer (debconf(7)).
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        // A group of its own, to be killed as one.
        .process_group(0)
        .spawn()
}

/// Waits for the end; after `limit`, kills the whole process group.
fn wait(
    child: &mut Child,
    limit: Duration,
    stdout: &mut Lines<'_>,
) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            let group = Pid::from_raw(child.id().cast_signed());
            killpg(group, Signal::SIGKILL)?;
            child.wait()?;
            return Ok(None);
        }
        stdout.follow()?;
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A file that grows, read a line at a time.
struct Lines<'a> {
    file: File,
    bytes: Vec<u8>,
    /// So much of it was heard.
    heard: usize,
    hear: Hear<'a>,
}

impl<'a> Lines<'a> {
    fn of(file: File, hear: Hear<'a>) -> Self {
        Self {
            file,
            bytes: Vec::new(),
            heard: 0,
            hear,
        }
    }

    /// Reads on to where the program is now.
    fn follow(&mut self) -> io::Result<()> {
        let mut part = [0; 4096];
        loop {
            // At a place of our own: the file's is where the program writes next.
            let len = self.file.read_at(&mut part, self.bytes.len() as u64)?;
            if len == 0 {
                break;
            }
            self.bytes.extend_from_slice(&part[..len]);
        }
        while let Some(len) = self.bytes[self.heard..].iter().position(|b| *b == b'\n') {
            let line = &self.bytes[self.heard..self.heard + len];
            self.heard += len + 1;
            (self.hear)(&String::from_utf8_lossy(line));
        }
        Ok(())
    }

    fn into_text(mut self) -> io::Result<String> {
        self.follow()?;
        Ok(String::from_utf8_lossy(&self.bytes).into_owned())
    }
}

fn text(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of what a program complained about, as the end of a sentence.
fn tail(stderr: &str) -> String {
    let stderr = stderr.trim();
    let start = stderr.len().saturating_sub(STDERR_TAIL);
    match &stderr[stderr.ceil_char_boundary(start)..] {
        "" => String::new(),
        end => format!(": {end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &Command) -> Result<String, SystemError> {
        follow(command, &mut |_| ())
    }

    fn failure(command: &Command) -> String {
        run(command).expect_err("fails").to_string()
    }

    #[test]
    fn a_program_gives_its_output() {
        let command = Command::new("sh", &["-c", "echo out; echo noise >&2"]);
        assert_eq!(run(&command).expect("runs"), "out\n");
    }

    #[test]
    fn lines_are_heard_while_the_program_runs() {
        let root = tempfile::tempdir().expect("directory");
        let seen = root.path().join("seen");
        // Goes on only when its first line was heard.
        let script = r#"echo one; until [ -e "$1" ]; do sleep 0.01; done; printf 'two\nhalf'"#;
        let path = seen.to_str().expect("UTF-8");
        let command = Command::new("sh", &["-c", script, "sh", path]);
        let mut heard = Vec::new();
        let mut hear = |line: &str| {
            std::fs::write(&seen, "").expect("seen");
            heard.push(line.to_string());
        };
        let stdout = follow(&command, &mut hear).expect("runs");
        assert_eq!(stdout, "one\ntwo\nhalf");
        assert_eq!(heard, ["one", "two"]);
    }

    #[test]
    fn a_failure_quotes_the_line_and_the_end_of_stderr() {
        let command = Command::new("sh", &["-c", "echo no such thing >&2; exit 3"]);
        assert_eq!(
            failure(&command),
            "running `sh -c 'echo no such thing >&2; exit 3'`: exit status: 3: no such thing"
        );
    }

    #[test]
    fn a_missing_program_is_its_own_error() {
        let command = Command::new("no-such-program-here", &[]);
        let error = run(&command).expect_err("missing");
        assert!(matches!(error, SystemError::NotInstalled { .. }), "{error}");
    }

    #[test]
    fn a_stuck_program_is_stopped_with_its_children() {
        let mut command = Command::new("sh", &["-c", "sleep 60 & sleep 60"]);
        command.limit = Duration::from_millis(20);
        let start = Instant::now();
        assert!(failure(&command).contains("stopped after"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_long_complaint_is_cut_at_a_character() {
        let long = "ä".repeat(STDERR_TAIL);
        assert!(tail(&format!("x{long}")).len() <= STDERR_TAIL + 2);
        assert_eq!(tail(" \n"), "");
    }
}
