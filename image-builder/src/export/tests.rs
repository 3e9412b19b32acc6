//! What is printed, judged by those who read it.

use std::fs;
use std::path::Path;

use super::*;
use crate::cmd::Cmd;
use crate::config::{Draft, parse_cluster};

const HINT: &str = "run ci/setup";

fn cluster() -> ClusterFile {
    let text = include_str!("../../../cluster/cluster.toml");
    let text = format!("{text}mac = \"dc:a6:32:01:02:03\"\n");
    let mut draft = Draft::default();
    let key = include_bytes!("../../../cluster/keys/example.pub").to_vec();
    draft.0.insert("keys/example.pub".into(), key);
    parse_cluster(&text, Path::new("cluster.toml"), &draft).expect("a good file")
}

#[test]
fn hosts_has_the_full_name_first() {
    let text = "\
# Written by `imgbuild export hosts`: home.
192.168.4.11    pi-1.home.arpa pi-1
192.168.4.12    pi-2.home.arpa pi-2
192.168.4.13    pi-3.home.arpa pi-3
";
    assert_eq!(hosts(&cluster()), text);
    let mut nowhere = cluster();
    nowhere.network.search.clear();
    assert!(hosts(&nowhere).contains("\n192.168.4.11    pi-1\n"));
}

#[test]
fn dnsmasq_takes_its_options() {
    let text = "\
# Written by `imgbuild export dnsmasq`: home.
host-record=pi-1.home.arpa,pi-1,192.168.4.11
host-record=pi-2.home.arpa,pi-2,192.168.4.12
dhcp-host=dc:a6:32:01:02:03,192.168.4.13,pi-3
host-record=pi-3.home.arpa,pi-3,192.168.4.13
";
    assert_eq!(dnsmasq(&cluster()), text);
    let dir = tempfile::tempdir().expect("directory");
    let judge = |text: &str, accept: i32| {
        let path = dir.path().join("dnsmasq.conf");
        fs::write(&path, text).expect("written");
        let file = format!("--conf-file={}", path.display());
        let dnsmasq = Cmd::new("dnsmasq", HINT).arg("--test").arg(file);
        dnsmasq.run(&[accept]).expect("its verdict");
    };
    judge(text, 0);
    // It does look.
    judge(&text.replace("192.168.4.13,pi-3", "192.168.4.13,pi 3!"), 1);
}

#[test]
fn named_takes_the_zone() {
    let text = "\
; Written by `imgbuild export zone`: home.
; Records only: `$INCLUDE` this file in the zone of the nodes' domain, and raise
; the serial of that zone when this file changes.
pi-1            IN A 192.168.4.11
pi-2            IN A 192.168.4.12
pi-3            IN A 192.168.4.13
";
    assert_eq!(zone(&cluster()), text);
    let dir = tempfile::tempdir().expect("directory");
    let (zone, records) = (dir.path().join("zone"), dir.path().join("records"));
    fs::write(&records, text).expect("written");
    let around = format!(
        "$TTL 1h\n@ IN SOA ns hostmaster 1 1h 15m 4w 1h\n@ IN NS ns\nns IN A 192.168.4.1\n\
         $INCLUDE {}\n",
        records.display()
    );
    fs::write(&zone, around).expect("written");
    let judge = Cmd::new("named-checkzone", HINT)
        .arg("-D")
        .arg("home.arpa")
        .arg(zone);
    let output = judge.run(&[0]).expect("a good zone");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_pi_3 = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.first() == Some(&"pi-3.home.arpa.") && words.last() == Some(&"192.168.4.13")
    };
    assert!(shown.lines().any(is_pi_3), "{shown}");
}

#[test]
fn ansible_reaches_ssh_with_the_path_as_it_is() {
    let known = KnownHosts::Folder("/home/me/my 100% cluster's keys".into());
    let text = ansible(&cluster(), &known);
    // As Ansible goes about it: YAML, then a shell's words.
    let script = "import json,shlex,sys,yaml\n\
        top = yaml.safe_load(open(sys.argv[1]))['all']\n\
        split = lambda hosts: {name: [host['ansible_host'], \
        shlex.split(host['ansible_ssh_common_args'])] for name, host in hosts.items()}\n\
        groups = {name: split(group.get('hosts', {})) for name, group in top['children'].items()}\n\
        print(json.dumps([top['vars'], groups]))";
    let dir = tempfile::tempdir().expect("directory");
    let read = |text: &str| -> serde_json::Value {
        let path = dir.path().join("inventory.yaml");
        fs::write(&path, text).expect("written");
        let python = Cmd::new("python3", HINT).arg("-c").arg(script).arg(path);
        serde_json::from_slice(&python.run(&[0]).expect("YAML").stdout).expect("JSON")
    };
    let found = read(&text);
    assert_eq!(found[0]["ansible_user"], "admin");
    assert_eq!(
        found[1]["servers"].as_object().map(|hosts| hosts.len()),
        Some(1)
    );
    assert_eq!(found[1]["agents"]["pi-3"][0], "192.168.4.13");
    let options = &found[1]["agents"]["pi-3"][1];
    let file = "UserKnownHostsFile=\"/home/me/my 100%% cluster's keys/pi-3.known_hosts\"";
    let wanted = serde_json::json!(["-o", file, "-o", "StrictHostKeyChecking=yes"]);
    assert_eq!(options, &wanted);

    let mut servers = cluster();
    servers.nodes.truncate(1);
    let found = read(&ansible(&servers, &KnownHosts::File("/k".into())));
    assert_eq!(found[1]["agents"], serde_json::json!({}));
}

#[test]
fn ssh_takes_its_configuration() {
    let known = KnownHosts::Folder("/home/me/my out".into());
    let text = ssh_config(&cluster(), &known);
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("config");
    fs::write(&path, text).expect("written");
    let ssh = Cmd::new("ssh", HINT)
        .arg("-G")
        .arg("-F")
        .arg(path)
        .arg("pi-2");
    let output = ssh.run(&[0]).expect("a good configuration");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "hostname 192.168.4.12",
        "user admin",
        "userknownhostsfile \"/home/me/my out/pi-2.known_hosts\"",
    ] {
        let bare = line.replace('"', "");
        assert!(
            shown.lines().any(|shown| shown == line || shown == bare),
            "{line}: {shown}"
        );
    }
}
