//! Logging in to a guest, trusting only the host keys that were baked in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::secret;

/// How to reach a guest by ssh.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The node's name, under which `known_hosts` has its keys.
    pub host: String,
    /// The login name.
    pub user: String,
    /// The private key, if not one that ssh finds by itself.
    pub identity: Option<PathBuf>,
    /// The only `known_hosts` that counts.
    pub known_hosts: PathBuf,
}

impl Ssh {
    /// The command line that logs in, for people: quoted for a shell.
    pub fn command_line(&self) -> String {
        let words = std::iter::once("ssh".to_owned()).chain(self.arguments());
        words
            .map(|word| quoted(&word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs a command on the guest.
    ///
    /// # Errors
    /// When ssh is missing. What ssh or the command says is in the output.
    pub fn run(&self, command: &str) -> anyhow::Result<Output> {
        secret::keep_from(&mut Command::new("ssh"))
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
            .args(self.arguments())
            .arg(command)
            .stdin(Stdio::null())
            .output()
            .context("running ssh; install openssh-client")
    }

    /// Waits until a login works.
    ///
    /// # Errors
    /// When it does not within the time; the message is ssh's last one.
    pub fn wait(&self, at_most: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + at_most;
        loop {
            let output = self.run("true")?;
            if output.status.success() {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!(
                    "no login as {}: {}",
                    self.user,
                    String::from_utf8_lossy(&output.stderr).trim_end()
                );
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn arguments(&self) -> Vec<String> {
        let option = |name: &str, value: &str| ["-o".to_owned(), format!("{name}={value}")];
        let path = |path: &Path| path.display().to_string();
        let mut words: Vec<String> = [
            // Nothing of the user's own configuration: the test is the image's.
            ["-F".to_owned(), "none".to_owned()],
            option("StrictHostKeyChecking", "yes"),
            option(
                // ssh expands `%` in it.
                "UserKnownHostsFile",
                &format!("\"{}\"", path(&self.known_hosts).replace('%', "%%")),
            ),
            option("GlobalKnownHostsFile", "none"),
            option("HostKeyAlias", &self.host),
            option("Port", &self.port.to_string()),
            option("User", &self.user),
        ]
        .concat();
        if let Some(identity) = &self.identity {
            words.extend(option("IdentitiesOnly", "yes"));
            words.extend(["-i".to_owned(), path(identity)]);
        }
        // Nothing an image says may be taken for an option.
        words.extend(["--".to_owned(), "127.0.0.1".to_owned()]);
        words
    }
}

/// In single quotes, unless it is plain.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./@:,+".contains(&byte);
    match word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
