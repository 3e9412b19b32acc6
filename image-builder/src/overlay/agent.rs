//! The first-boot agent: its program, its unit and what it is told.

use std::sync::Arc;

use anyhow::{Result, ensure};
use node_config::config::{Cluster, HostKey, Network, Node, VERSION};
use node_config::disk::{self, Disk};
use node_config::{NodeConfig, paths};
use uuid::Uuid;

use crate::plan::Extent;

use super::render::Request;
use super::{BaseView, Overlay, Owner, Part, k3s, network, units};

/// Adds program and unit.
pub(super) fn add(
    overlay: &mut Overlay,
    agent: &Arc<[u8]>,
    unit_text: &str,
    base: &dyn BaseView,
) -> Result<()> {
    ensure!(!agent.is_empty(), "the agent's program is empty");
    overlay.file(Part::Root, paths::AGENT, 0o755, Arc::clone(agent));
    let unit = format!("/etc/systemd/system/{}", paths::AGENT_UNIT);
    overlay.file(Part::Root, &unit, 0o644, unit_text);
    overlay.dir(Part::Root, paths::STATE_DIR, 0o700, Owner::ROOT);
    units::enable(overlay, base, paths::AGENT_UNIT)
}

/// Adds `node.toml`.
pub(super) fn add_node_config(overlay: &mut Overlay, request: &Request<'_>, image_id: Uuid) {
    let plan = request.plan;
    let host_keys = request.keys.each().map(|key| HostKey {
        path: format!("/etc/ssh/{}", key.file_name()),
        public: key.public(),
    });
    let config = NodeConfig {
        version: VERSION,
        image_id,
        // Before 1970 nothing was built.
        epoch: request.epoch.try_into().unwrap_or(0),
        cluster: Cluster {
            name: plan.cluster.name.clone(),
            id: plan.cluster.id,
        },
        node: Node {
            name: plan.node.name.clone(),
            role: plan.node.role,
            labels: plan.node.labels.clone(),
        },
        network: Network {
            interface: network::interface(plan).to_owned(),
            mac: plan.node.mac.map(|mac| mac.to_string()),
            address: plan.node.address,
            gateway: plan.network.gateway,
            dns: plan.network.dns.clone(),
            search: plan.network.search.clone(),
            ntp: plan.network.ntp.clone(),
        },
        disk: Some(disk(request)),
        host_keys: host_keys.into(),
        packages: request.payload.packages.clone(),
        k3s: k3s::for_the_agent(request, overlay),
        handover: request.payload.handover.clone(),
    };
    overlay.file(Part::Root, paths::NODE_CONFIG, 0o644, config.render());
}

/// The disk as it is to become, whichever tool puts the image on it.
fn disk(request: &Request<'_>) -> Disk {
    let Request { plan, ids, .. } = *request;
    let wanted = plan.profile.disk;
    let size = |extent| match extent {
        Extent::Fixed(size) => disk::Extent::Fixed(size.bytes()),
        Extent::Rest => disk::Extent::Rest,
    };
    Disk {
        id: ids.disk,
        root: disk::Root {
            id: ids.root,
            size: size(wanted.root),
        },
        data: wanted.data.map(|extent| disk::Data {
            id: ids.data,
            file_system: ids.data_fs,
            size: size(extent),
        }),
    }
}
