//! A new cluster's folder: its files as texts, and how they come to be on the disk:
//! all of them, or none.

mod folder;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use uuid::Uuid;

use crate::config;

pub use folder::{Folder, FolderError};

/// The profiles that come with imgbuild, for real hardware.
const PROFILES: [(&str, &str); 2] = [
    ("pi5-ssd", include_str!("../../../profiles/pi5-ssd.toml")),
    (
        "pi5-ssd-bookworm",
        include_str!("../../../profiles/pi5-ssd-bookworm.toml"),
    ),
];

/// What has no place in Git: images, and plain keys of a cluster without a secrets
/// file.
pub const IGNORED: [&str; 2] = ["out/", "cluster/secrets/"];

/// The cluster file's place in the folder.
pub const CLUSTER: &str = "cluster/cluster.toml";

/// What somebody wants. Nothing of it is checked here: `config` does, before
/// anything is written.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The cluster's name.
    pub name: String,
    /// Its id: a new one.
    pub id: Uuid,
    /// The subnet of the nodes.
    pub subnet: Ipv4Net,
    /// The router.
    pub gateway: Ipv4Addr,
    /// The first node's address; the others follow.
    pub first: Ipv4Addr,
    /// How many servers.
    pub servers: usize,
    /// How many agents.
    pub agents: usize,
    /// The account.
    pub user: String,
    /// The text of its file of public keys.
    pub keys: String,
}

/// The folder's files by their places in it. The cluster file is the last: a folder
/// without it is none of a cluster.
pub fn files(answers: &Answers) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = PROFILES
        .iter()
        .map(|(name, text)| (format!("profiles/{name}.toml").into(), (*text).to_owned()))
        .collect();
    files.push((".gitignore".into(), ignored()));
    files.push((format!("cluster/{KEYS}").into(), answers.keys.clone()));
    files.push((CLUSTER.into(), cluster(answers)));
    files
}

/// The user's keys, beside the cluster file. Not named after the user: a name that
/// is none would be a path that is none.
const KEYS: &str = "keys/login.pub";

/// The names of the nodes.
pub fn names(answers: &Answers) -> impl Iterator<Item = String> + use<> {
    (1..=answers.servers + answers.agents).map(|number| format!("pi-{number}"))
}

fn ignored() -> String {
    IGNORED.map(|line| format!("{line}\n")).concat()
}

fn cluster(answers: &Answers) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = include_str!("cluster.txt").to_owned();
    for (key, value) in [
        ("@ID@", answers.id.to_string()),
        ("@SUBNET@", answers.subnet.to_string()),
        ("@GATEWAY@", answers.gateway.to_string()),
        ("@K3S@", config::k3s_default()),
        ("@KEY@", quoted(KEYS)),
        // The user's own words last: nothing in them is replaced.
        ("@USER@", quoted(&answers.user)),
        ("@NAME@", quoted(&answers.name)),
    ] {
        text = text.replace(key, &value);
    }
    let mut address = u32::from(answers.first);
    for (index, name) in names(answers).enumerate() {
        let role = match index < answers.servers {
            true => "server",
            false => "agent",
        };
        if Ipv4Addr::from(address) == answers.gateway {
            address = address.wrapping_add(1);
        }
        let _ = write!(
            text,
            "{}[[nodes]]\nname = \"{name}\"\naddress = \"{}\"\nrole = \"{role}\"\nprofile = \
             \"pi5-ssd\"\n",
            if index == 0 { "" } else { "\n" },
            Ipv4Addr::from(address),
        );
        address = address.wrapping_add(1);
    }
    text
}
