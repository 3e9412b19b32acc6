//! A running guest: its console, its log, its end.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::console::{Event, Rows};

/// A QEMU process. It ends when this value does.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    console: Receiver<Vec<u8>>,
    rows: Rows,
    log: File,
    log_path: PathBuf,
    port: u16,
    echo: bool,
}

/// What waiting for an event gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// These, at least one.
    Events(Vec<Event>),
    /// Nothing so far.
    Nothing,
    /// The guest is gone; what QEMU said about it.
    Ended(String),
}

impl Guest {
    pub(super) fn new(mut child: Child, port: u16, log_path: PathBuf) -> anyhow::Result<Self> {
        let log =
            File::create(&log_path).with_context(|| format!("writing {}", log_path.display()))?;
        let mut stdout = child.stdout.take().context("QEMU's console is closed")?;
        let (sender, console) = channel();
        // The pipe must be drained whatever the caller does: a full one stops
        // the guest. The thread ends with the pipe.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            console,
            rows: Rows::default(),
            log,
            log_path,
            port,
            echo: false,
        })
    }

    /// Shows the console on stderr as well.
    pub fn echo(&mut self) {
        self.echo = true;
    }

    /// The port on 127.0.0.1 that reaches the guest's ssh.
    pub fn ssh_port(&self) -> u16 {
        self.port
    }

    /// The console's log.
    pub fn log(&self) -> &Path {
        &self.log_path
    }

    /// Waits for the console to say something of interest.
    ///
    /// # Errors
    /// When the log cannot be written or QEMU's end not be waited for.
    pub fn wait(&mut self, at_most: Duration) -> anyhow::Result<Waited> {
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.console.recv_timeout(left) {
                Ok(bytes) => {
                    self.log
                        .write_all(&bytes)
                        .context("writing the console's log")?;
                    if self.echo {
                        io::stderr()
                            .write_all(&bytes)
                            .context("showing the console")?;
                    }
                    let events = self.rows.push(&bytes);
                    if !events.is_empty() {
                        return Ok(Waited::Events(events));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Waited::Nothing),
                Err(RecvTimeoutError::Disconnected) => return self.ended().map(Waited::Ended),
            }
        }
    }

    fn ended(&mut self) -> anyhow::Result<String> {
        let status = self.child.wait().context("waiting for QEMU")?;
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr
                .read_to_string(&mut words)
                .context("reading QEMU's messages")?;
        }
        Ok(if words.is_empty() {
            format!("QEMU ended with {status}")
        } else {
            words.trim_end().to_owned()
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Gone already is what is wanted; nothing else can be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
