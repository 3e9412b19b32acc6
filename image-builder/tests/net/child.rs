//! A downloading process that is killed again and again.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use imgbuild::fetch::{Client, Settings, State};
use imgbuild::progress::Silent;

use crate::lab::{Lab, bytes, pinned, quick};
use crate::server::Server;

/// Enough for several promises of what is kept, at a pace that leaves time to
/// be killed between them.
const LEN: usize = 24 << 20;
const PIECE: usize = 512 << 10;
const PAUSE: Duration = Duration::from_millis(2);

const URL: &str = "IMGBUILD_NET_CHILD_URL";
const INTO: &str = "IMGBUILD_NET_CHILD_INTO";

/// What the process does; it is this program with the name of this test.
#[test]
#[ignore = "started by the test below"]
fn the_process_that_is_killed() {
    let url = env::var(URL).expect(URL);
    let into = env::var(INTO).expect(INTO);
    let client = Client::new(Settings::default()).expect("client");
    client
        .download(&pinned(url, &bytes(LEN)), Path::new(&into), &mut Silent)
        .expect("download");
}

fn start(url: &str, into: &Path) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "--ignored", "child::the_process_that_is_killed"])
        .env(URL, url)
        .env(INTO, into)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("no_proxy")
        .stdout(Stdio::null());
    command.spawn().expect("process")
}

#[test]
fn a_killed_download_goes_on_where_it_was_synced() {
    let file = bytes(LEN);
    let body = file.clone();
    let server = Server::start(move |_, request, wire| {
        let from = request.from().unwrap_or(0);
        // The head of the answer, then the body in pieces.
        wire.part(request, crate::server::ETAG, &body, from)?;
        for piece in body[from..].chunks(PIECE) {
            thread::sleep(PAUSE);
            wire.body(piece)?;
        }
        Ok(())
    });
    let url = server.url("/f");
    let lab = Lab::new(quick());
    let began = Instant::now();
    assert!(start(&url, &lab.file()).wait().expect("wait").success());
    let whole = began.elapsed();
    fs::remove_file(lab.file()).expect("remove");

    let rounds = env::var("IMGBUILD_SOAK_KILLS").map_or(10, |text| text.parse().expect("number"));
    let mut promises = BTreeSet::from([0]);
    for round in 0..rounds {
        promises.insert(promised(&lab));
        let mut child = start(&url, &lab.file());
        thread::sleep(whole.mul_f64(fastrand::f64() / 2.0));
        child.kill().expect("kill -9");
        child.wait().expect("wait");
        if lab.file().exists() {
            assert!(fs::read(lab.file()).expect("file") == file, "round {round}");
            fs::remove_file(lab.file()).expect("remove");
        }
    }

    let last = promised(&lab);
    promises.insert(last);
    let fetched = lab.fetch_right(&pinned(url, &file), &file);
    assert_eq!(fetched.reused, last as u64);
    // In whatever order a busy server took note of them.
    for request in server.requests() {
        let from = request.from().unwrap_or(0);
        assert!(promises.contains(&from), "{from} was never promised");
    }
}

/// Bytes that the leftovers of the last round promise.
fn promised(lab: &Lab) -> usize {
    match fs::read_to_string(lab.dir.path().join(".file.part.toml")) {
        Ok(text) => State::parse(&text).expect("never half a state").kept as usize,
        Err(_) => 0,
    }
}
