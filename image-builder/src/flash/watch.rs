//! Knows what every thread waits for, so that a disk that answers no more is
//! noticed and named.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{FlashError, Stage};
use crate::progress::{Interrupted, Progress};

/// How often Ctrl-C and the clocks are looked at while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// How long a single read, write or flush may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After this the user is told.
    pub tell: Duration,
    /// After this the disk is given up.
    pub give_up: Duration,
}

impl Default for Patience {
    /// A consumer SSD may take 30 s to flush a full cache.
    fn default() -> Self {
        Self {
            tell: Duration::from_secs(15),
            give_up: Duration::from_secs(180),
        }
    }
}

/// What the threads of one disk share about their progress.
#[derive(Debug, Default)]
pub(super) struct Watch {
    stop: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    stage: Stage,
    offset: u64,
    since: Instant,
    told: bool,
}

impl Watch {
    /// Does something the disk may never answer.
    pub(super) fn wait<T>(
        &self,
        stage: Stage,
        offset: u64,
        io: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, FlashError> {
        let since = Instant::now();
        let told = false;
        self.waiting(|all| {
            all.push(Waiting {
                stage,
                offset,
                since,
                told,
            })
        });
        let result = io();
        self.waiting(|all| {
            let this = |one: &Waiting| (one.stage, one.offset) == (stage, offset);
            if let Some(at) = all.iter().position(this) {
                all.swap_remove(at);
            }
        });
        result.map_err(FlashError::disk(stage, offset))
    }

    /// Whether the threads are to end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn waiting<T>(&self, change: impl FnOnce(&mut Vec<Waiting>) -> T) -> T {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The longest wait, once it is longer than the user should not know of.
    fn stalled(&self, patience: Patience, progress: &mut dyn Progress) -> Result<(), FlashError> {
        self.waiting(|all| {
            for one in all {
                let waited = one.since.elapsed();
                let Waiting { stage, offset, .. } = *one;
                if waited >= patience.give_up {
                    return Err(FlashError::Stalled {
                        stage,
                        offset,
                        waited,
                    });
                }
                if waited >= patience.tell && !one.told {
                    one.told = true;
                    progress.note(&format!(
                        "{stage} at byte {offset}: no answer for {} s; waiting up to {} s",
                        waited.as_secs(),
                        patience.give_up.as_secs()
                    ));
                }
            }
            Ok(())
        })
    }
}

/// What a thread tells.
pub(super) enum Event<T> {
    /// So many bytes more.
    Advance(u64),
    /// A piece of the work is done.
    Done(T),
    /// The thread failed.
    Failed(FlashError),
}

/// A thread's work.
pub(super) type Work<T> = Box<dyn FnOnce(&Sender<Event<T>>) -> Result<(), FlashError> + Send>;

/// Runs threads to their end and hands out what they have done. The first error
/// stops the others, and so does the user. A thread that the kernel does not
/// give back is left behind.
pub(super) fn supervise<T: Send + 'static>(
    watch: &Arc<Watch>,
    patience: Patience,
    progress: &mut dyn Progress,
    works: Vec<Work<T>>,
    mut done: impl FnMut(T),
) -> Result<(), FlashError> {
    let (sender, events) = mpsc::channel();
    let threads: Vec<_> = works
        .into_iter()
        .map(|work| {
            let sender = sender.clone();
            thread::spawn(move || {
                if let Err(error) = work(&sender) {
                    // Nobody listens any more: a first error was enough.
                    let _ = sender.send(Event::Failed(error));
                }
            })
        })
        .collect();
    drop(sender);
    let mut first = None;
    let mut fail = |error| {
        watch.stop.store(true, Ordering::Relaxed);
        first.get_or_insert(error);
    };
    loop {
        let advanced = match events.recv_timeout(TICK) {
            Ok(Event::Advance(bytes)) => bytes,
            Ok(Event::Done(result)) => {
                done(result);
                continue;
            }
            Ok(Event::Failed(error)) => {
                fail(error);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = watch.stalled(patience, progress) {
                    watch.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                0
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if progress.advance(advanced).is_err() {
            fail(Interrupted.into());
        }
    }
    for thread in threads {
        // A panic is a bug of ours; it goes on where the others can see it.
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    first.map_or(Ok(()), Err)
}
