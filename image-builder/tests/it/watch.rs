//! `imgbuild watch` against doubles of nodes' pages on the loopback network.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use node_config::Report;
use node_config::report::{self, Outcome, StageReport, State};

const KEY: &str = include_str!("../../src/config/tests/keys/ed25519.pub");

/// A cluster of three nodes.
struct Lab(tempfile::TempDir);

/// What a double shows; `None`: it hangs up.
type Shown = Arc<Mutex<Option<String>>>;

/// A node's page, and where it is.
struct Page {
    shown: Shown,
    at: SocketAddr,
}

impl Page {
    fn show(&self, report: Option<String>) {
        *self.shown.lock().expect("no panic") = report;
    }
}

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().expect("directory"));
        fs::write(lab.0.path().join("key.pub"), KEY).expect("key");
        let args = ["init", "--yes", "--ssh-key", "key.pub", "--no-secrets"];
        let output = lab.imgbuild(&args).output().expect("imgbuild");
        assert!(output.status.success(), "{output:?}");
        lab
    }

    fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        command.current_dir(self.0.path()).args(args);
        command.env("HOME", self.0.path()).stdin(Stdio::null());
        command
    }

    /// Watches these nodes at these pages.
    fn watch(&self, nodes: &[(&str, &Page)], more: &[&str]) -> Output {
        let mut watch = self.imgbuild(&["watch"]);
        for (node, page) in nodes {
            watch.arg(node).arg(format!("--page={node}={}", page.at));
        }
        watch.args(more).output().expect("imgbuild")
    }
}

/// A node's page.
fn page(first: Option<String>) -> Page {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let at = listener.local_addr().expect("address");
    let shown = Arc::new(Mutex::new(first));
    let page = Arc::clone(&shown);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.expect("a client"));
            let mut line = String::new();
            while client.read_line(&mut line).is_ok_and(|len| len > 2) {
                line.clear();
            }
            let Some(body) = page.lock().expect("no panic").clone() else {
                continue;
            };
            // Whoever is over by then is not answered.
            let _ = write!(
                client.get_mut(),
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Page { shown, at }
}

fn report(node: &str, state: State, stages: &[(&str, Outcome, &str)]) -> String {
    let stage = |(name, outcome, message): &(&str, Outcome, &str)| StageReport {
        name: (*name).into(),
        outcome: *outcome,
        message: (*message).into(),
        attempts: 1,
        seconds: 0,
    };
    let report = Report {
        version: report::VERSION,
        node: node.into(),
        image_id: uuid::Uuid::nil(),
        state,
        stages: stages.iter().map(stage).collect(),
    };
    report.render()
}

fn done(node: &str) -> String {
    let stages = [
        ("network", Outcome::Done, "up"),
        ("finish", Outcome::Done, ""),
    ];
    report(node, State::Done, &stages)
}

fn retrying(node: &str, message: &str) -> String {
    let stages = [
        ("network", Outcome::Done, "up"),
        ("join", Outcome::Retrying, message),
        ("finish", Outcome::Pending, ""),
    ];
    report(node, State::Running, &stages)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn three_nodes_are_followed_until_all_are_done() {
    let lab = Lab::new();
    let pages = [
        page(Some(done("pi-1"))),
        page(Some(retrying("pi-2", "the token expired: write it again"))),
        page(None),
    ];
    let [first, second, third] = &pages;
    let nodes = [("pi-1", first), ("pi-2", second), ("pi-3", third)];
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(3));
            // The first is done and its page gone; the second was mended; the third
            // comes up at last.
            first.show(None);
            second.show(Some(done("pi-2")));
            third.show(Some(done("pi-3")));
        });
        lab.watch(&nodes, &[])
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let silent = format!(
        "pi-3 {} does not answer: it is off, starting, or was done a while ago",
        third.at
    );
    for line in [
        "pi-1 1/2 network done: up",
        "pi-1 all done",
        "pi-2 2/3 join retrying: the token expired: write it again",
        "pi-2 all done",
        &silent,
        "pi-3 2/2 finish done",
        "pi-3 all done",
    ] {
        let times = said.lines().filter(|said| *said == line).count();
        assert_eq!(times, 1, "{line:?} in {said}");
    }
    assert_eq!(text(&output.stderr), "", "nothing is wrong");
}

#[test]
fn json_is_one_object_a_line() {
    let lab = Lab::new();
    let page = page(Some(done("pi-2")));
    let output = lab.watch(&[("pi-2", &page)], &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [line] = &lines[..] else {
        panic!("{said}");
    };
    assert_eq!(line["node"], "pi-2");
    assert_eq!(line["report"]["stages"][0]["message"], "up");
}

#[test]
fn what_failed_or_takes_too_long_is_named_with_its_last_words() {
    let lab = Lab::new();
    let stages = [("disk", Outcome::Failed, "not its disk: look at it")];
    let failed = page(Some(report("pi-1", State::Failed, &stages)));
    let output = lab.watch(&[("pi-1", &failed)], &[]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        text(&output.stderr),
        "error: the first boot is not done:\n  pi-1  1/1 disk failed: not its disk: look at it\n"
    );
    // One with escape sequences, and one that is somebody else.
    let slow = page(Some(retrying("pi-2", "no \u{1b}[2Jcable")));
    let other = page(Some(done("pi-9")));
    let nodes = [("pi-2", &slow), ("pi-3", &other)];
    let output = lab.watch(&nodes, &["--timeout", "3"]);
    assert_eq!(output.status.code(), Some(7));
    let expected = format!(
        "error: the first boot is not done in time:\n  pi-2  2/3 join retrying: no [2Jcable\n  pi-3  \
         http://{}/report.json is the page of pi-9, which has this node's address\n",
        other.at
    );
    assert_eq!(text(&output.stderr), expected);
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn whoever_is_no_node_is_not_waited_for() {
    let lab = Lab::new();
    let page = page(None);
    let output = lab.watch(&[("pi-7", &page)], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}
