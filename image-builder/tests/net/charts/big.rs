//! An index of a hundred megabytes in a process whose memory is measured.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use imgbuild::charts::{Chart, Source, Wanted, resolve};
use imgbuild::fetch::{Client, Settings};
use imgbuild::progress::Silent;
use imgbuild::source::Cache;

use super::shop::{entry, index};
use crate::server::Server;

const URL: &str = "IMGBUILD_CHARTS_BIG_URL";
const CACHE: &str = "IMGBUILD_CHARTS_BIG_CACHE";

const SIZE: u64 = 100 << 20;

/// The most the process may have, in KiB: a sixth of what the text alone has.
const PEAK: u64 = 16 << 10;

/// What the process does; it is this program with the name of this test.
#[test]
#[ignore = "started by the test below"]
#[expect(clippy::print_stdout, reason = "the test that started us reads it")]
fn the_process_that_is_measured() {
    let repository = env::var(URL).expect(URL);
    let list = format!(
        "version = 1\n[[chart]]\nname = \"a\"\nrepository = \"{repository}\"\nversion = \"1.0.0\"\n"
    );
    let charts = Wanted::parse(&list).expect("list").charts;
    let charts: Vec<&Chart> = charts.iter().collect();
    let source = Source {
        client: &Client::new(Settings::default()).expect("client"),
        cache: &Cache::new(env::var(CACHE).expect(CACHE)),
    };
    let found = resolve(&charts, source, &mut Silent).expect("found");
    assert_eq!(found[0].url, format!("{repository}/a.tgz"));
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("peak");
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
}

/// An index as large as this, written as it is asked for; `a` is in its middle.
fn written(wire: &mut crate::server::Wire) -> std::io::Result<u64> {
    wire.head("200 OK", &[])?;
    wire.body(b"apiVersion: v1\nentries:\n")?;
    let mut sent = 0;
    let mut number = 0;
    let mut is_there = false;
    while sent < SIZE {
        let name = format!("chart-{number:05}");
        let entries: Vec<String> = (0..100)
            .map(|minor| {
                let text = entry(
                    &format!("1.{minor}.0"),
                    &format!("{name}-1.{minor}.0.tgz"),
                    name.as_bytes(),
                );
                format!(
                    "{text}    description: |\n      {}\n    maintainers:\n    - name: somebody\n",
                    "words ".repeat(60)
                )
            })
            .collect();
        let mut text = index(&[(&name, &entries)]);
        if !is_there && sent > SIZE / 2 {
            is_there = true;
            text = index(&[(&name, &entries), ("a", &[entry("1.0.0", "a.tgz", b"a")])]);
        }
        let (_, text) = text.split_once("entries:\n").expect("entries");
        let (text, _) = text.rsplit_once("generated:").expect("end");
        wire.body(text.as_bytes())?;
        sent += text.len() as u64;
        number += 1;
    }
    Ok(sent)
}

#[test]
fn an_index_of_a_hundred_megabytes_needs_no_memory_to_speak_of() {
    let server = Server::start(|_, _, wire| written(wire).map(drop));
    let dir = tempfile::tempdir().expect("directory");
    let began = std::time::Instant::now();
    let output = Command::new(env::current_exe().expect("this program"))
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "charts::big::the_process_that_is_measured",
        ])
        .env(URL, server.url("/r"))
        .env(CACHE, dir.path())
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("no_proxy")
        .stderr(Stdio::inherit())
        .output()
        .expect("process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(server.sent() >= SIZE);
    let peak = said
        .lines()
        .find_map(|line| line.split_once("peak "))
        .expect(&said)
        .1;
    let peak: u64 = peak.trim().parse().expect("KiB");
    eprintln!(
        "{} MiB of index: {} KiB at most, {:.1} s",
        server.sent() >> 20,
        peak,
        began.elapsed().as_secs_f64()
    );
    assert!(peak <= PEAK, "{peak} KiB");
}
