//! Progress on stderr: what is being done, and how long after the start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that two processes of one chore can share.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    started: Duration,
}

impl Steps {
    pub(crate) fn start() -> Steps {
        Steps { started: now() }
    }

    /// Goes on with the clock of the process that called us.
    pub(crate) fn since(millis: u64) -> Steps {
        Steps {
            started: Duration::from_millis(millis),
        }
    }

    /// For `since`: milliseconds of the Unix clock.
    pub(crate) fn started_at(self) -> u128 {
        self.started.as_millis()
    }

    pub(crate) fn say(self, what: impl std::fmt::Display) {
        let elapsed = now().saturating_sub(self.started).as_secs_f32();
        eprintln!("base: {elapsed:6.1} s  {what}");
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
