//! One file, or one document: ask, take in, try again, judge.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::error::Failure;
use super::partial::{Partial, hash_file, name};
use super::retry::Retry;
use super::session::Session;
use super::{Address, FetchError, Fetched, Trouble, Wanted};
use crate::progress::Progress;

/// [`super::Client::read`].
pub(super) fn read(
    session: &Session<'_>,
    url: &str,
    limit: u64,
    progress: &mut dyn Progress,
) -> Result<Vec<u8>, FetchError> {
    let address = session.address(url)?;
    session.permit(&address)?;
    let mut retry = Retry::new(session.clock, session.settings.attempts);
    loop {
        match read_once(session, &address, limit, progress) {
            Ok(document) => return Ok(document),
            Err(failure) => retry.after(failure, &address, 0, progress)?,
        }
    }
}

fn read_once(
    session: &Session<'_>,
    address: &Address,
    limit: u64,
    progress: &mut dyn Progress,
) -> Result<Vec<u8>, Failure> {
    let too_long = || FetchError::TooLong {
        url: address.clone(),
        limit,
    };
    let mut answer = Answer::open(session, address, None, progress)?;
    if answer.total.is_some_and(|total| total > limit) {
        return Err(too_long().into());
    }
    let mut document = Vec::new();
    while let Some(bytes) = answer.next(progress)? {
        document.extend(bytes);
        if document.len() as u64 > limit {
            return Err(too_long().into());
        }
    }
    Ok(document)
}

/// [`super::Client::download`].
pub(super) fn download(
    session: &Session<'_>,
    wanted: &Wanted,
    into: &Path,
    progress: &mut dyn Progress,
) -> Result<Fetched, FetchError> {
    let address = session.address(&wanted.url)?;
    // Before anything is written: the folder may be somebody else's.
    if let Some(there) = already_there(wanted, into, false, progress)? {
        return Ok(there);
    }
    session.permit(&address)?;
    let (mut partial, waited) = Partial::claim(into, progress)?;
    // The run that was waited for may have wanted the same.
    if let Some(there) = already_there(wanted, into, waited, progress)? {
        partial.discard();
        return Ok(there);
    }
    match fill(session, wanted, &address, into, &mut partial, progress) {
        Ok(sha256) => {
            let fetched = Fetched {
                sha256,
                size: partial.len(),
                reused: partial.reused(),
            };
            partial.finish()?;
            Ok(fetched)
        }
        Err(error) => {
            match error {
                FetchError::Digest { .. }
                | FetchError::Size { .. }
                | FetchError::TooLong { .. } => {
                    partial.discard();
                }
                _ => partial.leave(),
            }
            Err(error)
        }
    }
}

/// The file as another run left it, if it is what is wanted. One without a
/// sha256 is believed only if it is `fresh`.
fn already_there(
    wanted: &Wanted,
    into: &Path,
    fresh: bool,
    progress: &mut dyn Progress,
) -> Result<Option<Fetched>, FetchError> {
    if wanted.sha256.is_none() && !fresh {
        return Ok(None);
    }
    let failed = FetchError::file("reading", into);
    let file = match File::open(into) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let size = file.metadata().map_err(&failed)?.len();
    if size > wanted.limit || wanted.size.is_some_and(|wanted| wanted != size) {
        return Ok(None);
    }
    progress.step(&format!("checking {}", name(into)), Some(size));
    let mut hash = Sha256::new();
    hash_file(&file, &mut hash, progress).map_err(failed)?;
    let sha256 = base16ct::lower::encode_string(&hash.finalize());
    Ok(is_wanted(wanted, &sha256).then_some(Fetched {
        sha256,
        size,
        reused: size,
    }))
}

/// Attempts until the file is whole and right; gives its sha256.
fn fill(
    session: &Session<'_>,
    wanted: &Wanted,
    address: &Address,
    into: &Path,
    partial: &mut Partial,
    progress: &mut dyn Progress,
) -> Result<String, FetchError> {
    let mut retry = Retry::new(session.clock, session.settings.attempts);
    let mut doubted = false;
    partial.adopt(address, progress)?;
    loop {
        if let Err(failure) = attempt(session, wanted, address, into, partial, progress) {
            let at = partial.len();
            if let Failure::Again {
                trouble: Trouble::Changed,
                ..
            } = failure
            {
                partial.restart()?;
            }
            retry.after(failure, address, at, progress)?;
            continue;
        }
        let found = partial.digest();
        match &wanted.sha256 {
            Some(expected) if !is_wanted(wanted, &found) => {
                // Parts may not belong together in spite of what the server
                // said, or a disk may have lost what it promised.
                if !partial.is_joined() || doubted {
                    return Err(FetchError::Digest {
                        url: address.clone(),
                        expected: expected.clone(),
                        found,
                    });
                }
                doubted = true;
                progress.note(&format!(
                    "{address}: its parts do not fit; again from its beginning"
                ));
                partial.restart()?;
            }
            _ => return Ok(found),
        }
    }
}

/// One request: all of the file, or the rest of it.
fn attempt(
    session: &Session<'_>,
    wanted: &Wanted,
    address: &Address,
    into: &Path,
    partial: &mut Partial,
    progress: &mut dyn Progress,
) -> Result<(), Failure> {
    if wanted.size == Some(partial.len()) {
        return Ok(());
    }
    let mut answer = Answer::open(session, address, partial.rest(), progress)?;
    match answer.start {
        0 => partial.begin(address, answer.validator.take())?,
        _ => partial.join(),
    }
    if let Some(total) = answer.total {
        check_size(wanted, address, total, wanted.size == Some(total))?;
    }
    let total = wanted.size.or(answer.total);
    progress.step(&format!("downloading {}", name(into)), total);
    progress
        .advance(partial.len())
        .map_err(FetchError::Stopped)?;
    while let Some(bytes) = answer.next(progress)? {
        let len = partial.len() + bytes.len() as u64;
        check_size(
            wanted,
            address,
            len,
            wanted.size.is_none_or(|size| len <= size),
        )?;
        partial.append(&bytes)?;
        progress
            .advance(bytes.len() as u64)
            .map_err(FetchError::Stopped)?;
    }
    match total {
        Some(expected) if partial.len() < expected => Err(Trouble::Cut {
            received: partial.len(),
            expected,
        }
        .into()),
        Some(expected) if partial.len() > expected => Err(Trouble::Changed.into()),
        _ => Ok(()),
    }
}

/// Checks a length: announced, or reached so far. `fits` is whether the wanted
/// size allows it.
fn check_size(
    wanted: &Wanted,
    address: &Address,
    found: u64,
    fits: bool,
) -> Result<(), FetchError> {
    match wanted.size {
        Some(expected) if !fits => Err(FetchError::Size {
            url: address.clone(),
            expected,
            found,
        }),
        _ if found > wanted.limit => Err(FetchError::TooLong {
            url: address.clone(),
            limit: wanted.limit,
        }),
        _ => Ok(()),
    }
}

fn is_wanted(wanted: &Wanted, sha256: &str) -> bool {
    let expected = wanted.sha256.as_deref();
    expected.is_none_or(|expected| expected.eq_ignore_ascii_case(sha256))
}
