//! What a run leaves, and what the next one makes of it.

use std::fs;
use std::io;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use imgbuild::fetch::{FetchError, State};

use crate::lab::{Lab, Recorder, bytes, pinned, quick, unpinned};
use crate::server::{ETAG, Request, Server, Wire};

const LEN: usize = 300_000;

/// Downloads some of a file, is stopped, and gives the bytes that were kept.
fn some(lab: &Lab, url: String, file: &[u8]) -> usize {
    let mut progress = Recorder {
        stop_at: Some(100_000),
        ..Recorder::default()
    };
    let error = lab
        .fetch_with(&pinned(url, file), &mut progress)
        .expect_err("stopped");
    assert!(matches!(error, FetchError::Stopped(_)), "{error}");
    assert_eq!(lab.names(), [".file.part", ".file.part.toml"]);
    let text = fs::read_to_string(lab.dir.path().join(".file.part.toml")).expect("state");
    let kept = State::parse(&text).expect("state").kept as usize;
    assert!((100_000..LEN).contains(&kept), "{kept}");
    kept
}

/// An answer that stops in the middle and stays open.
fn first_half(file: &[u8]) -> impl Fn(&Request, &mut Wire) -> io::Result<()> + use<> {
    let file = file.to_vec();
    move |request, wire| {
        wire.part(request, ETAG, &file, LEN / 2)?;
        wire.silence();
        Ok(())
    }
}

#[test]
fn only_the_rest_is_fetched() {
    let file = bytes(LEN);
    let (body, first) = (file.clone(), first_half(&file));
    let server = Server::start(move |number, request, wire| match number {
        0 => first(request, wire),
        _ => wire.file(request, &body),
    });
    let lab = Lab::new(quick());
    let kept = some(&lab, server.url("/f"), &file);
    let before = server.sent();
    let fetched = lab.fetch_right(&pinned(server.url("/f"), &file), &file);
    assert_eq!(fetched.reused, kept as u64);
    assert_eq!(server.sent() - before, (LEN - kept) as u64);
    // And nothing at all once it is here.
    let again = lab.fetch_right(&pinned(server.url("/f"), &file), &file);
    assert_eq!(again.reused, LEN as u64);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn stopping_while_the_kept_part_is_checked_keeps_it() {
    let file = bytes(LEN);
    let (body, first) = (file.clone(), first_half(&file));
    let server = Server::start(move |number, request, wire| match number {
        0 => first(request, wire),
        _ => wire.file(request, &body),
    });
    let lab = Lab::new(quick());
    let kept = some(&lab, server.url("/f"), &file);
    let mut progress = Recorder {
        stop_at: Some(1),
        ..Recorder::default()
    };
    let wanted = pinned(server.url("/f"), &file);
    let error = lab.fetch_with(&wanted, &mut progress).expect_err("stopped");
    assert!(matches!(error, FetchError::Stopped(_)), "{error}");
    assert_eq!(lab.fetch_right(&wanted, &file).reused, kept as u64);
}

#[test]
fn what_does_not_belong_together_is_never_mixed() {
    type Answer = fn(&Request, &mut Wire, &[u8]) -> io::Result<()>;
    let cases: [(&str, Answer); 7] = [
        ("no ranges here", |_, wire, file| {
            wire.head("200 OK", &[("Content-Length", "300000")])?;
            wire.body(file)
        }),
        ("another version", |request, wire, file| {
            wire.part(request, "\"v2\"", file, file.len())
        }),
        (
            "another version that If-Range was not looked at for",
            |request, wire, file| match request.from() {
                Some(_) => wire.status(
                    "206 Partial",
                    &[
                        ("Content-Range", "bytes 100000-299999/300000"),
                        ("ETag", "\"v2\""),
                    ],
                ),
                None => wire.file(request, file),
            },
        ),
        ("another range", |request, wire, file| {
            match request.from() {
                Some(_) => wire.status(
                    "206 Partial",
                    &[("Content-Range", "bytes 5-299999/300000"), ("ETag", ETAG)],
                ),
                None => wire.file(request, file),
            }
        }),
        ("no range named", |request, wire, file| {
            match request.from() {
                Some(_) => wire.status("206 Partial", &[("ETag", ETAG)]),
                None => wire.file(request, file),
            }
        }),
        ("shorter now", |request, wire, file| match request.from() {
            Some(_) => wire.status("416 Range Not Satisfiable", &[]),
            None => wire.file(request, file),
        }),
        (
            "a liar: the same version, other bytes",
            |request, wire, file| wire.file(request, file),
        ),
    ];
    for (name, answer) in cases {
        // The part that is kept is of another file than the server has then.
        let (old, new) = (vec![7; LEN], bytes(LEN));
        let (body, first) = (new.clone(), first_half(&old));
        let server = Server::start(move |number, request, wire| match number {
            0 => first(request, wire),
            _ => answer(request, wire, &body),
        });
        let lab = Lab::new(quick());
        some(&lab, server.url("/f"), &new);
        let fetched = lab.fetch_right(&pinned(server.url("/f"), &new), &new);
        assert_eq!(fetched.reused, 0, "{name}");
    }
}

#[test]
fn without_a_strong_validator_nothing_is_gone_on_with() {
    let file = bytes(LEN);
    for headers in [
        &[("Content-Length", "300000"), ("ETag", "W/\"v1\"")][..],
        &[("Content-Length", "300000")],
    ] {
        let body = file.clone();
        let server = Server::start(move |number, _, wire| {
            wire.head("200 OK", headers)?;
            wire.body(&body[..if number == 0 { LEN / 2 } else { LEN }])
        });
        let lab = Lab::new(quick());
        lab.fetch_right(&pinned(server.url("/f"), &file), &file);
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].from(), None);
    }
}

#[test]
fn a_date_that_is_old_enough_is_a_validator() {
    let file = bytes(LEN);
    let body = file.clone();
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = Server::start(move |number, request, wire| {
        let rest = request.from().unwrap_or(0);
        let mut headers = vec![
            ("Last-Modified", modified),
            ("Date", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ];
        let (len, range) = (
            (LEN - rest).to_string(),
            format!("bytes {rest}-{}/{LEN}", LEN - 1),
        );
        headers.push(("Content-Length", &len));
        match request.from() {
            Some(_) => {
                headers.push(("Content-Range", &range));
                wire.head("206 Partial Content", &headers)?;
            }
            None => wire.head("200 OK", &headers)?,
        }
        wire.body(&body[rest..if number == 0 { LEN / 2 } else { LEN }])
    });
    let lab = Lab::new(quick());
    lab.fetch_right(&pinned(server.url("/f"), &file), &file);
    let requests = server.requests();
    assert_eq!(requests[1].header("if-range"), Some(modified));
    assert_eq!(requests[1].from(), Some(LEN / 2));
    assert_eq!(server.sent(), LEN as u64);
}

#[test]
fn damaged_leftovers_only_cost_time() {
    let file = bytes(LEN);
    for damage in ["state", "bytes", "short", "other URL"] {
        let (body, first) = (file.clone(), first_half(&file));
        let server = Server::start(move |number, request, wire| match number {
            0 => first(request, wire),
            _ => wire.file(request, &body),
        });
        let lab = Lab::new(quick());
        some(&lab, server.url("/f"), &file);
        let part = lab.dir.path().join(".file.part");
        let mut url = server.url("/f");
        match damage {
            "state" => {
                fs::write(lab.dir.path().join(".file.part.toml"), "kept = 7").expect("write")
            }
            "bytes" => {
                let mut there = fs::read(&part).expect("part");
                there[5] ^= 1;
                fs::write(&part, there).expect("write");
            }
            "short" => fs::write(&part, "x").expect("write"),
            _ => url = server.url("/g"),
        }
        let fetched = lab.fetch_right(&pinned(url, &file), &file);
        assert_eq!(fetched.reused, 0, "{damage}");
    }
}

#[test]
fn a_file_with_the_wrong_bytes_is_replaced() {
    let server = Server::start(|_, request, wire| wire.file(request, b"right"));
    let lab = Lab::new(quick());
    fs::write(lab.file(), "wrong").expect("write");
    lab.fetch_right(&pinned(server.url("/f"), b"right"), b"right");
}

#[test]
fn two_at_once_download_once() {
    let file = bytes(LEN);
    for pinned_too in [true, false] {
        let body = file.clone();
        let (waiting, seen) = mpsc::channel::<()>();
        let seen = Mutex::new(seen);
        let server = Server::start(move |_, request, wire| {
            wire.part(request, ETAG, &body, 0)?;
            // The bytes come only once the other one waits for them.
            let seen = seen.lock().expect("seen");
            seen.recv_timeout(Duration::from_secs(30))
                .map_err(io::Error::other)?;
            wire.body(&body)
        });
        let lab = Lab::new(quick());
        let wanted = match pinned_too {
            true => pinned(server.url("/f"), &file),
            false => unpinned(server.url("/f")),
        };
        let mut fetched: Vec<u64> = thread::scope(|scope| {
            let threads = [waiting.clone(), waiting].map(|waiting| {
                let (lab, wanted) = (&lab, &wanted);
                scope.spawn(move || {
                    let mut progress = Recorder {
                        on_note: Some(Box::new(move || waiting.send(()).expect("server"))),
                        ..Recorder::default()
                    };
                    lab.fetch_with(wanted, &mut progress).expect("file").reused
                })
            });
            threads.map(|thread| thread.join().expect("thread")).into()
        });
        fetched.sort_unstable();
        assert_eq!(fetched, [0, LEN as u64]);
        assert_eq!(server.requests().len(), 1);
        assert!(fs::read(lab.file()).expect("file") == file);
        assert_eq!(lab.names(), ["file"]);
    }
}
