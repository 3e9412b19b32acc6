//! `cluster.toml` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one;
use crate::config::field::{Field, Texts};

/// One cluster: what its nodes have in common, and the nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "imgbuild cluster file")]
pub(crate) struct ClusterFile {
    /// Version of this file's format.
    #[schemars(range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "checked before anything else is read")]
    version: Field<u32>,
    /// The cluster itself.
    pub(crate) cluster: Field<Cluster>,
    /// The network all nodes are in.
    pub(crate) network: Field<Network>,
    /// Language, time zone and keyboard of every node.
    #[serde(default = "Field::<Locale>::of_default")]
    pub(crate) locale: Field<Locale>,
    /// The Kubernetes of the cluster; without it the nodes are plain Linux.
    #[serde(default)]
    pub(crate) k3s: Field<K3s>,
    /// Where Argo CD finds what the cluster runs; without it nothing is handed over.
    #[serde(default)]
    pub(crate) gitops: Field<GitOps>,
    /// How downloads reach this machine.
    #[serde(default = "Field::<Source>::of_default")]
    pub(crate) source: Field<Source>,
    /// Release images, and whose are used.
    #[serde(default = "Field::<Release>::of_default")]
    pub(crate) release: Field<Release>,
    /// The accounts on every node; at least one.
    pub(crate) users: Field<Vec<Field<User>>>,
    /// The nodes; at least one with the role `server`.
    pub(crate) nodes: Field<Vec<Field<Node>>>,
}

/// The cluster itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Cluster {
    /// Its name: lower-case letters, digits and inner hyphens.
    #[schemars(example = &"home")]
    pub(crate) name: Field<String>,
    /// A UUID of its own, made once with `uuidgen`. Disk and file-system ids
    /// come from it: never change it once nodes exist.
    #[schemars(example = &"5e0c0d6e-90a1-4a0b-8b0f-7d3a1c4f2b96")]
    pub(crate) id: Field<String>,
}

/// The network all nodes are in.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Network {
    /// The IPv4 subnet, /8 to /30.
    #[schemars(example = &"192.168.4.0/24")]
    pub(crate) subnet: Field<String>,
    /// The router's address, inside the subnet.
    #[schemars(example = &"192.168.4.1")]
    pub(crate) gateway: Field<String>,
    /// Name servers, in the order they are asked. Left out, the gateway is
    /// asked: a home router is the name server too.
    #[serde(default)]
    #[schemars(example = one("192.168.4.1"))]
    pub(crate) dns: Texts,
    /// Domains tried for short names. None by default: pods inherit them and
    /// would ask for every name once more per domain.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one("home.arpa"))]
    pub(crate) search: Texts,
    /// Time servers, names or addresses. None by default: the base system
    /// brings a public pool.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one("192.168.4.1"))]
    pub(crate) ntp: Texts,
}

/// Language, time zone and keyboard of every node.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Locale {
    /// The system's language. `C.UTF-8` needs no generated locale and gives
    /// every node the same, searchable messages.
    #[schemars(example = &"C.UTF-8")]
    pub(crate) lang: Field<String>,
    /// Time zone, `UTC` or `Area/City`. With `UTC` the logs of all nodes line
    /// up, also on the night the clocks change.
    #[schemars(example = &"Europe/Berlin")]
    pub(crate) timezone: Field<String>,
    /// Keyboard layout of the console. A node rarely sees a keyboard; `us` is
    /// what is printed on most.
    #[schemars(example = &"us")]
    pub(crate) keyboard: Field<String>,
}

impl Default for Locale {
    fn default() -> Self {
        let text = |value: &str| Field::of(value.to_owned());
        Self {
            lang: text("C.UTF-8"),
            timezone: text("UTC"),
            keyboard: text("us"),
        }
    }
}

/// The Kubernetes of the cluster, the same on every node.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct K3s {
    /// Release. The default is of the newest minor version that Longhorn is
    /// tested with.
    #[schemars(example = &"v1.35.7+k3s1")]
    pub(crate) version: Field<String>,
    /// Bake the images of K3s' own containers in too: a few hundred MiB more,
    /// and a node that starts without the internet.
    #[schemars(example = true)]
    pub(crate) airgap: Field<bool>,
    /// More names and addresses of the API, for its certificate. The servers' own
    /// are in it anyway.
    #[schemars(example = one("k3s.home.arpa"))]
    pub(crate) tls_san: Texts,
    /// An address in the subnet that moves between the servers, for those who use
    /// the API: kube-vip, which Argo CD installs, announces it. No node needs it
    /// to join.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(example = &"192.168.4.10")]
    pub(crate) vip: Field<String>,
    /// What K3s brings and is not to install: MetalLB and the ingress of the
    /// cluster's own tree take the place of the first two. Of `coredns`,
    /// `servicelb`, `traefik`, `local-storage`, `metrics-server`, `runtimes`.
    #[schemars(example = one("servicelb"))]
    pub(crate) disable: Texts,
    /// Nodes take container images from one another before they ask a registry.
    #[schemars(example = false)]
    pub(crate) registry_mirror: Field<bool>,
    /// When servers save etcd to their own disk, as cron(5) writes it.
    #[schemars(example = &"0 3 * * *")]
    pub(crate) snapshot_schedule: Field<String>,
    /// How many of these each server keeps.
    #[schemars(range(min = 1, max = 1000), example = 14)]
    pub(crate) snapshot_keep: Field<u32>,
}

impl Default for K3s {
    fn default() -> Self {
        Self {
            version: Field::of("v1.35.7+k3s1".to_owned()),
            airgap: Field::of(false),
            tls_san: Texts::of_default(),
            vip: Field::default(),
            disable: Field::of(
                ["servicelb", "traefik"]
                    .map(|name| Field::of(name.to_owned()))
                    .into(),
            ),
            registry_mirror: Field::of(true),
            snapshot_schedule: Field::of("0 */12 * * *".to_owned()),
            snapshot_keep: Field::of(5),
        }
    }
}

/// Where Argo CD finds what the cluster runs: the tree beside this file, in Git.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GitOps {
    /// The repository that this folder is in, as the cluster reaches it: `https://`,
    /// `ssh://` or `git@host:path`. Without a password: that is a secret of its own.
    #[schemars(example = &"https://github.com/example/homelab.git")]
    pub(crate) repository: Field<String>,
    /// Branch, tag or commit.
    #[serde(default = "main_branch")]
    #[schemars(example = &"main")]
    pub(crate) revision: Field<String>,
    /// The folder of the cluster file in the repository; `.` if it is all of it.
    #[serde(default = "own_folder")]
    #[schemars(example = &"cluster")]
    pub(crate) path: Field<String>,
    /// The one commit, all 40 digits, whose `bootstrap/` a founder takes at its first
    /// boot. Without this and `signers` the one that was baked into its image is used.
    #[serde(default)]
    #[schemars(example = &"1fe82c27a20f1a1ecf4fb1a4b8ed2f4c1a3f6d2e")]
    pub(crate) commit: Field<String>,
    /// Whose commits it takes instead: SSH public keys, of which one signed the newest
    /// commit of `revision` (`git config gpg.format ssh`).
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@desk"
    ))]
    pub(crate) signers: Texts,
    /// A file with the CA of the repository's server, as PEM, if that is your own.
    #[serde(default)]
    #[schemars(example = &"keys/ca.pem")]
    pub(crate) ca: Field<String>,
    /// Addresses of the subnet that MetalLB gives to services: no machine's, and none
    /// that the router hands out. `imgbuild gitops check` holds the tree against it.
    #[serde(default)]
    #[schemars(example = &"192.168.4.230-192.168.4.249")]
    pub(crate) pool: Field<String>,
}

/// How downloads reach this machine. Proxies come from the environment, as for
/// other programs (`https_proxy`, `no_proxy`).
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Source {
    /// Certificates to trust beside the system's, as PEM, relative to the
    /// cluster file: for a network with a CA of its own.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(example = &"keys/home-ca.pem")]
    pub(crate) ca_file: Field<String>,
    /// Beginnings of URLs, and what to use instead. Digests and signatures are
    /// those of the original. None by default.
    #[schemars(with = "BTreeMap<String, String>", example = mirror())]
    pub(crate) mirror: Named,
    /// Where OpenPGP keys are asked for, the fingerprint at the end. Their
    /// answers are not trusted: a key counts by its fingerprint.
    #[schemars(example = one("https://keys.openpgp.org/vks/v1/by-fingerprint/"))]
    pub(crate) keyservers: Texts,
}

impl Default for Source {
    fn default() -> Self {
        let keyservers = [
            "https://keys.openpgp.org/vks/v1/by-fingerprint/",
            "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x",
        ];
        Self {
            ca_file: Field::default(),
            mirror: Field::of_default(),
            keyservers: Field::of(keyservers.map(|url| Field::of(url.to_owned())).into()),
        }
    }
}

/// Release images, and whose are used.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Release {
    /// The minisign public keys whose releases are used, as `imgbuild keygen`
    /// prints them. To change a key, list both for a while. None by default: then no
    /// release is.
    #[schemars(example = one("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"))]
    pub(crate) keys: Texts,
    /// Where releases of this configuration are published, for the files that name
    /// each other.
    #[serde(skip_serializing_if = "Field::is_absent")]
    #[schemars(example = &"https://example.org/releases/")]
    pub(crate) address: Field<String>,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            keys: Field::of_default(),
            address: Field::default(),
        }
    }
}

/// An account on every node, reached by SSH key only. The first takes over
/// uid 1000 from the base's own user.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct User {
    /// Login name.
    #[schemars(example = &"admin")]
    pub(crate) name: Field<String>,
    /// Public keys that may log in, as the one line of a `.pub` file.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@desk"
    ))]
    pub(crate) ssh_keys: Texts,
    /// Files with public keys, one per line, relative to the cluster file or
    /// below the home directory (`~/`). A user needs a key here or in
    /// `ssh_keys`.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one("~/.ssh/id_ed25519.pub"))]
    pub(crate) ssh_key_files: Texts,
    /// May become root without a password: an account without a password has
    /// none to type.
    #[serde(default = "yes")]
    #[schemars(example = true)]
    pub(crate) sudo: Field<bool>,
}

/// One node.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Node {
    /// Its host name: lower-case letters, digits and inner hyphens.
    #[schemars(example = &"pi-1")]
    pub(crate) name: Field<String>,
    /// Its static address, inside the subnet.
    #[schemars(example = &"192.168.4.11")]
    pub(crate) address: Field<String>,
    /// What it does in K3s.
    #[schemars(example = &"server")]
    pub(crate) role: Field<Role>,
    /// The kind of node: the name of a file in `profiles/`, without `.toml`.
    #[schemars(example = &"pi5-ssd")]
    pub(crate) profile: Field<String>,
    /// Match the network interface by this address instead of by name; needed
    /// only with a second wired interface.
    #[serde(default)]
    #[schemars(example = &"dc:a6:32:01:02:03")]
    pub(crate) mac: Field<String>,
    /// Kubernetes labels, set when the node first joins.
    #[serde(default = "Named::of_default")]
    #[schemars(
        with = "BTreeMap<String, String>",
        example = label()
    )]
    pub(crate) labels: Named,
    /// Kubernetes taints, set when the node first joins, as `kubectl taint`
    /// writes them. None by default: every node takes every workload.
    #[serde(default = "Texts::of_default")]
    #[schemars(example = one("dedicated=storage:NoSchedule"))]
    pub(crate) taints: Texts,
}

/// Texts by names that the user chooses, and where those stand.
pub(crate) type Named = Field<BTreeMap<toml::Spanned<String>, Field<String>>>;

/// What a node does in K3s.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Control plane, etcd and workloads.
    Server,
    /// Workloads only.
    Agent,
}

fn label() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("disk", "nvme")])
}

fn mirror() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([(
        "https://downloads.raspberrypi.com/",
        "https://nas.home.arpa/raspberrypi/",
    )])
}

fn main_branch() -> Field<String> {
    Field::of("main".to_owned())
}

fn own_folder() -> Field<String> {
    Field::of("cluster".to_owned())
}

fn yes() -> Field<bool> {
    Field::of(true)
}
