//! A node with K3s, from the secrets to the unit that runs: a stand-in takes the
//! place of K3s itself, unless `IMGBUILD_K3S` names a real one for arm64.

use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use base64::Engine as _;
use imgbuild::qemu::{DiskBus, Neighbour};
use node_config::report::{Outcome, State};
use node_config::{ConsoleLine, Report};

use crate::boot::{PATIENCE, Rig, power_off, text, wait_for, wait_until_done};
use crate::lab::{Lab, NODE, stderr};
use crate::supervisor::{Supervisor, read};

const STAND_IN: &str = include_str!("k3s.pl");

/// A lab whose nodes have K3s, with secrets, locked and fetched.
pub(crate) fn lab_with_k3s() -> Option<Lab> {
    let mut lab = Lab::new()?;
    lab.cache = lab.path("cache");
    let release = lab.path("k3s/v1.35.7+k3s1");
    fs::create_dir_all(&release).expect("directory");
    let binary = release.join("k3s-arm64");
    match std::env::var_os("IMGBUILD_K3S") {
        Some(real) => drop(fs::copy(PathBuf::from(real), &binary).expect("the real K3s")),
        None => fs::write(&binary, STAND_IN).expect("binary"),
    }
    let sum = imgbuild::cmd::Cmd::new("sha256sum", "run ci/setup");
    let sum = sum.arg(&binary).run(&[0]).expect("sha256sum").stdout;
    let sum = String::from_utf8(sum).expect("text");
    let sum = sum.split(' ').next().expect("a digest");
    fs::write(
        release.join("sha256sum-arm64.txt"),
        format!("{sum}  k3s-arm64\n"),
    )
    .expect("sums");
    let cluster = lab.path("cluster.toml");
    let text = fs::read_to_string(&cluster).expect("cluster.toml");
    let k3s = format!(
        "[k3s]\n\n[source.mirror]\n\"https://github.com/k3s-io/k3s/releases/download/\" = \"file://{}/\"\n\n[[users]]",
        lab.path("k3s").display()
    );
    fs::write(&cluster, text.replacen("[[users]]", &k3s, 1)).expect("cluster.toml");
    let key = lab.path("key.pub");
    for args in [
        &[
            "secrets",
            "init",
            "--recipient",
            key.to_str().expect("UTF-8"),
        ][..],
        &["lock"],
        &["fetch"],
    ] {
        let output = lab.imgbuild().args(args).output().expect("imgbuild");
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    Some(lab)
}

#[test]
fn the_first_server_founds_its_cluster_and_runs_after_every_boot() {
    let Some(lab) = lab_with_k3s() else { return };
    let image = lab.path("pi-1.img");
    let output = lab
        .imgbuild()
        .args(["build", NODE, "--identity"])
        .arg(lab.path("key"))
        .arg("--output")
        .arg(&image)
        .output()
        .expect("imgbuild");
    assert!(output.status.success(), "{}", stderr(&output));

    let rig = Rig::new(&lab, &image);
    let mut guest = rig.start(DiskBus::Virtio);
    wait_until_done(&mut guest);
    let ssh = rig.ssh(&guest);
    ssh.wait(PATIENCE).expect("login");
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    let report = Report::parse(&run("sudo cat /var/lib/imgbuild/report.json")).expect("report");
    assert_eq!(report.state, State::Done);
    let said = |name: &str| {
        let stage = report.stages.iter().find(|stage| stage.name == name);
        let stage = stage.expect("the stage");
        assert_eq!(stage.outcome, Outcome::Done, "{name}");
        stage.message.clone()
    };
    assert_eq!(said("k3s"), "may start, founder of the cluster");
    assert_eq!(said("join"), "pi-1 is Ready, founder of the cluster");
    let preflight = said("preflight");
    for words in ["memory cgroup on", "pages of 4 KiB"] {
        assert!(preflight.contains(words), "{preflight}");
    }
    // Whether the disk is a slow one depends on what else the machine does.
    let measured = ["fsync in", "to make a write durable"];
    assert!(
        measured.iter().any(|words| preflight.contains(words)),
        "{preflight}"
    );
    // The page is there for some minutes more, and says the same.
    let page = "exec 3<>/dev/tcp/127.0.0.1/8470; printf 'GET /report.json HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3";
    let page = run(&format!("bash -c \"{page}\""));
    let (_, shown) = page.split_once("\r\n\r\n").expect("a page");
    assert_eq!(shown.trim_end(), report.render().trim_end());
    let figures = "p=$(systemctl show -P MainPID firstboot-agent); awk '/VmHWM|VmRSS/' /proc/$p/status; systemctl show -P CPUUsageNSec firstboot-agent";
    eprintln!("the agent: {}", run(figures).replace('\n', ", "));
    assert_eq!(
        run("sudo cat /etc/rancher/k3s/config.yaml.d/10-join.yaml"),
        "cluster-init: true"
    );
    // What only root may read is root's alone, and there is no more of it.
    let secret = "sudo find /etc/rancher /var/lib/rancher ! -type d ! -name '*.crt' ! -name registries.yaml -printf '%m %u %p\\n'";
    for line in run(secret).lines() {
        assert!(line.starts_with("600 root "), "{line}");
    }
    assert_eq!(run("systemd-analyze verify --man=no k3s.service 2>&1"), "");
    assert_eq!(
        run("systemctl is-system-running --wait; systemctl --failed --no-legend"),
        "running"
    );

    // The agent is gone by then: the unit starts by itself.
    power_off(guest, &ssh);
    let guest = rig.start(DiskBus::Virtio);
    let ssh = rig.ssh(&guest);
    ssh.wait(PATIENCE).expect("login");
    let run = |command: &str| text(ssh.run(command).expect("ssh"));
    let active = "systemctl is-system-running --wait >/dev/null; systemctl is-active k3s.service";
    assert_eq!(run(active), "active");
}

/// The join ladder over a real network, from the kernel's TCP to the certificates
/// that the builder minted: the first server is a double outside of the machine.
#[test]
fn an_agent_joins_the_server_that_can_prove_to_be_its_own() {
    let Some(lab) = lab_with_k3s() else { return };
    let [founder, image] = ["pi-1", "pi-2"].map(|node| {
        let image = lab.path(&format!("{node}.img"));
        let mut imgbuild = lab.imgbuild();
        imgbuild.args(["build", node, "--identity"]);
        imgbuild.arg(lab.path("key")).arg("--output").arg(&image);
        let output = imgbuild.output().expect("imgbuild");
        assert!(output.status.success(), "{}", stderr(&output));
        image
    });
    let server = Ipv4Addr::new(192, 168, 4, 11);
    let supervisor = Supervisor::of(&founder, server);
    let bridge = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/bridge.pl");
    let neighbour = Neighbour {
        at: SocketAddrV4::new(server, 6443),
        command: format!("perl {bridge} {}", supervisor.port),
    };
    let rig = Rig::new(&lab, &image);
    let mut guest = rig.start_beside(&[neighbour], DiskBus::Virtio);
    let said = RefCell::new(Vec::new());
    wait_for(&mut guest, PATIENCE, |line| {
        said.borrow_mut().push(line.to_string());
        matches!(line, ConsoleLine::AllDone { .. })
    });
    let said = said.into_inner().join("\n");
    // Not ready, and of this cluster: K3s is let go to it.
    assert!(
        said.contains("k3s done: may start, joining at 192.168.4.11"),
        "{said}"
    );
    assert!(
        said.contains("join done: pi-2 is Ready, joined at 192.168.4.11"),
        "{said}"
    );

    let token = read(&image, "/etc/rancher/k3s/token");
    let (_, pair) = token.trim().split_once("::").expect("a full token");
    let header = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    );
    let seen = supervisor.seen();
    let readyz = format!("/v1-k3s/readyz {header}");
    assert_eq!(
        seen[..4],
        ["/ping", "/cacerts", "/cacerts", readyz.as_str()]
    );
}
