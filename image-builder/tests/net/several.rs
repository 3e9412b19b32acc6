//! Many files at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use imgbuild::fetch::{FetchError, Wanted};

use crate::lab::{Lab, Recorder, bytes, pinned, quick};
use crate::server::{ETAG, Server};

const LEN: usize = 50_000;

fn files(lab: &Lab, server: &Server, file: &[u8], count: usize) -> Vec<(Wanted, PathBuf)> {
    let one = |number: usize| {
        let wanted = Wanted {
            size: Some(LEN as u64),
            ..pinned(server.url(&format!("/{number}")), file)
        };
        (wanted, lab.dir.path().join(number.to_string()))
    };
    (0..count).map(one).collect()
}

#[test]
fn all_of_them_come_and_every_byte_is_told_once() {
    let file = bytes(LEN);
    let body = file.clone();
    let seen = Mutex::new(BTreeSet::new());
    let server = Server::start(move |_, request, wire| {
        let is_first = seen.lock().expect("seen").insert(request.line.clone());
        // Some of them only at the second try.
        let is_cut = (0..5).any(|number| request.line.starts_with(&format!("GET /{number} ")));
        match is_first && is_cut {
            true => wire.part(request, "W/\"v1\"", &body, LEN / 2),
            false => wire.file(request, &body),
        }
    });
    let lab = Lab::new(quick());
    let mut progress = Recorder::default();
    let list = files(&lab, &server, &file, 20);
    let fetched = lab
        .client
        .download_all(&list, 4, &mut progress)
        .expect("all");
    assert_eq!(fetched.len(), 20);
    assert_eq!(progress.bytes, 20 * LEN as u64);
    for (_, path) in &list {
        assert!(std::fs::read(path).expect("file") == file);
    }
    assert_eq!(lab.names().len(), 20);
    let none = lab.client.download_all(&[], 4, &mut progress);
    assert!(none.expect("none").is_empty());
}

#[test]
fn the_first_failure_stops_the_others_and_keeps_what_came() {
    let file = bytes(LEN);
    let body = file.clone();
    let (begun, seen) = mpsc::channel();
    let seen = Mutex::new(seen);
    let server = Server::start(move |_, request, wire| {
        if request.line.starts_with("GET /0 ") {
            // Not before the others have something to keep.
            let seen = seen.lock().expect("seen");
            for _ in 0..2 {
                seen.recv_timeout(Duration::from_secs(30))
                    .map_err(std::io::Error::other)?;
            }
            return wire.status("404 Not Found", &[]);
        }
        wire.part(request, ETAG, &body, LEN / 2)?;
        begun.send(()).map_err(std::io::Error::other)?;
        wire.silence();
        Ok(())
    });
    let lab = Lab::new(quick());
    let list = files(&lab, &server, &file, 10);
    let error = lab
        .client
        .download_all(&list, 3, &mut Recorder::default())
        .expect_err("404");
    assert!(
        matches!(error, FetchError::Refused { status: 404, .. }),
        "{error}"
    );
    assert_eq!(server.requests().len(), 3);
    for name in lab.names() {
        assert!(name.contains(".part"), "{name}");
    }
}

#[test]
fn ctrl_c_stops_all_of_them() {
    let file = bytes(LEN);
    let body = file.clone();
    let server = Server::start(move |_, request, wire| {
        wire.part(request, ETAG, &body, LEN / 2)?;
        wire.silence();
        Ok(())
    });
    let lab = Lab::new(quick());
    let list = files(&lab, &server, &file, 10);
    let mut progress = Recorder {
        stop_at: Some(2 * LEN as u64 - 1),
        ..Recorder::default()
    };
    let error = lab
        .client
        .download_all(&list, 4, &mut progress)
        .expect_err("stopped");
    assert!(matches!(error, FetchError::Stopped(_)), "{error}");
    assert_eq!(lab.names().len(), 8, "{:?}", lab.names());
    // All that came is used by the next run.
    let body = file.clone();
    drop(server);
    let server = Server::start(move |_, request, wire| wire.file(request, &body));
    let again = files(&lab, &server, &file, 10);
    lab.client
        .download_all(&again, 4, &mut Recorder::default())
        .expect("all");
}
