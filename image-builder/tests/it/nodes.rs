//! `imgbuild init`, `node`, `explain` and `export` as they are used: what they
//! change, what they leave alone, and what they say.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use imgbuild::config::{self, Workspace};

const KEY: &str = include_str!("../../src/config/tests/keys/ed25519.pub");

/// A folder, and the program run in it.
struct Lab(tempfile::TempDir);

impl Lab {
    fn empty() -> Self {
        let lab = Self(tempfile::tempdir().expect("temporary directory"));
        fs::write(lab.path("key.pub"), KEY).expect("key");
        lab
    }

    /// With a cluster of three nodes in it, one a server, without a secrets file.
    fn new() -> Self {
        let lab = Self::empty();
        let output = lab.init(&["--no-secrets"]);
        assert!(output.status.success(), "{}", said(&output));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cluster(&self) -> String {
        fs::read_to_string(self.path("cluster/cluster.toml")).expect("cluster.toml")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        // A home without keys: nothing of this machine's user is taken.
        command
            .current_dir(self.0.path())
            .env("HOME", self.0.path());
        for name in ["IDENTITY", "PASSPHRASE", "NEW_PASSPHRASE"] {
            command.env_remove(format!("IMGBUILD_SECRETS_{name}"));
        }
        command.args(args).stdin(std::process::Stdio::null());
        command.output().expect("imgbuild")
    }

    fn good(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        let out = String::from_utf8(output.stdout.clone()).expect("text");
        (out, said(&output))
    }

    /// Fails with this exit code, and changes nothing; what it says.
    fn bad(&self, code: i32, args: &[&str]) -> String {
        let before = self.everything();
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            said(&output)
        );
        assert_eq!(self.everything(), before, "{args:?} changed something");
        said(&output)
    }

    fn init(&self, more: &[&str]) -> Output {
        let args = [&["init", "--yes", "--ssh-key", "key.pub"], more].concat();
        self.run(&args)
    }

    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.0.path().to_owned()];
        let mut all = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                match path.is_dir() {
                    true => {
                        all.push((path.clone(), Vec::new()));
                        folders.push(path);
                    }
                    false => all.push((path.clone(), fs::read(&path).expect("file"))),
                }
            }
        }
        all.sort();
        all
    }

    fn workspace(&self) -> Workspace {
        config::load(&self.path("cluster/cluster.toml"), &self.path("profiles")).expect("good")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_new_cluster_has_no_problem_and_no_warning() {
    let lab = Lab::empty();
    let output = lab.run(&[
        "init",
        "a/home",
        "--name",
        "attic",
        "--subnet",
        "10.1.2.0/26",
        "--gateway",
        "10.1.2.12",
        "--servers",
        "3",
        "--agents",
        "1",
        "--user",
        "jane",
        "--ssh-key",
        "key.pub",
        "--yes",
        "--recipient",
        "key.pub",
        "--first-address",
        "10.1.2.10",
    ]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("cd a/home\n"), "{}", said(&output));
    let home = lab.path("a/home");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        let output = command
            .current_dir(&home)
            .args(args)
            .output()
            .expect("imgbuild");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        (
            String::from_utf8(output.stdout.clone()).expect("text"),
            said(&output),
        )
    };
    let (_, check) = run(&["check"]);
    assert_eq!(
        check,
        "cluster/cluster.toml: no problem; nodes: pi-1, pi-2, pi-3, pi-4\n"
    );
    let (list, _) = run(&["node", "list"]);
    // The gateway's address is passed over.
    assert!(list.contains("pi-3  server  10.1.2.13"), "{list}");
    assert!(list.contains("pi-4  agent   10.1.2.14"), "{list}");
    let (explained, _) = run(&["explain", "pi-4"]);
    assert!(
        explained.contains("kept in the cluster's secrets file"),
        "{explained}"
    );
    let ignored = fs::read_to_string(home.join(".gitignore")).expect(".gitignore");
    assert_eq!(ignored, "out/\ncluster/secrets/\n");
    assert!(home.join("cluster/secrets.age").exists());

    let other = Lab::new();
    let (check, id) = (other.good(&["check"]).1, |text: &str| {
        text.lines()
            .find(|line| line.starts_with("id = "))
            .expect("an id")
            .to_owned()
    });
    assert!(!check.contains("warning"), "{check}");
    let first = fs::read_to_string(home.join("cluster/cluster.toml")).expect("cluster.toml");
    assert_ne!(id(&first), id(&other.cluster()), "each its own");
}

#[test]
fn nothing_is_written_over_or_left_half() {
    let lab = Lab::new();
    let again = lab.bad(
        6,
        &["init", "--yes", "--ssh-key", "key.pub", "--no-secrets"],
    );
    assert!(
        again.contains("cluster/cluster.toml is there already"),
        "{again}"
    );

    let lab = Lab::empty();
    for (code, args, says) in [
        (3, &["--servers", "0"][..], "no node is a server"),
        (3, &["--subnet", "10.42.0.0/24"], "overlaps 10.42.0.0/16"),
        (3, &["--name", "My\"Cluster"], "is not a cluster name"),
        (
            3,
            &["--user", "root"],
            "is an account or group of the system",
        ),
        (1, &["--agents", "101"], "100 nodes are the most"),
        (11, &["--recipient", "nobody"], "recipient"),
        (1, &[], "--recipient"),
    ] {
        let mut all = vec!["init", "--yes", "--ssh-key", "key.pub"];
        if !matches!(code, 11) && !args.is_empty() {
            all.push("--no-secrets");
        }
        all.extend(args);
        let text = lab.bad(code, &all);
        assert!(text.contains(says), "{args:?}: {text}");
    }
    let asked = lab.bad(1, &["init", "--ssh-key", "key.pub"]);
    assert!(asked.contains("write --name, or --yes"), "{asked}");
    let keyless = lab.bad(1, &["init", "--yes"]);
    assert!(keyless.contains("ssh-keygen -t ed25519"), "{keyless}");
    fs::write(
        lab.path("key"),
        "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary",
    )
    .expect("key");
    let private = lab.bad(1, &["init", "--yes", "--ssh-key", "key"]);
    assert!(
        private.contains("is a private key") && !private.contains("canary"),
        "{private}"
    );
    fs::write(lab.path("profiles"), "a file in the way").expect("file");
    let args = ["init", "--yes", "--ssh-key", "key.pub", "--no-secrets"];
    let text = lab.bad(6, &args);
    assert!(text.contains("profiles is there already"), "{text}");
}

#[test]
fn a_node_more_changes_no_other() {
    let lab = Lab::new();
    let mut noted = lab.cluster();
    noted += "# the shelf is full\n";
    fs::write(lab.path("cluster/cluster.toml"), &noted).expect("written");
    let before = lab.workspace();
    let (_, talk) = lab.good(&["node", "add", "pi-4", "--label", "disk=nvme"]);
    assert!(
        talk.contains("next: imgbuild write pi-4 /dev/DISK"),
        "{talk}"
    );
    let after = lab.workspace();
    let names: Vec<_> = before.node_names().collect();
    assert_eq!(names, ["pi-1", "pi-2", "pi-3"]);
    for name in names {
        // An image is a function of this value, the base, the agent and the lock.
        assert_eq!(before.plan(name), after.plan(name), "{name}");
    }
    let new = after.plan("pi-4").expect("pi-4").node;
    assert_eq!(new.address.to_string(), "192.168.4.14/24");
    assert_eq!(new.labels["disk"], "nvme");
    assert!(!lab.path("cluster/secrets").exists(), "no key is made");

    let (_, talk) = lab.good(&["node", "retire", "pi-4"]);
    assert!(talk.contains("kubectl drain pi-4"), "{talk}");
    assert_eq!(lab.cluster(), noted);
}

#[test]
fn what_cannot_be_a_node_is_refused() {
    let lab = Lab::new();
    let other = lab
        .cluster()
        .replace("192.168.4.1", "192.168.4.10")
        .replace("id = \"", "id = \"f");
    fs::write(lab.path("cluster/lab.toml"), other).expect("written");
    for (args, says) in [
        (&["pi-2"][..], "the name pi-2 is taken already"),
        (&["Pi_4"], "\"Pi_4\" is not a host name; write \"pi-4\""),
        (&["localhost"], "`localhost` is every machine's"),
        (
            &["pi-4", "--address", "192.168.4.12"],
            "192.168.4.12 is taken already",
        ),
        (
            &["pi-4", "--address", "192.168.4.1"],
            "is the gateway's address",
        ),
        (&["pi-4", "--address", "192.168.4.255"], "broadcast"),
        (&["pi-4", "--address", "10.0.0.1"], "is outside the subnet"),
        (
            &["pi-4", "--address", "192.168.4.101"],
            "of another cluster, in cluster/lab.toml",
        ),
        (
            &["pi-4", "--profile", "pi5-sdd"],
            "did you mean \"pi5-ssd\"?",
        ),
        (&["pi-4", "--mac", "ff:ff:ff:ff:ff:ff"], "multicast"),
        (&["pi-4", "--label", "kubernetes.io/x=y"], "kubernetes.io/x"),
    ] {
        let text = lab.bad(3, &[&["node", "add"], args].concat());
        assert!(text.contains(says), "{args:?}: {text}");
    }
    lab.bad(2, &["node", "add", "pi-4", "--label", "nvme"]);
    lab.bad(2, &["node", "add", "pi-4", "--address", "192.168.4"]);
    for action in [&["retire"][..], &["show"], &["replace"]] {
        let text = lab.bad(3, &[&["node"], action, &["pi-9"]].concat());
        assert!(text.contains("there is no node \"pi-9\""), "{text}");
    }
    let last = lab.bad(3, &["node", "retire", "pi-1"]);
    assert!(last.contains("pi-1 is the cluster's last server"), "{last}");

    let (_, talk) = lab.good(&["node", "add", "pi-4", "--role", "server"]);
    assert!(
        talk.contains("with 2 servers no more may fail than with 1"),
        "{talk}"
    );
    let (_, talk) = lab.good(&["node", "retire", "pi-1"]);
    assert!(!talk.contains("warning"), "{talk}");
}

#[test]
fn nodes_are_shown() {
    let lab = Lab::new();
    let (json, _) = lab.good(&["node", "show", "pi-2", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(shown["address"], "192.168.4.12");
    assert_eq!(shown["disk"]["root"], "32GiB");
    assert_eq!(shown["host_keys"], serde_json::json!([]));
    let id = shown["ids"]["disk"].as_str().expect("an id").to_owned();
    let (text, _) = lab.good(&["node", "show", "pi-2"]);
    assert!(text.contains(&format!("disk       GPT {id}")), "{text}");
    let (json, _) = lab.good(&["node", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(list[2]["name"], "pi-3");
    let (json, _) = lab.good(&["explain", "pi-1", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(explained["first_boot"][0]["name"], "identity");
    for what in ["hosts", "dnsmasq", "zone", "ansible", "ssh-config"] {
        let (text, _) = lab.good(&["export", what]);
        assert!(text.contains("192.168.4.13"), "{what}: {text}");
    }
}

#[test]
fn other_hardware_is_the_same_node_unless_it_is_not_to_be() {
    let lab = Lab::empty();
    let keygen = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(lab.path("mine"))
        .status();
    assert!(keygen.expect("ssh-keygen").success());
    let output = lab.init(&["--recipient", "mine.pub"]);
    assert!(output.status.success(), "{}", said(&output));
    let keys = || lab.good(&["export", "known-hosts", "--identity", "mine"]).0;
    let before = keys();
    assert_eq!(before.lines().count(), 6, "{before}");

    let sealed = fs::read(lab.path("cluster/secrets.age")).expect("secrets");
    let (_, talk) = lab.good(&["node", "replace", "pi-2", "--mac", "dc:a6:32:01:02:03"]);
    assert!(
        talk.contains("keeps its name") && talk.contains("write pi-2"),
        "{talk}"
    );
    assert!(lab.cluster().contains("mac = \"dc:a6:32:01:02:03\""));
    assert_eq!(
        fs::read(lab.path("cluster/secrets.age")).expect("secrets"),
        sealed
    );

    lab.bad(
        11,
        &[
            "node",
            "replace",
            "pi-2",
            "--new-identity",
            "--identity",
            "key.pub",
        ],
    );
    let args = [
        "node",
        "replace",
        "pi-2",
        "--new-identity",
        "--identity",
        "mine",
    ];
    let (_, talk) = lab.good(&args);
    assert!(talk.contains("kubectl delete node pi-2"), "{talk}");
    let after = keys();
    for (old, new) in before.lines().zip(after.lines()) {
        assert_eq!(old == new, !old.starts_with("pi-2,"), "{old}");
    }

    // Kept for a node that comes back, unless they are to be forgotten.
    lab.good(&["node", "retire", "pi-2"]);
    lab.good(&["node", "add", "pi-2", "--address", "192.168.4.12"]);
    let same = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(same(&keys()), same(&after));
    lab.good(&[
        "node",
        "retire",
        "pi-2",
        "--forget-secrets",
        "--identity",
        "mine",
    ]);
    lab.good(&["node", "add", "pi-2", "--address", "192.168.4.12"]);
    assert!(!keys().contains("pi-2,"));
}
