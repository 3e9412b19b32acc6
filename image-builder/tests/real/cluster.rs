//! Clusters: several guests in one network, from their first boots to what happens to
//! them later. K3s is what `k3s` says; only what its documentation promises is asked.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use imgbuild::cmd::Cmd;
use imgbuild::qemu::{Guest, Ssh};
use node_config::report::{Outcome, State};
use node_config::{ConsoleLine, Report};

use crate::boot::{Rig, drain, power_off, text, wait_for};
use crate::k3s::{build, lab_with_k3s_and, patience, real, sha256sum, size};
use crate::lab::{Lab, stderr};
use crate::switch::Switch;

/// Between two nodes of a cluster that are switched on in the wrong order: as long as
/// the boot takes until the first of them asks for the others.
const APART: Duration = Duration::from_secs(15);

/// A node of a cluster, and its machine.
struct Node<'a> {
    rig: Rig<'a>,
    guest: Guest,
    ssh: Ssh,
}

impl<'a> Node<'a> {
    fn start(lab: &'a Lab, name: &str, switch: &Switch) -> Self {
        let image = build(lab, name);
        let rig = Rig::new(lab, &image);
        let guest = rig.start_at(switch, size());
        let ssh = rig.ssh(&guest);
        Self { rig, guest, ssh }
    }

    /// Until the agent's last word; what the stages said when they were done.
    fn done(&mut self) -> Report {
        wait_for(&mut self.guest, patience(), |line| {
            matches!(line, ConsoleLine::AllDone { .. })
        });
        self.ssh.wait(patience()).expect("login");
        let report = Report::parse(&self.run("sudo cat /var/lib/imgbuild/report.json"));
        let report = report.expect("report");
        assert_eq!(report.state, State::Done);
        report
    }

    fn run(&self, command: &str) -> String {
        text(self.ssh.run(command).expect("ssh"))
    }

    /// Asks until it is so.
    fn until(&mut self, command: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + patience();
        loop {
            let output = self.ssh.run(command).expect("ssh");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if is_it(said.trim_end()) {
                return;
            }
            let words = format!("{command}: {said}{}", stderr(&output));
            assert!(Instant::now() < deadline, "{words}");
            drain(&mut self.guest, Duration::from_secs(3));
        }
    }

    /// Every node of the cluster with its condition `Ready`, as this server knows them.
    fn knows(&mut self, expected: &str) {
        let all = "sudo k3s kubectl get nodes --output \
             'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}'";
        self.until(all, |said| said.replace('\n', ", ") == expected);
    }
}

fn said(report: &Report, name: &str) -> String {
    let stage = report.stages.iter().find(|stage| stage.name == name);
    let stage = stage.expect("the stage");
    assert_eq!(stage.outcome, Outcome::Done, "{name}");
    stage.message.clone()
}

const fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 4, last)
}

/// What Argo CD would be installed from, and what it would be told. Not for the real
/// K3s: it would install it, and these nodes have no network to take its images from.
fn with_bootstrap(lab: Lab) -> Lab {
    if real().is_some() {
        return lab;
    }
    for folder in ["charts", "chart/argo-cd", "bootstrap"] {
        fs::create_dir_all(lab.path(folder)).expect("folder");
    }
    let put = |name: &str, text: &str| fs::write(lab.path(name), text).expect(name);
    put(
        "chart/argo-cd/Chart.yaml",
        "apiVersion: v2\nname: argo-cd\nversion: 10.1.1\n",
    );
    let archive = lab.path("charts/argo-cd-10.1.1.tgz");
    let tar = Cmd::new("tar", "run ci/setup").arg("-czf").arg(&archive);
    let tar = tar.arg("-C").arg(lab.path("chart")).arg("argo-cd");
    tar.run(&[0]).expect("tar");
    let digest = sha256sum(&archive);
    put(
        "charts/index.yaml",
        &format!(
            "apiVersion: v1\nentries:\n  argo-cd:\n  - name: argo-cd\n    version: 10.1.1\n    \
             digest: {digest}\n    urls: [argo-cd-10.1.1.tgz]\n"
        ),
    );
    put(
        "charts.toml",
        "version = 1\n\n[[chart]]\nname = \"argo-cd\"\nversion = \"10.1.1\"\n\
         repository = \"https://argoproj.github.io/argo-helm\"\n",
    );
    let values = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/bootstrap");
    for name in ["argocd-values.yaml", "project.yaml", "root.yaml"] {
        fs::copy(values.join(name), lab.path(&format!("bootstrap/{name}"))).expect(name);
    }
    lab
}

/// An agent that is switched on before there is anything to join, and the founder of
/// its cluster, which hands it over to Argo CD.
#[test]
fn an_agent_waits_for_its_founder_and_both_are_ready() {
    let Some(lab) = lab_with_k3s_and(with_bootstrap) else {
        return;
    };
    let switch = Switch::of(&[at(11), at(12)]);
    let mut agent = Node::start(&lab, "pi-2", &switch);
    drain(&mut agent.guest, APART);
    let mut founder = Node::start(&lab, "pi-1", &switch);

    let report = founder.done();
    assert_eq!(said(&report, "k3s"), "may start, founder of the cluster");
    let words = "pi-1 is Ready, founder of the cluster";
    assert_eq!(said(&report, "join"), words);
    let preflight = said(&report, "preflight");
    for words in ["memory cgroup on", "pages of 4 KiB"] {
        assert!(preflight.contains(words), "{preflight}");
    }
    // Whether the disk is a slow one depends on what else the machine does.
    let measured = ["fsync in", "to make a write durable"];
    assert!(
        measured.iter().any(|words| preflight.contains(words)),
        "{preflight}"
    );
    if real().is_none() {
        let well = said(&report, "gitops");
        assert!(well.contains("root is Synced and Healthy"), "{well}");
    }
    assert_page_shows(&founder, &report);
    assert_eq!(
        founder.run("sudo cat /etc/rancher/k3s/config.yaml.d/10-join.yaml"),
        "cluster-init: true"
    );

    let report = agent.done();
    let words = "may start, joining at 192.168.4.11";
    assert_eq!(said(&report, "k3s"), words);
    let words = "pi-2 is Ready, joined at 192.168.4.11";
    assert_eq!(said(&report, "join"), words);
    founder.knows("pi-1 True, pi-2 True");
    for node in [&agent, &founder] {
        assert_secrets_are_roots(node);
    }
    if real().is_none() {
        assert_handed_over(&mut founder);
    }
    assert_eq!(verified(&founder, "k3s.service"), "");
    assert_eq!(verified(&agent, "k3s-agent.service"), "");
    for node in [&agent, &founder] {
        let state = "systemctl is-system-running --wait; systemctl --failed --no-legend";
        assert_eq!(node.run(state), "running");
    }

    // The first-boot agent is gone by then: the unit starts by itself.
    let Node { rig, guest, ssh } = founder;
    power_off(guest, &ssh);
    let guest = rig.start_at(&switch, size());
    let mut founder = Node { rig, guest, ssh };
    founder.ssh.wait(patience()).expect("login");
    founder.until("systemctl is-active k3s.service", |said| said == "active");
    founder.knows("pi-1 True, pi-2 True");
    if real().is_none() {
        let again = "systemctl show -P ConditionResult imgbuild-handover.service";
        assert_eq!(founder.run(again), "no", "handed over twice");
    }
}

/// It is there for some minutes more.
fn assert_page_shows(node: &Node<'_>, report: &Report) {
    let page = "exec 3<>/dev/tcp/127.0.0.1/8470; printf 'GET /report.json HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3";
    let page = node.run(&format!("bash -c \"{page}\""));
    let (_, shown) = page.split_once("\r\n\r\n").expect("a page");
    assert_eq!(shown.trim_end(), report.render().trim_end());
}

/// What only root may read is root's alone, and there is no more of it: what is empty
/// says nothing.
fn assert_secrets_are_roots(node: &Node<'_>) {
    let secret = "sudo find /etc/rancher /var/lib/rancher ! -type d ! -name '*.crt' ! -name registries.yaml \
         ! -path '*/server/static/*' ! -empty -printf '%m %u %p\\n'";
    for line in node.run(secret).lines() {
        assert!(line.starts_with("600 root "), "{line}");
    }
}

/// What hands the cluster over is there as it should be, and has done its work.
fn assert_handed_over(founder: &mut Node<'_>) {
    let server = "/var/lib/rancher/k3s/server";
    let files = format!(
        "cd {server} && sudo find static/charts manifests -name 'argo*' -type f -printf '%m %u %p\\n' | sort"
    );
    let baked = [
        "600 root manifests/argocd-1-chart.yaml",
        "600 root manifests/argocd-2-projects.yaml",
        "600 root manifests/argocd-3-root.yaml",
        "644 root static/charts/argo-cd-10.1.1.tgz",
    ];
    let is_baked = |line: &&str| !line.ends_with(".skip");
    let found = founder.run(&format!("sudo sh -c '{}'", files.replace('\'', "\"")));
    assert_eq!(found.lines().filter(is_baked).collect::<Vec<_>>(), baked);
    assert_eq!(verified(founder, "imgbuild-handover.service"), "");
    let unit = "systemctl show -P Result -P SubState imgbuild-handover.service";
    founder.until(unit, |said| said == "success\ndead");
    let skips = format!("cd {server}/manifests && ls argocd-*.skip");
    let skips = founder.run(&format!("sudo sh -c '{skips}'"));
    let expected = [
        "argocd-1-chart.yaml.skip",
        "argocd-2-projects.yaml.skip",
        "argocd-3-root.yaml.skip",
        "argocd-4-repository.json.skip",
    ];
    assert_eq!(skips.lines().collect::<Vec<_>>(), expected);
}

fn verified(node: &Node<'_>, units: &str) -> String {
    node.run(&format!("systemd-analyze verify --man=no {units} 2>&1"))
}

/// Two servers and an agent.
fn of_three(lab: Lab) -> Lab {
    lab.edit("cluster.toml", |text| {
        let third = "\n[[nodes]]\nname = \"pi-3\"\naddress = \"192.168.4.13\"\nrole = \"agent\"\n\
                     profile = \"lab\"\n";
        text.replace("role = \"agent\"", "role = \"server\"") + third
    });
    lab
}

#[test]
#[ignore = "six boots, three of them side by side: ci/soak"]
fn three_nodes_come_up_in_the_worst_order_and_come_back() {
    let Some(lab) = lab_with_k3s_and(of_three) else {
        return;
    };
    let began = Instant::now();
    let tell = |what: &str| eprintln!("{:>4} s  {what}", began.elapsed().as_secs());
    let switch = Switch::of(&[at(11), at(12), at(13)]);
    let mut third = Node::start(&lab, "pi-3", &switch);
    drain(&mut third.guest, APART);
    let mut second = Node::start(&lab, "pi-2", &switch);
    drain(&mut second.guest, APART);
    let mut first = Node::start(&lab, "pi-1", &switch);
    tell("the agent, the second server and the founder are on");
    let join = said(&first.done(), "join");
    assert_eq!(join, "pi-1 is Ready, founder of the cluster");
    let join = said(&second.done(), "join");
    assert_eq!(join, "pi-2 is Ready, joined at 192.168.4.11");
    let join = said(&third.done(), "join");
    let (what, whom) = join.split_at(join.len() - 1);
    assert_eq!(what, "pi-3 is Ready, joined at 192.168.4.1");
    assert!(["1", "2"].contains(&whom), "{join}");
    for server in [&mut first, &mut second] {
        server.knows("pi-1 True, pi-2 True, pi-3 True");
    }
    tell("all three are Ready, and both servers say so");

    // Whoever comes with its name and another password is not let in.
    let password = "/etc/rancher/node/password";
    third.run(&format!(
        "sudo sh -c 'cp -p {password} /root/kept && echo other >{password} && \
         systemctl --no-block restart k3s-agent'"
    ));
    third.until("journalctl --boot --unit k3s-agent --output cat", |said| {
        said.contains("Node password rejected")
    });
    third.run(&format!(
        "sudo sh -c 'mv /root/kept {password} && systemctl --no-block restart k3s-agent'"
    ));
    third.until("systemctl is-active k3s-agent", |said| said == "active");
    tell("pi-3 with another password was refused");

    // The same node on a new disk: its host keys too, or ssh would not log in.
    let known_hosts = third.ssh.known_hosts.clone();
    let before = fs::read(&known_hosts).expect("known_hosts");
    drop(third);
    let mut third = Node::start(&lab, "pi-3", &switch);
    let report = third.done();
    assert!(said(&report, "join").starts_with("pi-3 is Ready, joined at "));
    assert_eq!(fs::read(&known_hosts).expect("known_hosts"), before);
    first.knows("pi-1 True, pi-2 True, pi-3 True");
    tell("pi-3 was written anew, and is itself");

    // As the owner does before a server's disk goes: etcd lets the member go, and what
    // is left of two has a majority of its own.
    second.run("sudo k3s kubectl delete node pi-1");
    drop(first);
    let mut first = Node::start(&lab, "pi-1", &switch);
    let report = first.done();
    assert_eq!(said(&report, "k3s"), "may start, joining at 192.168.4.12");
    let words = "pi-1 is Ready, joined at 192.168.4.12";
    assert_eq!(said(&report, "join"), words);
    for server in [&mut first, &mut second] {
        server.knows("pi-1 True, pi-2 True, pi-3 True");
    }
    tell("pi-1 was wiped and written anew, and joined instead of founding");

    for node in [first, second, third] {
        let Node { rig, guest, ssh } = node;
        let state = "systemctl is-system-running --wait; systemctl --failed --no-legend";
        assert_eq!(text(ssh.run(state).expect("ssh")), "running");
        power_off(guest, &ssh);
        rig.assert_disk_clean();
    }
}
