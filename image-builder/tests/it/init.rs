//! `imgbuild init` at a terminal: the questions, wrong answers, and a way out.

use std::fs;
use std::path::Path;

use imgbuild::cmd::Cmd;

use crate::terminal::talk;

const SUBNET: &str = "Subnet of the nodes [192.168.4.0/24]: ";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("temporary directory");
    let ssh = home.path().join(".ssh");
    fs::create_dir(&ssh).expect(".ssh");
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    let keygen = keygen
        .iter()
        .fold(Cmd::new("ssh-keygen", "run ci/setup"), |cmd, arg| {
            cmd.arg(*arg)
        });
    keygen.arg(ssh.join("id_ed25519")).run(&[0]).expect("a key");
    home
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).expect("directory").count()
}

#[test]
fn a_few_questions_make_a_cluster() {
    let home = home();
    let turns = [
        ("Name of the cluster [home]: ", "attic"),
        // What it is not, it says, and asks again.
        (SUBNET, "192.168.7"),
        (SUBNET, "192.168.7.0/24"),
        ("Address of the router [192.168.7.1]: ", ""),
        ("Address of the first node [192.168.7.11]: ", "192.168.7.20"),
        ("Servers: 1, 3 or 5 [1]: ", ""),
        ("Agents [2]: ", "1"),
        ("Login name [admin]: ", ""),
        (
            "Git repository this folder will be in [https://git.example.org/homelab.git]: ",
            "",
        ),
        ("id_ed25519.pub]: ", "~/.ssh/id_ed25519.pub"),
        ("New passphrase of the secrets: ", "canary, and long enough"),
        ("Once more: ", "canary, and long enough"),
    ];
    let (code, said) = talk(home.path(), "init attic", &turns);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("write it like this: 192.168.4.0/24"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
    let list = "--cluster attic/cluster/cluster.toml node list";
    let (code, nodes) = talk(home.path(), list, &[]);
    assert_eq!(code, Some(0), "{nodes}");
    assert!(
        nodes.contains("192.168.7.20") && nodes.contains("192.168.7.21"),
        "{nodes}"
    );
    let key = fs::read_to_string(home.path().join(".ssh/id_ed25519.pub")).expect("key");
    let explain = "--cluster attic/cluster/cluster.toml explain pi-1";
    let (code, plan) = talk(home.path(), explain, &[]);
    assert_eq!(code, Some(0), "{plan}");
    let copy = Cmd::new("grep", "").arg("-rqF").arg(key.trim());
    copy.arg(home.path().join("attic"))
        .run(&[0])
        .expect("a copy of the key");
}

#[test]
fn whoever_stops_answering_has_written_nothing() {
    let home = home();
    let before = files(home.path());
    // Ctrl-D at an empty line.
    let turns = [("Name of the cluster [home]: ", "attic"), (SUBNET, "\u{4}")];
    let (code, said) = talk(home.path(), "init attic", &turns);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no answer; nothing is written"), "{said}");
    assert_eq!(files(home.path()), before);
}

#[test]
fn two_passphrases_that_differ_make_nothing() {
    let home = home();
    let before = files(home.path());
    let turns = [
        ("New passphrase of the secrets: ", "canary, and long enough"),
        ("Once more: ", "canary, but another one"),
    ];
    let (code, said) = talk(home.path(), "init attic --yes", &turns);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the two passphrases differ"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(files(home.path()), before);
}
