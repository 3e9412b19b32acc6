//! `imgbuild gitops` as it is used, on the tree that `imgbuild init` makes.

use std::fs;
use std::process::{Command, Output, Stdio};

const KEY: &str = include_str!("../../src/config/tests/keys/ed25519.pub");

/// A new cluster's folder.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().expect("temporary directory"));
        fs::write(lab.0.path().join("key.pub"), KEY).expect("key");
        let output = lab.run(&[
            "init",
            "--yes",
            "--no-secrets",
            "--ssh-key",
            "key.pub",
            "--repository",
            "git@git.home.arpa:me/homelab.git",
        ]);
        assert!(output.status.success(), "{}", said(&output));
        // Until the list of charts comes with the tree, it is made here.
        let wanted = lab.0.path().join("cluster/charts.toml");
        if !wanted.exists() {
            let charts = [
                "alloy",
                "argo-cd",
                "base",
                "cert-manager",
                "cloudnative-pg",
                "cni",
                "home-assistant",
                "ingress-nginx",
                "istiod",
                "kube-prometheus-stack",
                "loki",
                "longhorn",
                "metallb",
                "sealed-secrets",
                "stash",
                "velero",
                "ztunnel",
            ];
            let text: String = charts
                .iter()
                .map(|name| format!("[[chart]]\nname = \"{name}\"\n"))
                .collect();
            fs::write(wanted, text).expect("charts.toml");
        }
        lab
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_imgbuild"))
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("imgbuild")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_new_tree_is_good_and_a_mistake_in_it_ends_with_3() {
    let lab = Lab::new();
    let output = lab.run(&["gitops", "check"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout.is_empty());
    let words = said(&output);
    assert!(words.contains("cluster: no problem; "), "{words}");
    assert!(
        words.contains("note: the values of longhorn are not looked at"),
        "{words}"
    );

    let file = lab
        .0
        .path()
        .join("cluster/kube-apps/manifests/home/homepage/homepage/deployment.yaml");
    let text = fs::read_to_string(&file).expect("a manifest");
    fs::write(&file, text.replace("replicas:", "replica:")).expect("written");
    let output = lab.run(&["gitops", "check", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let place = "cluster/kube-apps/manifests/home/homepage/homepage/deployment.yaml:9:3: ";
    assert!(said(&output).contains(&format!("{place}there is no key `replica` here; ")));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["problems"][0]["line"], 9);
    assert!(
        json["applications"]
            .as_array()
            .is_some_and(|all| all.len() > 20)
    );
}

#[test]
fn the_list_says_what_runs() {
    let lab = Lab::new();
    let list = |lab: &Lab| {
        let output = lab.run(&["gitops", "list"]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let state = |list: &str, name: &str| {
        let mut words = list.lines().map(|line| line.split_whitespace());
        let line = words.find(|words| words.clone().nth(1) == Some(name));
        line.and_then(|mut words| words.next()).map(str::to_owned)
    };
    let before = list(&lab);
    assert_eq!(state(&before, "homepage").as_deref(), Some("on"));
    assert_eq!(state(&before, "pihole").as_deref(), Some("off"));

    // An optional set is one line.
    let file = lab.0.path().join("cluster/kube-apps/sets.yaml");
    let text = fs::read_to_string(&file).expect("sets");
    fs::write(&file, text.replace("# - set: pihole", "- set: pihole")).expect("written");
    assert_eq!(state(&list(&lab), "pihole").as_deref(), Some("on"));
    let output = lab.run(&["gitops", "check"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_cluster_files_own_problems_come_first() {
    let lab = Lab::new();
    let file = lab.0.path().join("cluster/cluster.toml");
    let text = fs::read_to_string(&file).expect("a cluster file");
    fs::write(
        &file,
        text.replace("git@git.home.arpa:me", "http://git.home.arpa/me"),
    )
    .expect("written");
    let output = lab.run(&["gitops", "check"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("is not encrypted"),
        "{}",
        said(&output)
    );
}
