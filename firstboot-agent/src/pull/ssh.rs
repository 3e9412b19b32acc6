//! Git over SSH, by the node's own ssh.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use gix_transport::Protocol;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_url::Url;

/// A session, which ends with the value.
pub(super) struct Ssh {
    child: Child,
    /// What is said in it.
    pub(super) connection: Connection<ChildStdout, ChildStdin>,
    complaints: PathBuf,
}

impl Ssh {
    /// Starts it. Who the server is is known beforehand, or nothing is said.
    pub(super) fn start(
        program: &str,
        url: &Url,
        key: &str,
        known_hosts: &str,
        scratch: &Path,
    ) -> io::Result<Self> {
        let (identity, hosts) = (scratch.join("key"), scratch.join("known_hosts"));
        secret_file(&identity)?.write_all(key.as_bytes())?;
        fs::write(&hosts, known_hosts)?;
        let complaints = scratch.join("ssh");
        let host = url.host().unwrap_or_default();
        let user = url.user().unwrap_or("git");
        let path = url.path.to_string();
        let mut ssh = Command::new(program);
        ssh.args(["-F", "/dev/null", "-i"]).arg(&identity);
        if let Some(port) = url.port {
            ssh.args(["-p", &port.to_string()]);
        }
        for option in [
            &format!("UserKnownHostsFile={}", hosts.display()),
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ConnectTimeout=15",
            // Asks for version 2 (gitprotocol-v2(5)); a server that is not told has 0.
            "SendEnv=GIT_PROTOCOL",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["--", &format!("{user}@{host}")])
            .arg(format!("git-upload-pack {}", quoted(&path)))
            .env("GIT_PROTOCOL", "version=2")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints)?);
        let mut child = ssh.spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no stdin or stdout"));
        };
        let connection = Connection::new(
            stdout,
            stdin,
            Protocol::V2,
            path,
            None::<(String, Option<u16>)>,
            ConnectMode::Process,
            false,
        );
        Ok(Self {
            child,
            connection,
            complaints,
        })
    }

    /// What it complained of last, once it has hung up.
    pub(super) fn last_words(&mut self) -> Option<String> {
        // It writes no more then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = fs::read(&self.complaints).ok()?;
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty())?;
        let cure = match last {
            said if said.contains("Host key verification failed") => {
                ": its host key is not one of those that came with the credential"
            }
            said if said.contains("Permission denied") => {
                ": it does not know the key that came with the credential"
            }
            _ => "",
        };
        Some(format!("{}{cure}", last.trim()))
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It has ended, or has nothing more to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// One word to the shell on the other side (POSIX sh, 2.2.2).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        for path in ["/srv/a b.git", "~/it's; rm $HOME `id`.git"] {
            let say = format!("printf %s {}", quoted(path));
            let said = Command::new("sh").args(["-c", &say]).output();
            assert_eq!(said.expect("sh").stdout, path.as_bytes());
        }
    }
}
