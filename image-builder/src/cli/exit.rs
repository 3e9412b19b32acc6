//! How a run ends: one exit code a reason, and the error in words.

use std::io;
use std::process::ExitCode;

use crate::charts::ChartsError;
use crate::cmd::CmdError;
use crate::compose::FitError;
use crate::config::{Problems, UnknownNode};
use crate::device::FindError;
use crate::edit::{ChartEditError, EditError};
use crate::fetch::FetchError;
use crate::flash::{Failed, FlashError, OpenError, RecordError};
use crate::init::FolderError;
use crate::inspect::LookError;
use crate::layout::FrameError;
use crate::lock::{LockError, Missing};
use crate::overlay::links::LinkLoop;
use crate::overlay::release::Mismatch;
use crate::progress::Interrupted;
use crate::release::sign::SignError;
use crate::release::verify::Unfit;
use crate::rootfs::PathError;
use crate::secrets::SecretsError;
use crate::seed::PlaceError;
use crate::signature::openpgp::{KeyringError, SignatureError};
use crate::signature::sums::SumsError;
use crate::sink::SinkError;
use crate::source::BaseError;
use crate::view::Unreadable;

use super::cache::Damaged;
use super::charts::NotAsLocked;
use super::lock::OutOfDate;
use super::node::LastServer;
use super::rebuild::NotTheSame;
use super::r#try::NotUp;
use super::verify::Differs;
use super::watch::NotDone;
use super::write::{NotConfirmed, Refused};

/// Shown under `--help`; the README repeats it.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    failed, for a reason not listed here
  2    wrong arguments
  3    the configuration has problems
  4    the base image, the image to look into, or a file of the cache cannot be used
  5    a program is missing; the message says how to install it
  6    the output cannot be written: it exists, there is no room, no permission
  7    a node that was tried or watched did not come up
  8    something cannot be downloaded, or is not what it should be
  9    the disk must not be written: refused, in use, too small, or not confirmed
  10   the disk failed, or does not hold what was written
  11   the secrets cannot be opened or changed
  130  interrupted";

/// What the shell expects of a program that Ctrl-C ended: 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// Prints the error and everything behind it, and gives its exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if code == INTERRUPTED {
        match error.downcast_ref::<Failed>() {
            Some(failed) => eprintln!("interrupted; {}", failed.aftermath),
            None => eprintln!("interrupted; nothing was left half-written"),
        }
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
    error.chain().find_map(meaning).unwrap_or(1)
}

/// What one link of the chain means, if it alone decides.
fn meaning(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        // An `io::Error` hides what it was made of from the chain.
        return match io.get_ref() {
            Some(inner) if inner.is::<Interrupted>() => Some(INTERRUPTED),
            _ if io.kind() == io::ErrorKind::StorageFull => Some(6),
            _ => None,
        };
    }
    let is = |known: bool, code: u8| known.then_some(code);
    is(cause.is::<Interrupted>(), INTERRUPTED)
        .or(is(is_about_configuration(cause), 3))
        .or(is(is_about_an_image(cause), 4))
        .or(is(
            matches!(cause.downcast_ref(), Some(CmdError::Missing { .. })),
            5,
        ))
        .or(is(is_about_the_output(cause), 6))
        .or(is(cause.is::<NotUp>() || cause.is::<NotDone>(), 7))
        .or(is(is_about_a_download(cause), 8))
        .or(is(is_about_the_choice_of_a_disk(cause), 9))
        .or(is(is_about_a_bad_disk(cause), 10))
        .or(is(cause.is::<SecretsError>(), 11))
}

fn is_about_configuration(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<Problems>()
        || cause.is::<UnknownNode>()
        || cause.is::<FitError>()
        || cause.is::<LockError>()
        || cause.is::<OutOfDate>()
        || cause.is::<EditError>()
        || cause.is::<LastServer>()
        || cause.is::<NotAsLocked>()
        || cause.is::<ChartEditError>()
        || cause.downcast_ref().is_some_and(is_about_a_list)
        || matches!(cause.downcast_ref(), Some(Missing::Lock(_)))
}

fn is_about_the_output(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<SinkError>()
        || cause.is::<FolderError>()
        || cause.downcast_ref().is_some_and(PlaceError::is_full)
}

/// What is wrong with charts is in files of the repository, or outside.
fn is_about_a_list(error: &ChartsError) -> bool {
    matches!(
        error,
        ChartsError::NoList(_)
            | ChartsError::List { .. }
            | ChartsError::Lock { .. }
            | ChartsError::Folder { .. }
            | ChartsError::Unknown(_)
    )
}

fn is_about_the_choice_of_a_disk(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<FindError>()
        || cause.is::<PlaceError>()
        || cause.is::<Refused>()
        || cause.is::<NotConfirmed>()
        || cause.is::<OpenError>()
        || cause.is::<FrameError>()
}

fn is_about_a_bad_disk(cause: &(dyn std::error::Error + 'static)) -> bool {
    let flash = cause.downcast_ref::<FlashError>();
    flash.is_some_and(|error| !matches!(error, FlashError::Interrupted(_)))
        || cause.is::<RecordError>()
        || cause.is::<Differs>()
}

fn is_about_a_download(cause: &(dyn std::error::Error + 'static)) -> bool {
    let fetch = cause.downcast_ref::<FetchError>();
    // Stopped by the user: the next link says so.
    fetch.is_some_and(|error| !matches!(error, FetchError::Stopped(_)))
        || cause.is::<SignatureError>()
        || cause.is::<KeyringError>()
        || cause.is::<SignError>()
        || cause.is::<Unfit>()
        || cause.is::<NotTheSame>()
        || cause.is::<Mismatch>()
        || cause.is::<SumsError>()
        || cause.is::<Missing>()
        || cause.downcast_ref().is_some_and(is_about_a_publisher)
}

fn is_about_a_publisher(error: &ChartsError) -> bool {
    !is_about_a_list(error) && !matches!(error, ChartsError::File { .. })
}

fn is_about_an_image(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<BaseError>()
        || cause.is::<PathError>()
        || cause.is::<Damaged>()
        || cause.is::<LinkLoop>()
        || cause.is::<Unreadable>()
        || matches!(cause.downcast_ref(), Some(LookError::Unreadable(_)))
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::anyhow;

    use super::*;
    use crate::overlay::links::{Last, follow};
    use crate::sink::SinkError;

    #[test]
    fn every_kind_of_failure_has_its_code() {
        let circle = follow("/a", Last::Followed, |_| {
            Ok::<_, anyhow::Error>(Some("a".into()))
        });
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let errors: Vec<(u8, anyhow::Error)> = vec![
            (1, anyhow!("no reason that is listed")),
            (1, io::Error::from(io::ErrorKind::NotFound).into()),
            (1, LookError::NotAFile("/etc".into()).into()),
            (4, LookError::Unreadable(anyhow!("damaged")).into()),
            (4, Unreadable::from(anyhow!("damaged")).into()),
            (4, circle.expect_err("a circle")),
            (4, PathError::Outside.into()),
            (4, BaseError::Open(io::ErrorKind::NotFound.into()).into()),
            (6, SinkError::Exists(PathBuf::from("out.img")).into()),
            (6, full.into()),
            (11, SecretsError::Passphrase("secrets.age".into()).into()),
            (INTERRUPTED, Interrupted.into()),
            (INTERRUPTED, io::Error::from(Interrupted).into()),
        ];
        for (wanted, error) in errors {
            let words = format!("{error:#}");
            // As the layers above say what they were doing.
            let error = error.context("composing").context("building pi-1");
            assert_eq!(code(&error), wanted, "{words}");
        }
    }
}
