//! A node with K3s, from the secrets to the unit that runs: a stand-in takes the
//! place of K3s itself, unless `IMGBUILD_K3S` names a real one for arm64.

use std::fs;
use std::path::PathBuf;

use imgbuild::qemu::DiskBus;
use node_config::Report;
use node_config::report::{Outcome, State};

use crate::boot::{PATIENCE, Rig, power_off, text, wait_until_done};
use crate::lab::{Lab, NODE, stderr};

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
    let stage = report.stages.iter().find(|stage| stage.name == "k3s");
    let stage = stage.expect("the stage");
    assert_eq!(stage.outcome, Outcome::Done);
    assert_eq!(
        stage.message,
        "k3s.service is running, founder of the cluster"
    );
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
