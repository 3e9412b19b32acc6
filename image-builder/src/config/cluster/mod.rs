//! `cluster.toml` as it may be: checked as far as it goes without profiles.

mod gitops;
mod k3s;
mod labels;
mod locale;
mod network;
mod nodes;
mod release;
mod source;
mod users;

use uuid::Uuid;

use super::check::Checker;
use super::files::Files;
use super::names;
use super::problem::{Wrong, quoted};
use super::written;
use crate::plan;

pub use nodes::NodeEntry;
pub(crate) use nodes::profile_name;

/// A cluster file that is right, profiles apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFile {
    /// Name and id.
    pub cluster: plan::Cluster,
    /// The nodes' common network.
    pub network: plan::Network,
    /// Accounts.
    pub users: Vec<plan::User>,
    /// Language, time zone and keyboard.
    pub locale: plan::Locale,
    /// Its Kubernetes, if it has one.
    pub k3s: Option<plan::K3s>,
    /// Where Argo CD finds what the cluster runs, if it has that.
    pub gitops: Option<plan::GitOps>,
    /// How downloads reach this machine.
    pub source: plan::Source,
    /// Whose release images are used.
    pub release: plan::Release,
    /// The nodes, in the file's order.
    pub nodes: Vec<NodeEntry>,
}

/// Checks every part; `None` if a problem was reported.
pub(crate) fn check(
    file: &written::ClusterFile,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<ClusterFile> {
    let cluster = file
        .cluster
        .get()
        .and_then(|cluster| identity(cluster, check));
    let network = file.network.get();
    let lan = network
        .map(|network| network::lan(network, check))
        .unwrap_or_default();
    let network = network.and_then(|network| network::check(network, lan, check));
    let locale = file
        .locale
        .get()
        .and_then(|locale| locale::check(locale, check));
    let k3s = match file.k3s.get() {
        None if file.k3s.is_absent() => Some(None),
        written => written
            .and_then(|k3s| k3s::check(k3s, lan, check))
            .map(Some),
    };
    let gitops = match file.gitops.get() {
        None if file.gitops.is_absent() => Some(None),
        written => written
            .and_then(|gitops| gitops::check(gitops, lan, check, files))
            .map(Some),
    };
    let source = file
        .source
        .get()
        .and_then(|source| source::check(source, check, files));
    let release = file
        .release
        .get()
        .and_then(|release| release::check(release, check));
    let users = users::check(&file.users, check, files);
    let nodes = nodes::check(&file.nodes, lan, check);
    let (mut k3s, nodes) = (k3s?, nodes?);
    if let Some(k3s) = &mut k3s {
        let entries = nodes.iter().map(|entry| &entry.node);
        let servers = entries.filter(|node| node.role == plan::Role::Server);
        k3s.servers = servers.map(plan::Node::peer).collect();
        let taken = nodes
            .iter()
            .find(|entry| Some(entry.node.address.addr()) == k3s.vip);
        if let (Some(entry), Some(written)) = (taken, file.k3s.get()) {
            let message = format!("the vip is the address of {}", entry.node.name);
            let wrong = Wrong::new(message, "take one that no machine has");
            check.wrong(&written.vip.span(), wrong);
        }
    }
    let (network, gitops) = (network?, gitops?);
    let pool = gitops.as_ref().and_then(|gitops| gitops.pool);
    if let (Some(pool), Some(written)) = (pool, file.gitops.get()) {
        let vip = k3s.as_ref().and_then(|k3s| k3s.vip);
        let machines = nodes.iter().map(|entry| &entry.node);
        let taken = gitops::taken(&network, vip, machines);
        if let Some(wrong) = gitops::overlap(pool, &taken) {
            check.wrong(&written.pool.span(), wrong);
        }
    }
    Some(ClusterFile {
        cluster: cluster?,
        network,
        users: users?,
        locale: locale?,
        k3s,
        gitops,
        source: source?,
        release: release?,
        nodes,
    })
}

impl ClusterFile {
    /// What is wrong with a pool of addresses for services: one of them is a machine's.
    pub(crate) fn pool_overlap(&self, pool: plan::Pool) -> Option<Wrong> {
        let vip = self.k3s.as_ref().and_then(|k3s| k3s.vip);
        let machines = self.nodes.iter().map(|entry| &entry.node);
        gitops::overlap(pool, &gitops::taken(&self.network, vip, machines))
    }
}

fn identity(cluster: &written::Cluster, check: &mut Checker) -> Option<plan::Cluster> {
    let name = check.value(&cluster.name, |name| names::label(name, "cluster name"));
    let id = check.value(&cluster.id, |id| uuid(id));
    Some(plan::Cluster {
        name: name?,
        id: id?,
    })
}

fn uuid(text: &str) -> Result<Uuid, Wrong> {
    let hint = "make one with `uuidgen`";
    // The one form that `uuidgen` prints; the crate reads four.
    match Uuid::try_parse(text).ok().filter(|_| text.len() == 36) {
        None => Err(Wrong::new(format!("{} is not a UUID", quoted(text)), hint)),
        Some(id) if id.is_nil() => Err(Wrong::new(
            "the id is all zeros, which every cluster could be",
            hint,
        )),
        Some(id) => Ok(id),
    }
}
