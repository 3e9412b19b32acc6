//! The program of the tree's own chart, run as its image runs it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const SCRIPT: &str =
    "cluster/kube-apps/own-charts/observability/monitoring/pi-exporter/files/exporter.py";

struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn start(host: &Path) -> Self {
        // Free now; nobody else here asks for one in the meantime.
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new("python3")
            .arg(repository().join(SCRIPT))
            .env("HOST_ROOT", host)
            .env("CA_FILE", "/dev/null")
            .env("KUBELET_PORT", "1")
            .env("PORT", port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("python3; ci/setup installs it");
        Self { child, port }
    }

    fn get(&self, path: &str) -> String {
        let begun = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_tells_of_throttling_and_of_a_report_that_the_agent_wrote() {
    use node_config::report::{Outcome, Report, StageReport, State, VERSION};
    let host = tempfile::tempdir().expect("directory");
    let firmware = host
        .path()
        .join("platform/soc@107c000000/soc@107c000000:firmware");
    std::fs::create_dir_all(&firmware).expect("directories");
    // Under-voltage now; under-voltage and throttling since boot.
    std::fs::write(firmware.join("get_throttled"), "50001\n").expect("written");
    let report = Report {
        version: VERSION,
        node: "pi-1".to_owned(),
        image_id: uuid::Uuid::nil(),
        state: State::Failed,
        stages: vec![StageReport {
            name: "disk".to_owned(),
            outcome: Outcome::Failed,
            message: "\"quoted\"".to_owned(),
            attempts: 3,
            seconds: 7,
        }],
    };
    std::fs::create_dir(host.path().join("report")).expect("directory");
    std::fs::write(host.path().join("report/report.json"), report.render()).expect("written");

    let exporter = Exporter::start(host.path());
    let metrics = exporter.get("/metrics");
    for line in [
        "pi_throttled{condition=\"under_voltage\",when=\"now\"} 1",
        "pi_throttled{condition=\"throttled\",when=\"now\"} 0",
        "pi_throttled{condition=\"throttled\",when=\"since_boot\"} 1",
        "imgbuild_first_boot_state{state=\"failed\"} 1",
        "imgbuild_first_boot_state{state=\"done\"} 0",
        "imgbuild_first_boot_stage{stage=\"disk\",outcome=\"failed\"} 1",
        "imgbuild_first_boot_stage_attempts{stage=\"disk\"} 3",
        "imgbuild_first_boot_stage_seconds{stage=\"disk\"} 7",
        "pi_exporter_success{collector=\"first_boot\"} 1",
        // Nobody listens where the kubelet should.
        "pi_exporter_success{collector=\"certificate\"} 0",
    ] {
        assert!(
            metrics.lines().any(|have| have == line),
            "{line}\n{metrics}"
        );
    }
    assert!(exporter.get("/healthz").starts_with("HTTP/1.0 200"));
    assert!(exporter.get("/etc/passwd").starts_with("HTTP/1.0 404"));
}

#[test]
fn what_is_not_there_is_a_metric_too() {
    let host = tempfile::tempdir().expect("directory");
    let metrics = Exporter::start(host.path()).get("/metrics");
    assert!(
        metrics.contains("pi_exporter_success{collector=\"first_boot\"} 0"),
        "{metrics}"
    );
    assert!(!metrics.contains("imgbuild_first_boot_state{"), "{metrics}");
}

#[test]
fn every_metric_of_it_that_rules_and_dashboards_use_is_there() {
    let script = std::fs::read_to_string(repository().join(SCRIPT)).expect("the script");
    let tree = tree();
    let mut used = BTreeSet::new();
    for path in tree.below(MANIFESTS) {
        let text = tree.text(path).expect("text");
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if [
                "pi_throttled",
                "pi_exporter_",
                "imgbuild_first_boot_",
                "k3s_kubelet_",
            ]
            .iter()
            .any(|ours| word.starts_with(ours))
            {
                used.insert(word.to_owned());
            }
        }
    }
    assert!(used.len() >= 6, "{used:?}");
    for name in used {
        let is_made = script.contains(&format!("\"{name}\""))
            || name
                .strip_prefix("imgbuild_first_boot_stage_")
                .is_some_and(|key| script.contains(&format!("(\"{key}\",")));
        assert!(is_made, "nobody makes {name}");
    }
}
