//! A new cluster's folder: its files as texts, and how they come to be on the disk:
//! all of them, or none.

mod folder;
mod tree;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use uuid::Uuid;

use crate::config;
use crate::plan::Pool;

pub use folder::{Folder, FolderError};
pub use tree::{Place, REPOSITORY};

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

/// The folder of the cluster file and of the GitOps tree.
pub const TREE: &str = "cluster";

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
    /// The repository that the folder is going to be in, as the cluster reaches it.
    pub repository: String,
}

impl Answers {
    /// Addresses for services, if the subnet has room for some.
    pub fn pool(&self) -> Option<Pool> {
        let nodes = addresses(self).map(|(_, address)| address);
        let taken: Vec<Ipv4Addr> = nodes.chain([self.gateway]).collect();
        tree::pool(self.subnet, &taken)
    }
}

/// The folder's files by their places in it. The cluster file is the last: a folder
/// without it is none of a cluster.
pub fn files(answers: &Answers) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = PROFILES
        .iter()
        .map(|(name, text)| (format!("profiles/{name}.toml").into(), (*text).to_owned()))
        .collect();
    if let Some(pool) = answers.pool() {
        let place = Place {
            repository: answers.repository.clone(),
            pool,
        };
        let tree = tree::files(&place);
        files.extend(tree.map(|(path, text)| (format!("{TREE}/{path}").into(), text)));
    }
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
        ("@GITOPS@", gitops(answers)),
        // The user's own words last: nothing in them is replaced.
        ("@USER@", quoted(&answers.user)),
        ("@NAME@", quoted(&answers.name)),
    ] {
        text = text.replace(key, &value);
    }
    for (index, (name, address)) in addresses(answers).enumerate() {
        let role = match index < answers.servers {
            true => "server",
            false => "agent",
        };
        let _ = write!(
            text,
            "{}[[nodes]]\nname = \"{name}\"\naddress = \"{address}\"\nrole = \"{role}\"\nprofile = \
             \"pi5-ssd\"\n",
            if index == 0 { "" } else { "\n" },
        );
    }
    text
}

/// The nodes' names and addresses, one after the other; the router's is left out.
fn addresses(answers: &Answers) -> impl Iterator<Item = (String, Ipv4Addr)> + use<> {
    let (mut next, gateway) = (u32::from(answers.first), answers.gateway);
    names(answers).map(move |name| {
        if Ipv4Addr::from(next) == gateway {
            next = next.wrapping_add(1);
        }
        let address = Ipv4Addr::from(next);
        next = next.wrapping_add(1);
        (name, address)
    })
}

/// The table that says where the tree is; a node is told of it.
fn gitops(answers: &Answers) -> String {
    let Some(pool) = answers.pool() else {
        return String::new();
    };
    let repository = toml::Value::from(answers.repository.as_str());
    // The example's is nobody's: nothing is handed over to it.
    let mark = match answers.repository == REPOSITORY {
        true => "# ",
        false => "",
    };
    format!(
        "# What the cluster runs is the tree beside this file: docs/PLATFORM.md of imgbuild. The\n\
         # pool is for services: your router must not hand out any of it.\n\
         {mark}[gitops]\n{mark}repository = {repository}\n{mark}pool = \"{pool}\"\n\n"
    )
}
