//! The validated request: everything about one node that was read and checked.
//!
//! Only `config` makes these values; whoever holds one does not check again.
//! Nothing here touches a file: contents that come from files (SSH keys, extra
//! files) were read when the plan was made.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::Ipv4Net;
pub use node_config::Role;
pub use node_config::handover::Trust;
use uuid::Uuid;

pub use crate::release::sign::PublicKey;

/// One node's image, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// The cluster the node belongs to.
    pub cluster: Cluster,
    /// What is common to every node's network.
    pub network: Network,
    /// Accounts, the first of which takes over uid 1000. Never empty.
    pub users: Vec<User>,
    /// Language, time zone and keyboard.
    pub locale: Locale,
    /// Its Kubernetes, if it has one.
    pub k3s: Option<K3s>,
    /// Where Argo CD finds what the cluster runs, if it has that.
    pub gitops: Option<GitOps>,
    /// The node itself.
    pub node: Node,
    /// The kind of node.
    pub profile: Profile,
}

impl NodePlan {
    /// The node as others see it.
    pub fn peer(&self) -> Peer {
        self.node.peer()
    }

    /// Whether it is the server that founds its cluster.
    pub fn founds(&self) -> bool {
        self.k3s.as_ref().and_then(K3s::founder) == Some(&self.node.name)
    }
}

impl Node {
    /// The node as others see it.
    pub fn peer(&self) -> Peer {
        Peer {
            name: self.name.clone(),
            address: self.address.addr(),
        }
    }
}

/// The cluster's name and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// A DNS label.
    pub name: String,
    /// The root of every id derived for the cluster's disks.
    pub id: Uuid,
}

/// What every node's network has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The subnet all nodes are in.
    pub subnet: Ipv4Net,
    /// Default gateway, inside `subnet`.
    pub gateway: Ipv4Addr,
    /// Name servers, in the order they are asked. Never empty.
    pub dns: Vec<Ipv4Addr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Time servers, host names or addresses.
    pub ntp: Vec<String>,
}

/// A user account: key-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// `authorized_keys` lines, in order. Never empty.
    pub ssh_keys: Vec<String>,
    /// May become root without a password (a key-only user has none to type).
    pub sudo: bool,
}

/// Language, time zone and keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// `LANG`, such as `C.UTF-8` or `en_GB.UTF-8`.
    pub lang: String,
    /// A name under `/usr/share/zoneinfo`.
    pub timezone: String,
    /// XKB layout of the console, such as `us`.
    pub keyboard: String,
}

/// The cluster's Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K3s {
    /// A release's tag, `v1.35.7+k3s1`.
    pub version: String,
    /// Bake in the images of its own containers.
    pub airgap: bool,
    /// More names and addresses of the API.
    pub tls_san: Vec<String>,
    /// An address of the API that moves between the servers.
    pub vip: Option<Ipv4Addr>,
    /// Parts of K3s that are left out.
    pub disable: Vec<String>,
    /// Nodes take container images from one another.
    pub registry_mirror: bool,
    /// When etcd is saved, as cron(5) writes it.
    pub snapshot_schedule: String,
    /// How many of these are kept.
    pub snapshot_keep: u32,
    /// The cluster's servers, in the file's order; the first founds it.
    pub servers: Vec<Peer>,
}

impl K3s {
    /// The name of the server that founds the cluster.
    pub fn founder(&self) -> Option<&String> {
        self.servers.first().map(|server| &server.name)
    }
}

/// Where Argo CD finds what the cluster is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOps {
    /// The repository, as Argo CD reaches it.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The folder of the tree in it; empty if it is all of it.
    pub path: String,
    /// Whose commits a founder takes its bootstrap from; nobody's, and it has the
    /// image's.
    pub trust: Option<Trust>,
    /// CAs of the repository's server, as PEM.
    pub ca: Option<String>,
    /// The addresses that MetalLB gives away.
    pub pool: Option<Pool>,
}

impl GitOps {
    /// Whether it is reached over SSH, and by a key; else by HTTPS, and by a password.
    pub fn is_ssh(&self) -> bool {
        !self.repository.starts_with("https://")
    }
}

/// A range of addresses, both ends in it; printed as `first-last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The lowest.
    pub first: Ipv4Addr,
    /// The highest.
    pub last: Ipv4Addr,
}

impl Pool {
    /// Whether an address is in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// As MetalLB writes them: two addresses, or a subnet, which is all of its addresses.
impl FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = match text.split_once('-') {
            Some((first, last)) => first.trim().parse().ok().zip(last.trim().parse().ok()),
            None => {
                let net = text.parse::<Ipv4Net>().ok();
                net.map(|net| (net.network(), net.broadcast()))
            }
        };
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            Some((first, last)) => Err(format!("{first} comes after {last}")),
            None => Err("this is no range of IPv4 addresses".to_owned()),
        }
    }
}

/// How downloads reach this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Beginnings of URLs, and what stands in for them.
    pub mirrors: Vec<(String, String)>,
    /// Where OpenPGP keys are asked for, a fingerprint at the end.
    pub keyservers: Vec<String>,
}

/// Release images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Whose are used.
    pub keys: Vec<PublicKey>,
    /// Where those of this configuration are published, a slash at its end.
    pub address: Option<String>,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Host name, a DNS label.
    pub name: String,
    /// Its static address with the subnet's prefix length.
    pub address: Ipv4Net,
    /// What it does in K3s.
    pub role: Role,
    /// Match the interface by this MAC address instead of by name.
    pub mac: Option<MacAddress>,
    /// Kubernetes labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints, `key=value:Effect`.
    pub taints: Vec<String>,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Host name.
    pub name: String,
    /// Address.
    pub address: Ipv4Addr,
}

/// An Ethernet address, printed as `dc:a6:32:01:02:03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A kind of node: `profiles/<name>.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The file's stem.
    pub name: String,
    /// What the image starts from.
    pub base: BaseRef,
    /// Partition sizes.
    pub disk: Disk,
    /// The Pi's firmware, through config.txt and the kernel's command line.
    pub firmware: Firmware,
    /// Wi-Fi's country (ISO 3166-1 alpha-2), or none: radio off.
    pub wifi_country: Option<String>,
    /// Where the node's machine-id comes from.
    pub machine_id: MachineId,
    /// Cap of the persistent journal.
    pub journal_max: Size,
    /// Debian packages by name, sorted; what they need is found by the lock.
    pub packages: Vec<String>,
    /// Downloads beyond the base.
    pub artifacts: Vec<Artifact>,
    /// Files beyond the overlay's own.
    pub files: Vec<ExtraFile>,
    /// Units enabled beyond the overlay's own, full names (`foo.service`).
    pub enable_units: Vec<String>,
    /// Units masked beyond the overlay's own.
    pub mask_units: Vec<String>,
}

/// A base image by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRef {
    /// Where it is on this machine (absolute, or relative to the working
    /// directory): raw, or compressed as .xz, .zst or .gz.
    pub location: BaseLocation,
    /// sha256 of that file as it lies, 64 lower-case hex digits. Without it the
    /// image is used as found and the build says so.
    pub sha256: Option<String>,
    /// Who must have signed it, if anybody: only for a download.
    pub signer: Option<Signer>,
}

/// Who must have signed a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The OpenPGP key's fingerprint, upper-case hex digits.
    pub fingerprint: String,
    /// A file with the key; without it a key server is asked.
    pub key: Option<PathBuf>,
}

/// Where a base image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseLocation {
    /// A file on this machine.
    File(PathBuf),
    /// A download, kept in the cache under its sha256.
    Url(String),
}

/// Partition sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// The root partition's size.
    pub root: Extent,
    /// The data partition's, if there is one.
    pub data: Option<Extent>,
}

/// How large a partition is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// This large.
    Fixed(Size),
    /// Whatever the disk has left; in an image file no more than is needed.
    Rest,
}

/// A number of bytes, printed in the largest binary unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// 1024 * 1024 bytes.
    pub const MIB: u64 = 1 << 20;

    /// That many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count * Self::MIB)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// What the Pi's firmware and kernel are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Which of the two kernels boots.
    pub page_size: PageSize,
    /// Turn the memory cgroup on; the firmware's device tree turns it off.
    pub cgroup_memory: bool,
    /// Let a supply that does not announce 5 A feed the USB ports fully.
    pub usb_max_current: bool,
    /// `usb-storage.quirks` entries, `152d:0578:u`.
    pub usb_quirks: Vec<String>,
    /// PCIe link speed, if not the firmware's default (gen 2).
    pub pcie_gen: Option<u8>,
    /// How bold to be with NVMe power saving.
    pub nvme_power: NvmePower,
    /// Lines for the end of config.txt, as they are.
    pub config_txt: Vec<String>,
    /// Words for the end of the kernel command line.
    pub kernel_words: Vec<String>,
}

/// Memory page size of the kernel to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSize {
    /// `kernel8.img`: what third-party containers expect.
    FourKib,
    /// `kernel_2712.img`: the Pi 5's default.
    SixteenKib,
}

/// How bold to be with NVMe power saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NvmePower {
    /// The kernel's own policy.
    Default,
    /// No autonomous power states and no ASPM: for disks that drop off.
    Safe,
}

/// Where a node's machine-id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineId {
    /// From cluster id and node name: a re-flashed node keeps its id.
    Derived,
    /// An empty file: systemd makes a random one at the first boot.
    FirstBoot,
}

/// A download a profile adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it is published.
    pub url: String,
    /// Its sha256, 64 lower-case hex digits.
    pub sha256: String,
    /// Absolute path on the node, on the root file system.
    pub path: String,
    /// Permission bits, `0o755`.
    pub mode: u16,
}

/// A file a profile adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// Absolute path on the node; below `/boot/firmware` it goes to the FAT
    /// partition.
    pub path: String,
    /// Permission bits, `0o644`.
    pub mode: u16,
    /// Numeric owner and group.
    pub owner: (u32, u32),
    /// What it holds.
    pub content: Arc<[u8]>,
}
