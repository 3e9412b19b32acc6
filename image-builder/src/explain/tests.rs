//! Whole explanations as text. `UPDATE_GOLDEN=1 cargo test -p image-builder explain`
//! writes them anew.

use std::path::Path;
use std::{env, fs};

use super::*;
use crate::config::{Draft, load_from};
use crate::lock::Download;

const CLUSTER: &str = r#"version = 1

[cluster]
name = "home"
id = "5e0c0d6e-90a1-4a0b-8b0f-7d3a1c4f2b96"

[network]
subnet = "192.168.4.0/24"
gateway = "192.168.4.1"
search = ["home.arpa"]

[[users]]
name = "admin"
ssh_key_files = ["key.pub"]

[[nodes]]
name = "pi-1"
address = "192.168.4.11"
role = "server"
profile = "plain"

[[nodes]]
name = "pi-2"
address = "192.168.4.12"
role = "agent"
profile = "busy"
mac = "dc:a6:32:01:02:03"
labels = { disk = "nvme" }
"#;

const URL: &str = "https://example.org/base.img.xz";

const BUSY: &str = r#"version = 1
packages = ["open-iscsi", "nfs-common"]
machine_id = "first-boot"
[base]
file = "base.img"
[disk]
root = "32GiB"
data = "rest"
[firmware]
page_size = "16k"
nvme_power = "safe"
pcie_gen = 3
usb_max_current = true
usb_quirks = ["152d:0578:u"]
config_txt = ["dtparam=fan_temp0=55000"]
kernel_words = ["panic=10"]
[[files]]
path = "/etc/secret.conf"
mode = "0600"
content = "hunter2-canary"
[units]
enable = ["fstrim.timer"]
mask = ["bluetooth.service"]
[wifi]
country = "DE"
"#;

fn plan(node: &str, more: &str) -> NodePlan {
    let plain = format!(
        "version = 1\n[base]\nurl = \"{URL}\"\nsha256 = \"{}\"\nsigner = \"{}\"\n",
        "ab".repeat(32),
        "CD".repeat(20)
    );
    let mut draft = Draft::default();
    let cluster = format!("{CLUSTER}{more}");
    let key = include_str!("../../../cluster/keys/example.pub");
    for (path, text) in [
        ("c/cluster.toml", cluster.as_str()),
        ("c/key.pub", key),
        ("p/plain.toml", &plain),
        ("p/busy.toml", BUSY),
    ] {
        draft.0.insert(path.into(), text.as_bytes().to_vec());
    }
    let workspace = load_from(Path::new("c/cluster.toml"), Path::new("p"), &draft);
    workspace.expect("good files").plan(node).expect("a node")
}

/// With what a cluster hands over.
fn beside(kept: Kept) -> Beside {
    Beside {
        kept,
        bootstrap: true,
    }
}

fn golden(name: &str, explanation: &Explanation) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/explain/testdata")
        .join(name);
    let found = explanation.to_string();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &found).expect("written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        wanted,
        "{}; UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

#[test]
fn a_server_of_a_download() {
    let plan = plan("pi-1", "\n[k3s]\nversion = \"v1.35.7+k3s1\"\n");
    golden("unlocked.txt", &explain(&plan, None, beside(Kept::Plain)));
    let lock = Lock {
        base: vec![Download {
            url: URL.into(),
            size: 500 << 20,
            sha256: "ab".repeat(32),
            signer: None,
            digest_from: "the profile".into(),
        }],
        ..Lock::default()
    };
    golden(
        "server.txt",
        &explain(&plan, Some(&lock), beside(Kept::Sealed)),
    );
}

#[test]
fn an_agent_and_a_founder_among_others() {
    let more = "taints = [\"a=b:NoSchedule\"]\n\n[[nodes]]\nname = \"pi-3\"\naddress = \
         \"192.168.4.13\"\nrole = \"server\"\nprofile = \"plain\"\n\n[k3s]\nvip = \
         \"192.168.4.10\"\n";
    golden(
        "founder.txt",
        &explain(&plan("pi-1", more), None, beside(Kept::Sealed)),
    );
    golden(
        "joins.txt",
        &explain(&plan("pi-2", more), None, beside(Kept::Sealed)),
    );
}

#[test]
fn a_node_with_everything_and_without_kubernetes() {
    let explanation = explain(&plan("pi-2", ""), None, beside(Kept::Sealed));
    golden("agent.txt", &explanation);
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["node"], "pi-2");
    assert_eq!(json["image"][0]["topic"], "node");
    assert_eq!(json["first_boot"][0]["name"], "identity");
    // What a file holds may be a secret.
    assert!(!json.to_string().contains("hunter2-canary"));
}

#[test]
fn where_the_bootstrap_is_taken_from() {
    let commit = format!("commit = \"{}\"", "0a".repeat(20));
    let key = include_str!("../config/tests/keys/ed25519.pub").trim();
    for (trust, words) in [
        (commit.as_str(), "from the commit 0a0a"),
        (
            &format!("signers = [\"{key}\"]"),
            "if one of 1 signers signed it",
        ),
        ("", "[gitops] names neither commit nor signers"),
    ] {
        let gitops = format!("[gitops]\nrepository = \"https://git.home.arpa/a.git\"\n{trust}\n");
        let plan = plan("pi-1", &format!("\n[k3s]\n\n{gitops}"));
        let does = |beside| {
            let stages = explain(&plan, None, beside).first_boot;
            let mut found = stages.into_iter().filter(|stage| stage.name == "bootstrap");
            found.next().expect("a stage").does
        };
        let told = does(beside(Kept::Sealed));
        assert!(told.contains(words), "{told}");
        assert_eq!(does(beside(Kept::Plain)), "has nothing to hand over");
    }
}

#[test]
fn the_stages_are_the_agents() {
    let agent = include_str!("../../../firstboot-agent/src/stages/mod.rs");
    let (_, list) = agent
        .split_once("ALL: &[&dyn Stage] = &[")
        .expect("the list");
    let (list, _) = list.split_once("];").expect("its end");
    let theirs: Vec<_> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('&')?.split_once("::"))
        .map(|(module, _)| module)
        .collect();
    let ours: Vec<_> = stages::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, theirs, "explain/stages.rs knows every stage");
}
