//! The page as a browser shows it, on a desk and on a phone.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use node_config::Report;
use node_config::report::{self, Outcome, StageReport, State};

use super::Page;

/// A page that shows all there is to show: every outcome, a warning, a program's words
/// that are no sentence, and what must not be taken for markup.
fn shown() -> Report {
    let stage = |(name, outcome, message): &(&str, Outcome, &str)| StageReport {
        name: (*name).into(),
        outcome: *outcome,
        message: (*message).into(),
        attempts: 3,
        seconds: 4711,
    };
    let stages = [
        (
            "identity",
            Outcome::Done,
            "host name pi-1, 2 host keys as baked",
        ),
        (
            "network",
            Outcome::Done,
            "192.168.4.11/24 on eth0, gateway 192.168.4.1 answers ping; warning: no answer from DNS \
             192.168.4.1, so no name is found and nothing can be fetched: correct network.dns in the \
             cluster file, or let UDP port 53 through",
        ),
        (
            "k3s",
            Outcome::Failed,
            "/var/lib/rancher/k3s/agent/images/k3s-airgap-images-arm64.tar.zst is not what the image was \
             made with: <b>write</b> this disk again",
        ),
        (
            "join",
            Outcome::Retrying,
            "k3s.service says \"401 Unauthorized\"",
        ),
        ("packages", Outcome::Running, "unpacking 5/12 open-iscsi"),
        ("finish", Outcome::Pending, ""),
    ];
    Report {
        version: report::VERSION,
        node: "pi-1".into(),
        image_id: uuid::Uuid::nil(),
        state: State::Running,
        stages: stages.iter().map(stage).collect(),
    }
}

/// Opens it in Chromium, which ends by itself.
fn chromium(profile: &Path, more: &[&str], at: SocketAddrV4) -> Output {
    let mut chromium = Command::new("chromium-headless-shell");
    // Its sandbox needs privileges or namespaces that a container may not have. The
    // page is our own.
    chromium.args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
    chromium.args(["--enable-logging=stderr", "--no-first-run"]);
    chromium.arg(format!("--user-data-dir={}", profile.display()));
    chromium.args(more).arg(format!("http://{at}/"));
    let output = chromium.output().expect("install chromium-headless-shell");
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
#[ignore = "needs a browser of 300 MB: ci/soak"]
fn a_browser_shows_it_without_a_complaint() {
    let report = shown();
    let page = Page::default();
    page.show(&report.render());
    let loopback = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let at = page
        .open(loopback, Duration::from_secs(600))
        .expect("opens");
    let profile = tempfile::tempdir().expect("directory");
    let output = chromium(profile.path(), &["--dump-dom"], at);
    let dom = String::from_utf8(output.stdout).expect("text");
    for stage in &report.stages {
        let message = stage.message.replace('<', "&lt;").replace('>', "&gt;");
        assert!(dom.contains(&message), "{}: {dom}", stage.name);
    }
    assert!(dom.contains("the first boot is under way"), "{dom}");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/page");
    std::fs::create_dir_all(&pictures).expect("out/page");
    for (name, size) in [("desk", "1280,800"), ("phone", "360,740")] {
        let picture = pictures.join(format!("{name}.png"));
        let screenshot = format!("--screenshot={}", picture.display());
        let size = format!("--window-size={size}");
        let output = chromium(profile.path(), &[&screenshot, &size], at);
        // What a page says, and what it could not load, it logs as its console's.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("CONSOLE"), "{said}");
        assert!(picture.exists(), "{said}");
    }
}
