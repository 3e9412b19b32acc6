//! The one door to the machine: files, programs, people, the clock.
//!
//! [`System`] has the calls the agent makes and no others, so that a test can
//! cut the power after each of them. Paths are absolute paths of the running
//! system; [`host::Host`] finds them under the root it was given.

#[cfg(test)]
pub(crate) mod drive;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod host;
pub(crate) mod https;
pub(crate) mod light;
mod program;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use self::https::{Answer, Get, NoAnswer};
use self::light::Sign;

/// The machine, as far as the agent touches it.
pub(crate) trait System {
    /// The file's content; `None` where there is no file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SystemError>;
    /// The sha256 of the file's content, in lower-case hex; `None` where there is no
    /// file. The file may be larger than memory.
    fn digest(&self, path: &str) -> Result<Option<String>, SystemError>;
    /// The file's permission bits; `None` where there is no file.
    fn mode(&self, path: &str) -> Result<Option<u32>, SystemError>;
    /// Changes the file's permission bits.
    fn set_mode(&self, path: &str, mode: u32) -> Result<(), SystemError>;
    /// What lies at the path, a symbolic link itself; `None` where nothing does.
    fn entry(&self, path: &str) -> Result<Option<Entry>, SystemError>;
    /// Changes owner and group of what lies at the path, of a symbolic link itself.
    fn set_owner(&self, path: &str, uid: u32, gid: u32) -> Result<(), SystemError>;
    /// Makes a symbolic link in place of an old file or link.
    fn link(&self, path: &str, target: &str) -> Result<(), SystemError>;
    /// Removes a file, a link, or a directory with all that is in it; content when
    /// there is none.
    fn remove_all(&self, path: &str) -> Result<(), SystemError>;
    /// Makes the directory; content with one that is there.
    fn make_dir(&self, path: &str, mode: u32) -> Result<(), SystemError>;
    /// Writes a new file in place of an old one; on the disk when it returns.
    /// A cut leaves a part of it: for anything that is read again, [`replace`].
    fn write(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError>;
    /// Adds to the end of the file; on the disk when it returns.
    fn append(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), SystemError>;
    /// Renames over what was there; on the disk when it returns.
    fn rename(&self, from: &str, to: &str) -> Result<(), SystemError>;
    /// Removes the file; content when there is none.
    fn remove(&self, path: &str) -> Result<(), SystemError>;
    /// A part of a device or file, exactly as long as asked for.
    fn read_at(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SystemError>;
    /// Writes a part of a device; on the disk when it returns. A cut leaves any of
    /// its 512-byte sectors old, the others new.
    fn write_at(&self, path: &str, offset: u64, content: &[u8]) -> Result<(), SystemError>;
    /// Puts on the disk what other programs wrote.
    fn sync(&self) -> Result<(), SystemError>;
    /// Runs a program to its end and gives what it wrote to stdout.
    fn run(&self, command: &Command) -> Result<String, SystemError> {
        self.follow(command, &mut |_| ())
    }
    /// The same; each line of stdout is heard as soon as it is written.
    fn follow(&self, command: &Command, hear: Hear<'_>) -> Result<String, SystemError>;
    /// Sends a neighbour in our network an empty datagram, so that the kernel has
    /// to find it by ARP. Whether it did, `ip neigh` tells; so this cannot fail.
    fn nudge(&self, neighbour: Ipv4Addr);
    /// Sends a server a datagram and gives the first that comes back; none within
    /// the time. Where it cannot even be sent, nobody answers.
    fn ask(&self, server: SocketAddrV4, question: &[u8], patience: Duration) -> Option<Vec<u8>>;
    /// Asks a server over HTTPS, for seconds at most.
    fn get(&self, request: &Get<'_>) -> Result<Answer, NoAnswer>;
    /// Shows it with the board's light, where there is one. Neither fails nor waits.
    fn shine(&self, sign: Sign);
    /// Tells somebody. Nothing depends on it, so it neither fails nor waits.
    fn say(&self, to: Ear<'_>, text: &str);
    /// Seconds since 1970, for people. A Pi without a battery starts wrong.
    fn wall_clock(&self) -> u64;
    /// Time since a fixed moment; never jumps.
    fn elapsed(&self) -> Duration;
    /// Waits.
    fn sleep(&self, pause: Duration);
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Length in bytes.
    pub(crate) len: u64,
}

/// A kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, and its target.
    Link(String),
    /// A device, socket or pipe.
    Other,
}

/// Is given a line at a time.
pub(crate) type Hear<'a> = &'a mut dyn FnMut(&str);

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ear<'a> {
    /// stderr, which is the system's journal.
    Log,
    /// A terminal, by its name in `/dev`.
    Console(&'a str),
    /// systemd, which shows it in `systemctl status`.
    ServiceManager,
    /// The page on the network, which shows the report it is told.
    Page,
}

/// A program to run, with the longest time it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// Looked up in the system's own directories only.
    pub(crate) program: &'static str,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// It is killed after this.
    pub(crate) limit: Duration,
}

/// Long enough for a cold program on a slow SD card; a stuck one is noticed.
const LIMIT: Duration = Duration::from_secs(30);

impl Command {
    /// A program with its arguments.
    pub(crate) fn new(program: &'static str, args: &[&str]) -> Self {
        Self {
            program,
            args: args.iter().map(ToString::to_string).collect(),
            limit: LIMIT,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for arg in &self.args {
            if arg.is_empty() || arg.contains(char::is_whitespace) {
                write!(f, " '{arg}'")?;
            } else {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

/// A call to the machine that did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemError {
    /// A file.
    #[error("{doing} {path}: {cause}")]
    File {
        /// "reading", "writing".
        doing: &'static str,
        /// Which.
        path: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// There is no such program. Waiting does not bring it.
    #[error("running `{command}`: {} is not installed", command.program)]
    NotInstalled {
        /// The whole line.
        command: Command,
    },
    /// A program that failed, or did not come to an end.
    #[error("running `{command}`: {problem}")]
    Program {
        /// The whole line.
        command: Command,
        /// How it ended, and the end of its stderr.
        problem: String,
    },
}

/// The file's content as text; empty where there is no file.
pub(crate) fn read_text(sys: &dyn System, path: &str) -> Result<String, SystemError> {
    let content = sys.read(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Writes beside and renames: a cut leaves the old file or the new one.
pub(crate) fn replace(
    sys: &dyn System,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<(), SystemError> {
    // Always the same name, so that what a cut leaves behind is written over
    // the next time and never piles up.
    let beside = format!("{path}.new");
    sys.write(&beside, mode, content)?;
    sys.rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_it_would_be_typed() {
        let command = Command::new("ssh-keygen", &["-N", "", "-C", "a b", "-q"]);
        assert_eq!(command.to_string(), "ssh-keygen -N '' -C 'a b' -q");
    }

    #[test]
    fn errors_are_sentences() {
        let command = Command::new("ip", &["addr"]);
        let error = SystemError::NotInstalled { command };
        assert_eq!(error.to_string(), "running `ip addr`: ip is not installed");
    }
}
