//! Servers that fail: what is tried again, what is not, and how it is said.

use std::thread;
use std::time::{Duration, Instant};

use imgbuild::fetch::{FetchError, Settings, Trouble, Wanted};

use crate::lab::{Lab, Recorder, bytes, pinned, quick, sha256, unpinned};
use crate::server::{ETAG, Server};

#[test]
fn a_broken_connection_is_gone_on_with() {
    let file = bytes(300_000);
    let body = file.clone();
    let server = Server::start(move |number, request, wire| match number {
        0 => wire.part(request, ETAG, &body, 100_000),
        1 => {
            wire.part(request, ETAG, &body, 200_000)?;
            wire.reset()
        }
        2 => wire.reset(),
        _ => wire.file(request, &body),
    });
    let lab = Lab::new(quick());
    let fetched = lab.fetch_right(&pinned(server.url("/f"), &file), &file);
    assert_eq!(fetched.reused, 0);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].from(), None);
    assert_eq!(requests[1].from(), Some(100_000));
    assert_eq!(requests[1].header("if-range"), Some(ETAG));
    // A reset may destroy what was on its way.
    assert!(requests[2].from() >= Some(100_000) && requests[2].from() <= Some(200_000));
}

#[test]
fn pauses_grow_and_end() {
    let server = Server::start(|_, _, wire| wire.status("503 Busy", &[]));
    let lab = Lab::new(quick());
    let mut progress = Recorder::default();
    let error = lab
        .fetch_with(&unpinned(server.url("/f")), &mut progress)
        .expect_err("busy");
    assert!(
        matches!(
            error,
            FetchError::GaveUp {
                attempts: 4,
                trouble: Trouble::Status(503),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.requests().len(), 4);
    // 1 + 2 + 4 s, up to half of them less.
    let slept = lab.clock.slept().as_secs_f64();
    assert!((3.5..=7.0).contains(&slept), "{slept} s");
    assert_eq!(progress.notes.len(), 3);
    assert!(
        progress.notes[0].contains("status 503"),
        "{:?}",
        progress.notes
    );
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

#[test]
fn retry_after_is_obeyed_within_reason() {
    for (value, seconds) in [
        ("40", 40.0),
        ("Sun, 06 Nov 1994 08:50:17 GMT", 40.0),
        ("86400", 120.0),
    ] {
        for status in ["429 Too Many Requests", "503 Busy", "408 Timeout"] {
            let server = Server::start(move |number, request, wire| match number {
                0 => wire.status(status, &[("Retry-After", value)]),
                _ => wire.file(request, b"x"),
            });
            let lab = Lab::new(quick());
            lab.fetch_right(&unpinned(server.url("/f")), b"x");
            assert_eq!(lab.clock.slept().as_secs_f64(), seconds, "{value}");
        }
    }
}

#[test]
fn a_refusal_is_final() {
    for (status, words) in [
        ("404 Not Found", "status 404: there is no such file"),
        ("410 Gone", "status 410"),
        ("403 Forbidden", "status 403"),
        ("401 Unauthorized", "status 401: it wants a user"),
        ("304 Not Modified", "status 304"),
        ("204 No Content", "status 204"),
        ("206 Partial Content", "status 206"),
    ] {
        let server = Server::start(move |_, _, wire| wire.status(status, &[]));
        let lab = Lab::new(quick());
        let error = lab
            .fetch(&unpinned(server.url("/f")))
            .expect_err("refused")
            .to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains(&server.url("/f")), "{error}");
        assert_eq!(server.requests().len(), 1, "{status}");
        assert!(lab.names().is_empty(), "{:?}", lab.names());
    }
}

#[test]
fn wrong_bytes_are_not_kept() {
    let server = Server::start(|_, request, wire| wire.file(request, b"other bytes"));
    let lab = Lab::new(quick());
    let wanted = pinned(server.url("/f"), b"some bytes");
    let error = lab.fetch(&wanted).expect_err("wrong").to_string();
    let expected = wanted.sha256.as_deref().expect("pinned");
    assert!(error.contains(expected), "{error}");
    assert!(error.contains(&sha256(b"other bytes")), "{error}");
    assert!(error.contains(&wanted.url), "{error}");
    assert_eq!(server.requests().len(), 1);
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

#[test]
fn sizes_are_checked_before_and_while_bytes_come() {
    let file = bytes(200_000);
    for (announced, size, limit, words, most) in [
        (
            true,
            Some(100),
            1 << 30,
            "has 200000 bytes, expected are 100",
            0,
        ),
        (true, None, 1000, "longer than the 1000 bytes", 0),
        (false, Some(100), 1 << 30, "expected are 100", 200_000),
        (false, None, 1000, "longer than the 1000 bytes", 200_000),
    ] {
        let body = file.clone();
        let server = Server::start(move |_, request, wire| match announced {
            true => wire.part(request, ETAG, &body, 0),
            false => {
                wire.head("200 OK", &[])?;
                wire.body(&body)
            }
        });
        let lab = Lab::new(quick());
        let wanted = Wanted {
            size,
            limit,
            ..unpinned(server.url("/f"))
        };
        let error = lab.fetch(&wanted).expect_err("wrong size").to_string();
        assert!(error.contains(words), "{error}");
        assert!(server.sent() <= most, "{}", server.sent());
        assert!(lab.names().is_empty(), "{:?}", lab.names());
    }
}

#[test]
fn a_body_that_ends_early_is_asked_for_again() {
    // Neither length nor chunks: only the wanted size tells.
    let file = bytes(50_000);
    let body = file.clone();
    let server = Server::start(move |number, _, wire| {
        wire.head("200 OK", &[])?;
        wire.body(&body[..if number == 0 { 20_000 } else { 50_000 }])
    });
    let lab = Lab::new(quick());
    let wanted = Wanted {
        size: Some(50_000),
        ..pinned(server.url("/f"), &file)
    };
    lab.fetch_right(&wanted, &file);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn silence_is_an_end_and_a_drip_is_none() {
    let file = bytes(30);
    let body = file.clone();
    let server = Server::start(move |number, request, wire| match number {
        0 => {
            wire.silence();
            Ok(())
        }
        1 => {
            wire.part(request, ETAG, &body, 3)?;
            wire.silence();
            Ok(())
        }
        _ => {
            // Longer than the longest silence, all in all.
            wire.part(request, ETAG, &body, 0)?;
            for byte in &body[request.from().unwrap_or(0)..] {
                thread::sleep(Duration::from_millis(50));
                wire.body(&[*byte])?;
            }
            Ok(())
        }
    });
    let lab = Lab::new(Settings {
        stall_timeout: Duration::from_secs(1),
        // A busy machine may make any server fall silent.
        attempts: 20,
        ..quick()
    });
    let mut progress = Recorder::default();
    let wanted = pinned(server.url("/f"), &file);
    lab.fetch_with(&wanted, &mut progress).expect("at last");
    for note in &progress.notes[..2] {
        assert!(note.contains("nothing came for 1s"), "{note}");
    }
}

#[test]
fn chunks_are_put_together_and_a_missing_end_is_seen() {
    let server = Server::start(|number, _, wire| {
        wire.head("200 OK", &[("Transfer-Encoding", "chunked")])?;
        wire.body(b"4\r\nsome\r\n")?;
        match number {
            0 => Ok(()),
            _ => wire.body(b"3\r\n of\r\n3\r\n it\r\n0\r\n\r\n"),
        }
    });
    let lab = Lab::new(quick());
    lab.fetch_right(&unpinned(server.url("/f")), b"some of it");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_of_the_last_century_will_do() {
    let server = Server::start(|_, _, wire| wire.body(b"HTTP/1.0 200 OK\r\n\r\nx"));
    let lab = Lab::new(quick());
    lab.fetch_right(&unpinned(server.url("/f")), b"x");
}

#[test]
fn ctrl_c_is_answered_while_a_server_is_silent_or_drips() {
    for drip in [false, true] {
        let server = Server::start(move |_, request, wire| {
            wire.part(request, ETAG, &[0; 1000], 1)?;
            if drip {
                loop {
                    thread::sleep(Duration::from_millis(20));
                    wire.body(&[0])?;
                }
            }
            wire.silence();
            Ok(())
        });
        let lab = Lab::new(Settings {
            stall_timeout: Duration::from_secs(600),
            ..quick()
        });
        let mut progress = Recorder {
            stop_at: Some(1),
            ..Recorder::default()
        };
        let began = Instant::now();
        let error = lab
            .fetch_with(&unpinned(server.url("/f")), &mut progress)
            .expect_err("stopped");
        assert!(matches!(error, FetchError::Stopped(_)), "{error}");
        // Far from the 600 s, however busy this machine is.
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn documents_are_read_whole_or_not_at_all() {
    let server = Server::start(|number, request, wire| match number {
        0 => wire.part(request, ETAG, b"a document", 3),
        _ => wire.file(request, b"a document"),
    });
    let lab = Lab::new(quick());
    let read = |limit| {
        lab.client
            .read(&server.url("/d"), limit, &mut Recorder::default())
    };
    assert_eq!(read(10).expect("document"), b"a document");
    let error = read(9).expect_err("too long").to_string();
    assert!(error.contains("longer than the 9 bytes"), "{error}");
}
