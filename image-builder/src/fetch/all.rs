//! Several files at once: each on a thread, all of them told of by one progress.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use super::download::download;
use super::session::Session;
use super::{FetchError, Fetched, POLL, Wanted};
use crate::progress::{Interrupted, Progress};

/// What a thread has to tell.
enum Event {
    Bytes(u64),
    Note(String),
    Done(usize, Result<Fetched, FetchError>),
}

/// [`super::Client::download_all`].
pub(super) fn download_all(
    session: &Session<'_>,
    files: &[(Wanted, PathBuf)],
    parallel: usize,
    progress: &mut dyn Progress,
) -> Result<Vec<Fetched>, FetchError> {
    let total = files.iter().map(|(wanted, _)| wanted.size).sum();
    progress.step(&format!("downloading {} files", files.len()), total);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, events) = mpsc::channel();
        for _ in 0..parallel.clamp(1, files.len().max(1)) {
            let events = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((wanted, into)) = files.get(index) else {
                        return;
                    };
                    let mut relay = Relay {
                        events: &events,
                        stop,
                        at: 0,
                        told: 0,
                    };
                    let result = download(session, wanted, into, &mut relay);
                    let failed = result.is_err();
                    // The other end waits for the last of us.
                    let _ = events.send(Event::Done(index, result));
                    // Only now: what the others say of it comes after its cause.
                    stop.fetch_or(failed, Ordering::Relaxed);
                }
            });
        }
        drop(sender);
        listen(&events, files.len(), &stop, progress)
    })
}

/// Passes on what the threads tell until all of them are done.
fn listen(
    events: &Receiver<Event>,
    count: usize,
    stop: &AtomicBool,
    progress: &mut dyn Progress,
) -> Result<Vec<Fetched>, FetchError> {
    let mut fetched = vec![None; count];
    let mut failed = None;
    loop {
        let told = match events.recv_timeout(POLL) {
            Ok(Event::Bytes(bytes)) => progress.advance(bytes),
            Ok(Event::Note(text)) => {
                progress.note(&text);
                Ok(())
            }
            Ok(Event::Done(index, Ok(file))) => {
                fetched[index] = Some(file);
                Ok(())
            }
            Ok(Event::Done(_, Err(error))) => {
                // What comes after the first is that the others were stopped.
                failed.get_or_insert(error);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => progress.advance(0),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Err(error) = told {
            failed.get_or_insert(FetchError::Stopped(error));
            stop.store(true, Ordering::Relaxed);
        }
    }
    match failed {
        Some(error) => Err(error),
        // Every file was taken by a thread, and no thread failed.
        None => Ok(fetched.into_iter().flatten().collect()),
    }
}

/// The progress of one of several. Bytes that come a second time, because an
/// attempt began anew, are told once.
struct Relay<'a> {
    events: &'a Sender<Event>,
    stop: &'a AtomicBool,
    at: u64,
    told: u64,
}

impl Progress for Relay<'_> {
    fn step(&mut self, _: &str, _: Option<u64>) {
        self.at = 0;
    }

    fn advance(&mut self, bytes: u64) -> io::Result<()> {
        self.at += bytes;
        if self.at > self.told {
            let _ = self.events.send(Event::Bytes(self.at - self.told));
            self.told = self.at;
        }
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Interrupted.into()),
            false => Ok(()),
        }
    }

    fn note(&mut self, text: &str) {
        let _ = self.events.send(Event::Note(text.into()));
    }
}
