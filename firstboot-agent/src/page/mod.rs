//! The report on the network, for whoever set the node up and has a browser: read
//! only, for as long as the first boot takes and a little longer.
//!
//! It may not cost the first boot anything. It has threads of its own, a handful,
//! each of which gives a client seconds and a few KiB; whoever wants more than that
//! is hung up on, and whoever is too many waits. Nothing here may panic: it would
//! end the agent.

mod html;
mod http;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;
use node_config::Report;

use self::http::Shown;

/// Clients that are served at a time.
const WORKERS: usize = 4;

/// A worker copies texts; it needs next to nothing.
const STACK: usize = 128 << 10;

/// For all of a client's question, and all of its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// As much of a question as is read; browsers send a fraction.
const LONGEST_QUESTION: usize = 8 << 10;

/// Between two looks at the time, for a worker without clients.
const IDLE: Duration = Duration::from_secs(60);

/// What is shown, to hand to whoever shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Shown>>);

impl Page {
    /// Shows a report from now on. What is no report changes nothing.
    pub(crate) fn show(&self, report: &str) {
        if let Ok(parsed) = Report::parse(report) {
            let shown = Shown {
                html: html::render(&parsed),
                json: report.to_owned(),
            };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        }
    }

    /// Opens the page to the network, for so long at most.
    ///
    /// # Errors
    /// When the address cannot be listened at, or there can be no threads.
    pub(crate) fn open(&self, at: SocketAddrV4, time: Duration) -> io::Result<SocketAddrV4> {
        let listener = TcpListener::bind(at)?;
        let at = SocketAddrV4::new(*at.ip(), listener.local_addr()?.port());
        // The kernel ends `accept` with it (socket(7)).
        let idle = TimeVal::new(IDLE.min(time).as_secs().cast_signed().max(1), 0);
        setsockopt(&listener, ReceiveTimeout, &idle)?;
        let listener = Arc::new(listener);
        let closes = Instant::now() + time;
        for _ in 0..WORKERS {
            let (listener, page) = (Arc::clone(&listener), self.clone());
            thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || page.serve(&listener, closes))?;
        }
        Ok(at)
    }

    fn serve(&self, listener: &TcpListener, closes: Instant) {
        while Instant::now() < closes {
            match listener.accept() {
                // Whoever hangs up or is too slow does not get to hear it.
                Ok((client, _)) => drop(self.answer(&client)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Out of memory or of files: soon again, not at once.
                Err(_) => thread::sleep(PATIENCE),
            }
        }
    }

    fn answer(&self, mut client: &TcpStream) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let left = || {
            let left = deadline.saturating_duration_since(Instant::now());
            // 0 would mean for ever.
            (!left.is_zero())
                .then_some(left)
                .ok_or(io::ErrorKind::TimedOut)
        };
        let mut question = Vec::new();
        let mut part = [0; 1024];
        while !http::is_whole(&question) && question.len() < LONGEST_QUESTION {
            client.set_read_timeout(Some(left()?))?;
            match client.read(&mut part)? {
                0 => break,
                len => question.extend_from_slice(&part[..len]),
            }
        }
        let answer = {
            let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            http::answer(&question, &shown)
        };
        let mut rest = &answer[..];
        while !rest.is_empty() {
            client.set_write_timeout(Some(left()?))?;
            match client.write(rest)? {
                0 => break,
                len => rest = &rest[len..],
            }
        }
        client.shutdown(Shutdown::Write)
    }
}

#[cfg(test)]
mod browser;
#[cfg(test)]
mod tests;
