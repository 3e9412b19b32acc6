//! Which way to a file: redirects, logins, proxies, mirrors, files, none.

use std::fs;

use imgbuild::fetch::{Client, FetchError, Mirror, Settings, Wanted};

use crate::lab::{Lab, Recorder, pinned, quick, unpinned};
use crate::server::Server;

#[test]
fn logins_go_to_their_own_host_only() {
    let other = Server::start(|_, request, wire| wire.file(request, b"x"));
    let there = other.url("/there");
    let server = Server::start(
        move |_, request, wire| match request.line.split(' ').nth(1) {
            Some("/away") => wire.status("302 Found", &[("Location", &there)]),
            Some("/near") => wire.status("307 Temporary", &[("Location", "/here")]),
            _ => wire.file(request, b"x"),
        },
    );
    let lab = Lab::new(quick());
    let with_login = |path| server.url(path).replace("http://", "http://me:hunter2@");
    for path in ["/away", "/near"] {
        lab.fetch_right(&unpinned(with_login(path)), b"x");
    }
    let login = Some("Basic bWU6aHVudGVyMg==");
    for request in server.requests() {
        assert_eq!(request.header("authorization"), login, "{}", request.line);
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(other.requests().len(), 1);
    assert_eq!(other.requests()[0].header("authorization"), None);
}

#[test]
fn no_error_and_no_note_shows_a_password() {
    let server = Server::start(|number, _, wire| match number % 3 {
        0 => wire.status("503 Busy", &[]),
        1 => wire.status(
            "302 Found",
            &[("Location", "ftp://me:hunter2@h/?k=hunter2")],
        ),
        _ => wire.status("403 Forbidden", &[]),
    });
    let url = server.url("/f?key=hunter2");
    let url = url.replace("http://", "http://me:hunter2@");
    let lab = Lab::new(quick());
    let mut progress = Recorder::default();
    for _ in 0..2 {
        let error = lab
            .fetch_with(&unpinned(url.clone()), &mut progress)
            .expect_err("refused");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
    assert_eq!(progress.notes.len(), 1);
    assert!(
        !progress.notes[0].contains("hunter2"),
        "{:?}",
        progress.notes
    );
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::start(|_, _, wire| wire.status("301 Moved", &[("Location", "/f")]));
    let lab = Lab::new(quick());
    let error = lab.fetch(&unpinned(server.url("/f"))).expect_err("circle");
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn plain_http_goes_through_a_proxy_in_absolute_form() {
    let proxy = Server::start(|number, request, wire| match number {
        0 => wire.part(request, crate::server::ETAG, b"through", 3),
        _ => wire.file(request, b"through"),
    });
    let url = format!("http://me:hunter2@{}/", proxy.host());
    let lab = Lab::with_env(quick(), &[("http_proxy", &url), ("no_proxy", "")]);
    // A name that only the proxy can know.
    lab.fetch_right(&unpinned("http://mirror.invalid/f?a=b".into()), b"through");
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.line, "GET http://mirror.invalid/f?a=b HTTP/1.1");
        assert_eq!(request.header("host"), Some("mirror.invalid"));
        let login = request.header("proxy-authorization");
        assert_eq!(login, Some("Basic bWU6aHVudGVyMg=="));
    }
}

#[test]
fn hosts_of_no_proxy_are_met_without_it() {
    let server = Server::start(|_, request, wire| wire.file(request, b"x"));
    let env = [
        ("all_proxy", "http://me:hunter2@proxy.invalid:1"),
        ("no_proxy", "127.0.0.1"),
    ];
    let lab = Lab::with_env(quick(), &env);
    lab.fetch_right(&unpinned(server.url("/f")), b"x");
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /f HTTP/1.1");
    assert_eq!(request.header("proxy-authorization"), None);
}

#[test]
fn encrypted_urls_ask_a_proxy_for_a_tunnel() {
    let proxy = Server::start(|_, _, wire| wire.status("403 Forbidden", &[]));
    let lab = Lab::with_env(
        Settings {
            attempts: 1,
            ..quick()
        },
        &[("https_proxy", &proxy.url(""))],
    );
    let wanted = unpinned("https://mirror.invalid/f".into());
    lab.fetch(&wanted).expect_err("no tunnel");
    let line = &proxy.requests()[0].line;
    assert_eq!(line, "CONNECT mirror.invalid:443 HTTP/1.1");
}

#[test]
fn a_mirror_takes_the_place_of_its_original() {
    let server = Server::start(|_, request, wire| wire.file(request, b"x"));
    let settings = Settings {
        mirrors: vec![Mirror {
            from: "https://deb.example.org/debian".into(),
            to: server.url("/mirror"),
        }],
        ..quick()
    };
    let lab = Lab::new(settings);
    let wanted = unpinned("https://deb.example.org/debian/pool/a.deb".into());
    lab.fetch_right(&wanted, b"x");
    let line = &server.requests()[0].line;
    assert_eq!(line, "GET /mirror/pool/a.deb HTTP/1.1");
}

#[test]
fn files_are_copied_and_checked_like_downloads() {
    let lab = Lab::new(quick());
    let from = tempfile::tempdir().expect("directory");
    let path = from.path().join("a b");
    fs::write(&path, "content").expect("write");
    let url = format!("file://{}/a%20b", from.path().display());
    lab.fetch_right(&pinned(url.clone(), b"content"), b"content");
    fs::remove_file(lab.file()).expect("remove");
    let small = Wanted {
        limit: 3,
        ..unpinned(url.clone())
    };
    for (wanted, words) in [
        (pinned(url.clone(), b"other"), "sha256"),
        (small, "longer than the 3 bytes"),
        (
            unpinned(url.replace("%20", "%21")),
            "a!b failed: No such file",
        ),
        (unpinned("file://server/a".into()), "another machine"),
    ] {
        let error = lab.fetch(&wanted).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        assert!(lab.names().is_empty(), "{:?}", lab.names());
    }
}

#[test]
fn offline_uses_what_is_here_and_names_what_is_not() {
    let server = Server::start(|_, request, wire| wire.file(request, b"x"));
    let here = tempfile::tempdir().expect("directory");
    fs::write(here.path().join("f"), "x").expect("write");
    let settings = Settings {
        offline: true,
        mirrors: vec![Mirror {
            from: "https://mirrored.example.org/".into(),
            to: format!("file://{}/", here.path().display()),
        }],
        ..quick()
    };
    let lab = Lab::new(settings);
    let wanted = pinned(server.url("/f"), b"x");
    let error = lab.fetch(&wanted).expect_err("offline").to_string();
    assert!(
        error.contains(&wanted.url) && error.contains("offline"),
        "{error}"
    );
    assert!(lab.names().is_empty(), "{:?}", lab.names());
    let read = lab.client.read(&wanted.url, 10, &mut Recorder::default());
    assert!(matches!(read, Err(FetchError::Offline(_))), "{read:?}");
    lab.fetch_right(&unpinned("https://mirrored.example.org/f".into()), b"x");
    // It is here now, wherever it came from.
    assert_eq!(lab.fetch_right(&wanted, b"x").reused, 1);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn settings_that_are_no_good_are_refused_at_once() {
    let file = tempfile::NamedTempFile::new().expect("file");
    fs::write(file.path(), "no certificate").expect("write");
    let settings = Settings {
        ca_file: Some(file.path().into()),
        ..Settings::default()
    };
    let error = Client::new(settings)
        .expect_err("no certificate")
        .to_string();
    assert!(
        error.contains(&file.path().display().to_string()),
        "{error}"
    );
    assert!(error.contains("must be PEM"), "{error}");
}
