//! `node.toml`: everything a node is told about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disk::Disk;
use crate::handover::Handover;
use crate::package::{Package, PackageError};

/// The version this crate writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// What a node is told. Holds no secret: the file is world-readable.
///
/// A field added later has a default and leaves the version alone: the older
/// text still means what it meant, and the agent that has to know the field is
/// baked into the same image as the document that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Format of this document, [`VERSION`].
    pub version: u32,
    /// Names the image's content: equal for equal inputs.
    pub image_id: Uuid,
    /// The time of the image's content, in seconds since 1970: it is later than
    /// that on every node. 0 where the builder did not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
    /// The cluster this node belongs to.
    pub cluster: Cluster,
    /// The node itself.
    pub node: Node,
    /// The wired network, as baked into the image.
    pub network: Network,
    /// The disk; without it the agent leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The SSH host keys the builder baked in, to be found unharmed.
    #[serde(default)]
    pub host_keys: Vec<HostKey>,
    /// The package files the image carries, in the order they are installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Its Kubernetes, complete but for whom to join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s: Option<K3s>,
    /// How it hands the cluster over to Argo CD, on the server that founds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
}

/// How a node gets into its cluster. The secrets are in files of K3s' own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct K3s {
    /// The unit to start, `k3s.service` or `k3s-agent.service`.
    pub unit: String,
    /// Whether it founds the cluster, where no other server answers.
    pub founds: bool,
    /// The other servers, in the order they are asked.
    #[serde(default)]
    pub servers: Vec<Ipv4Addr>,
    /// What every token says of the cluster's CA: 64 hex digits.
    pub ca_hash: String,
    /// What must be there, unharmed, before it starts: program, container images,
    /// unit, configuration. Nothing that is secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<BakedFile>,
}

/// A file of the image, by what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BakedFile {
    /// Absolute path.
    pub path: String,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// The cluster's name, for people, and id, for everything derived from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// A DNS label.
    pub name: String,
    /// Never changes once nodes exist: disk and file-system ids come from it.
    pub id: Uuid,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The host name, a DNS label.
    pub name: String,
    /// What it does in K3s.
    pub role: Role,
    /// Kubernetes labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What a node does in K3s: run the control plane too, or workloads only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Control plane, etcd and workloads.
    Server,
    /// Workloads only.
    Agent,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Server => "server",
            Role::Agent => "agent",
        })
    }
}

/// The wired interface and its static address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Kernel name of the interface, `eth0` on Raspberry Pi OS.
    pub interface: String,
    /// Ethernet address the profile matches instead of the name, if any:
    /// `dc:a6:32:01:02:03`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Address and prefix length, `192.168.4.11/24`.
    pub address: Ipv4Net,
    /// Default gateway, inside the address's network.
    pub gateway: Ipv4Addr,
    /// Name servers, in the order they are asked.
    #[serde(default)]
    pub dns: Vec<Ipv4Addr>,
    /// Domains tried for short names.
    #[serde(default)]
    pub search: Vec<String>,
    /// Time servers.
    #[serde(default)]
    pub ntp: Vec<String>,
}

/// A baked SSH host key, by what can be checked without reading the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostKey {
    /// The private key's path; its public half is beside it as `.pub`.
    pub path: String,
    /// The public half, as one OpenSSH line without a comment.
    pub public: String,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Why a `node.toml` could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or not of this shape.
    #[error("node.toml is not a node configuration: {0}")]
    Syntax(#[from] toml::de::Error),
    /// Written by a builder newer than this agent.
    #[error("node.toml has version {found}, this agent reads up to {VERSION}; rebuild the image")]
    Version {
        /// The version in the document.
        found: u32,
    },
    /// A package that cannot be meant.
    #[error("node.toml: {0}; rebuild the image")]
    Package(#[from] PackageError),
}

impl NodeConfig {
    /// Reads the document.
    ///
    /// # Errors
    /// When the text is not TOML of this shape, of a version not known here, or
    /// names a package that cannot be meant.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // The version first: a newer document may have fields unknown here,
        // and "unknown field" would hide the real reason.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = toml::from_str(text)?;
        if version != VERSION {
            return Err(ConfigError::Version { found: version });
        }
        let config: Self = toml::from_str(text)?;
        config.packages.iter().try_for_each(Package::check)?;
        Ok(config)
    }

    /// Renders the document; [`NodeConfig::parse`] gives the same value back.
    pub fn render(&self) -> String {
        let body = toml::to_string(self).expect("plain data serialises to TOML");
        format!("# Written by imgbuild; read by the first-boot agent.\n{body}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Extent;

    /// The text of version 1. It must be read for as long as agents of
    /// version 1 exist, so it is written out here and never edited.
    const V1: &str = r#"
version = 1
image_id = "6f2fd5b0-3c5b-5f0e-9f43-0c8f9c1f7a10"

[cluster]
name = "home"
id = "0d5f6a52-6a3e-4f39-9a2c-0f2d3b7c1e11"

[node]
name = "pi-1"
role = "server"
labels = { disk = "nvme" }

[network]
interface = "eth0"
address = "192.168.4.11/24"
gateway = "192.168.4.1"
dns = ["192.168.4.1"]
search = ["home.arpa"]
ntp = ["192.168.4.1"]

[[host_keys]]
path = "/etc/ssh/ssh_host_ed25519_key"
public = "ssh-ed25519 AAAA"
"#;

    /// What version 1 may have since images carry packages.
    const PACKAGES: &str = r#"
[[packages]]
name = "nfs-common"
version = "1:2.8.3-1"
architecture = "arm64"
file = "nfs-common_1%3a2.8.3-1_arm64.deb"
sha256 = "0b84e1bd63dbb6c1bcdc3d1bd6b7ef3a0ce5fb6b4e2fd5e8a4f4fe2ab1c3d5e7"
"#;

    /// What version 1 may have since the agent grows the disk, and the line that
    /// may stand before the tables.
    const DISK: &str = r#"
[disk]
id = "470658a4-b125-5389-8bcd-792c72970a07"

[disk.root]
id = "c20bb38f-993f-5682-a4ae-952af633db9b"
size = 34359738368

[disk.data]
id = "9d7e6c1e-4a86-5a52-8f8f-6f0f4f2f9f11"
file_system = "5f0c4a3e-95bb-5e0a-b3c9-5d8c5f6f1a22"
size = "rest"
"#;
    const EPOCH: &str = "version = 1\nepoch = 1790000000";

    /// What version 1 may have since images carry K3s, and since the agent checks
    /// it before its start.
    const K3S: &str = r#"
[k3s]
unit = "k3s.service"
founds = true
servers = ["192.168.4.12"]
ca_hash = "0b84e1bd63dbb6c1bcdc3d1bd6b7ef3a0ce5fb6b4e2fd5e8a4f4fe2ab1c3d5e7"
"#;
    const K3S_FILES: &str = r#"
[[k3s.files]]
path = "/usr/local/bin/k3s"
sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
"#;

    /// What version 1 may have since the agent follows the hand-over.
    const HANDOVER: &str = r#"
[handover]
chart = "argo-cd-10.1.1.tgz"
"#;

    #[test]
    fn version_1_is_read() {
        let config = NodeConfig::parse(V1).expect("version 1");
        assert_eq!(config.node.role, Role::Server);
        assert_eq!(
            config.network.address.addr(),
            Ipv4Addr::new(192, 168, 4, 11)
        );
        assert_eq!(config.network.address.prefix_len(), 24);
        assert_eq!(config.node.labels["disk"], "nvme");
    }

    #[test]
    fn packages_are_read_where_there_are_some() {
        assert!(NodeConfig::parse(V1).expect("without").packages.is_empty());
        let with = NodeConfig::parse(&format!("{V1}{PACKAGES}")).expect("with");
        assert_eq!(with.packages[0].version, "1:2.8.3-1");
    }

    #[test]
    fn a_disk_is_read_where_there_is_one() {
        let without = NodeConfig::parse(V1).expect("without");
        assert_eq!((without.disk, without.epoch), (None, 0));
        let text = format!("{V1}{DISK}").replace("version = 1", EPOCH);
        let with = NodeConfig::parse(&text).expect("with");
        let disk = with.disk.expect("a disk");
        assert_eq!(with.epoch, 1_790_000_000);
        assert_eq!(disk.root.size, Extent::Fixed(32 << 30));
        assert_eq!(disk.data.expect("data").size, Extent::Rest);
    }

    #[test]
    fn k3s_is_read_with_its_files_and_without() {
        let without = NodeConfig::parse(&format!("{V1}{K3S}")).expect("without");
        assert!(without.k3s.expect("K3s").files.is_empty());
        let with = NodeConfig::parse(&format!("{V1}{K3S}{K3S_FILES}")).expect("with");
        assert_eq!(with.k3s.expect("K3s").files[0].path, "/usr/local/bin/k3s");
    }

    #[test]
    fn a_handover_is_read_where_there_is_one() {
        let without = NodeConfig::parse(&format!("{V1}{K3S}")).expect("without");
        assert_eq!(without.handover, None);
        let with = NodeConfig::parse(&format!("{V1}{K3S}{HANDOVER}")).expect("with");
        assert_eq!(with.handover.expect("some").chart, "argo-cd-10.1.1.tgz");
    }

    #[test]
    fn a_package_file_elsewhere_is_refused() {
        let text = format!("{V1}{PACKAGES}").replace("nfs-common_1", "../nfs-common_1");
        let error = NodeConfig::parse(&text).expect_err("elsewhere");
        assert!(matches!(error, ConfigError::Package(_)), "{error}");
    }

    #[test]
    fn rendering_round_trips() {
        let new =
            format!("{V1}{DISK}{PACKAGES}{K3S}{K3S_FILES}{HANDOVER}").replace("version = 1", EPOCH);
        for text in [V1, &format!("{V1}{PACKAGES}"), &new] {
            let config = NodeConfig::parse(text).expect("version 1");
            let rendered = config.render();
            assert_eq!(NodeConfig::parse(&rendered).expect("own text"), config);
            // An older agent knows none of these, and is told of none.
            for word in ["packages", "disk]", "epoch", "k3s", "handover"] {
                assert_eq!(rendered.contains(word), text.contains(word), "{rendered}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_named_even_with_unknown_fields() {
        let newer = V1.replacen("version = 1", "version = 2\nsurprise = true", 1);
        let error = NodeConfig::parse(&newer).expect_err("version 2");
        assert!(
            matches!(error, ConfigError::Version { found: 2 }),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let typo = V1.replace("gateway", "gatewai");
        assert!(NodeConfig::parse(&typo).is_err());
    }
}
