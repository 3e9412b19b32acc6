//! `imgbuild watch` against doubles of nodes' pages, each at an address of its own on
//! the loopback network.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use node_config::report::{self, Outcome, StageReport, State};
use node_config::{Report, paths};

const KEY: &str = include_str!("../../src/config/tests/keys/ed25519.pub");

/// A cluster of three nodes on the loopback network, `127.HOME.0.11` and on: a
/// network for each test, for all pages have one port.
struct Lab {
    dir: tempfile::TempDir,
    home: u8,
}

/// What a double shows; `None`: it hangs up.
type Shown = Arc<Mutex<Option<String>>>;

impl Lab {
    fn new(home: u8) -> Self {
        let lab = Self {
            dir: tempfile::tempdir().expect("directory"),
            home,
        };
        fs::write(lab.dir.path().join("key.pub"), KEY).expect("key");
        let subnet = format!("127.{home}.0.0/24");
        let args = ["init", "--yes", "--ssh-key", "key.pub", "--no-secrets"];
        let mut init = lab.imgbuild(&args);
        let output = init.args(["--subnet", &subnet]).output().expect("imgbuild");
        assert!(output.status.success(), "{output:?}");
        lab
    }

    fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        command.current_dir(self.dir.path()).args(args);
        command.env("HOME", self.dir.path()).stdin(Stdio::null());
        command
    }

    fn watch(&self, args: &[&str]) -> Output {
        let args = [&["watch"], args].concat();
        self.imgbuild(&args).output().expect("imgbuild")
    }

    /// A node's page.
    fn node(&self, number: u8, first: Option<String>) -> Shown {
        let address = Ipv4Addr::new(127, self.home, 0, 10 + number);
        let listener = TcpListener::bind((address, paths::PAGE_PORT)).expect("loopback");
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
        shown
    }
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
    let lab = Lab::new(81);
    let first = lab.node(1, Some(done("pi-1")));
    let second = lab.node(
        2,
        Some(retrying("pi-2", "the token expired: write it again")),
    );
    let third = lab.node(3, None);
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_secs(3));
        // The first is done and its page gone; the second was mended; the third
        // comes up at last.
        *first.lock().expect("no panic") = None;
        *second.lock().expect("no panic") = Some(done("pi-2"));
        *third.lock().expect("no panic") = Some(done("pi-3"));
    });
    let output = lab.watch(&[]);
    later.join().expect("changed");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for line in [
        "pi-1 1/2 network done: up",
        "pi-1 all done",
        "pi-2 2/3 join retrying: the token expired: write it again",
        "pi-2 all done",
        "pi-3 127.81.0.13:8470 does not answer: it is off, starting, or was done a while ago",
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
    let lab = Lab::new(82);
    let _page = lab.node(2, Some(done("pi-2")));
    let output = lab.watch(&["--json", "pi-2"]);
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
    let lab = Lab::new(83);
    let stages = [("disk", Outcome::Failed, "not its disk: look at it")];
    let _failed = lab.node(1, Some(report("pi-1", State::Failed, &stages)));
    let output = lab.watch(&["pi-1"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        text(&output.stderr),
        "error: the first boot is not done:\n  pi-1  1/1 disk failed: not its disk: look at it\n"
    );
    // One with escape sequences, and one that is somebody else.
    let _slow = lab.node(2, Some(retrying("pi-2", "no \u{1b}[2Jcable")));
    let _other = lab.node(3, Some(done("pi-9")));
    let output = lab.watch(&["--timeout", "3", "pi-2", "pi-3"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        text(&output.stderr),
        "error: the first boot is not done in time:\n  pi-2  2/3 join retrying: no [2Jcable\n  \
         pi-3  http://127.83.0.13:8470/report.json is the page of pi-9, which has this node's \
         address\n"
    );
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn whoever_is_no_node_is_not_waited_for() {
    let lab = Lab::new(84);
    let output = lab.watch(&["pi-7"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}
