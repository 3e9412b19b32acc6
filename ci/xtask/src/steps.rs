//! Progress on stderr: what is being done, and how long after the start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that two processes of one chore can share.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    chore: &'static str,
    started: Duration,
}

impl Steps {
    pub(crate) fn start(chore: &'static str) -> Steps {
        Steps {
            chore,
            started: now(),
        }
    }

    /// Goes on with the clock of the process that called us.
    pub(crate) fn since(chore: &'static str, millis: u64) -> Steps {
        Steps {
            chore,
            started: Duration::from_millis(millis),
        }
    }

    /// For `since`: milliseconds of the Unix clock.
    pub(crate) fn started_at(self) -> u128 {
        self.started.as_millis()
    }

    pub(crate) fn say(self, what: impl std::fmt::Display) {
        let elapsed = now().saturating_sub(self.started).as_secs_f32();
        eprintln!("{}: {elapsed:6.1} s  {what}", self.chore);
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
