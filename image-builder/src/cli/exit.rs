//! How a run ends: one exit code a reason, and the error in words.

use std::process::ExitCode;

use crate::cmd::CmdError;
use crate::config::{Problems, UnknownNode};
use crate::progress::Interrupted;
use crate::sink::SinkError;
use crate::source::BaseError;

use super::r#try::NotUp;

/// Shown under `--help`; the README repeats it.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    failed, for a reason not listed here
  2    wrong arguments
  3    the configuration has problems
  4    the base image, or the image to look into, cannot be used
  5    a program is missing; the message says how to install it
  6    the output cannot be written: it exists, there is no room, no permission
  7    the node that was tried did not come up
  130  interrupted";

/// Prints the error and everything behind it, and gives its exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if code == 130 {
        eprintln!("interrupted; nothing was left half-written");
    } else {
        // Problems bring their own places; a prefix would spoil `file:line`.
        match error.downcast_ref::<Problems>() {
            Some(problems) => eprintln!("{problems}"),
            None => eprintln!("error: {}", sentence(error)),
        }
    }
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Interrupted>() || wraps_interrupted(cause) {
            return 130;
        } else if cause.is::<Problems>() || cause.is::<UnknownNode>() {
            return 3;
        } else if cause.is::<BaseError>() {
            return 4;
        } else if let Some(CmdError::Missing { .. }) = cause.downcast_ref() {
            return 5;
        } else if cause.is::<SinkError>() {
            return 6;
        } else if cause.is::<NotUp>() {
            return 7;
        }
    }
    1
}

/// An `io::Error` hides what it was made of from the chain.
fn wraps_interrupted(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| inner.is::<Interrupted>())
}

/// The chain as one sentence, without a cause that its parent already quotes.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text += &format!(": {words}");
        }
    }
    text
}
