//! When to try again.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use super::error::Failure;
use super::{Address, FetchError, POLL};
use crate::progress::Progress;

/// The first pause; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause of our own: a server that comes back is not left idle for
/// much longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest pause a server may ask for. Beyond it the user would rather be
/// told than wait.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes an attempt must have brought to be taken for success. Less, and a
/// server that cuts every connection would be asked forever.
const WORTHWHILE: u64 = 1 << 20;

/// Time as the pauses see it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day, for a `Retry-After:` that names one.
    fn now(&self) -> SystemTime;

    /// Waits.
    fn sleep(&self, pause: Duration);
}

/// The machine's.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

/// The attempts at one file.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    clock: &'a dyn Clock,
    attempts: u32,
    /// Failures in a row.
    failed: u32,
    /// How far any attempt came, in bytes.
    reached: u64,
}

impl<'a> Retry<'a> {
    pub(super) fn new(clock: &'a dyn Clock, attempts: u32) -> Self {
        Self {
            clock,
            attempts,
            failed: 0,
            reached: 0,
        }
    }

    /// Waits after an attempt that had come to the byte `at`, or says that it
    /// was the last one.
    ///
    /// # Errors
    /// When another attempt makes no sense, or the user stops the waiting.
    pub(super) fn after(
        &mut self,
        failure: Failure,
        url: &Address,
        at: u64,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let (trouble, asked) = match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::Again { trouble, pause } => (trouble, pause),
        };
        if at >= self.reached.saturating_add(WORTHWHILE) {
            self.failed = 0;
        }
        self.reached = self.reached.max(at);
        self.failed += 1;
        if self.failed >= self.attempts {
            return Err(FetchError::GaveUp {
                url: url.clone(),
                attempts: self.failed,
                trouble,
            });
        }
        let pause = pause(self.failed).max(asked.unwrap_or_default().min(PATIENCE));
        progress.note(&format!(
            "{url}: {trouble}; again in {} s",
            pause.as_secs_f64().ceil()
        ));
        let mut left = pause;
        while !left.is_zero() {
            progress.advance(0).map_err(FetchError::Stopped)?;
            let step = left.min(POLL);
            self.clock.sleep(step);
            left -= step;
        }
        Ok(())
    }
}

/// The pause after so many failures: half of it by chance, so that many clients
/// of one broken server do not come back together.
fn pause(failed: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << (failed - 1).min(16)).min(LONGEST);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// How long `Retry-After:` says to wait: seconds, or a date (RFC 9110, 10.2.3).
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are more than anybody waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        for (failed, longest) in [(1, 1), (2, 2), (3, 4), (6, 30), (u32::MAX, 30)] {
            let longest = Duration::from_secs(longest);
            for _ in 0..100 {
                let pause = pause(failed);
                assert!((longest / 2..=longest).contains(&pause), "{pause:?}");
            }
        }
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let found = retry_after(value, now);
            assert_eq!(found, seconds.map(Duration::from_secs), "{value}");
        }
    }
}
