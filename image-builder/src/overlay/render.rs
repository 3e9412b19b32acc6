//! The recipe: what a node adds to its base, in order.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::identity::HostKeys;
use crate::ids::NodeIds;
use crate::plan::{Disk, Extent, NodePlan};

use super::{
    BaseView, Change, Entrance, Overlay, Part, Payload, agent, cmdline, extra, firmware, k3s,
    locale, manifest, mounts, network, packages, payload, release, ssh, stock, system, text, users,
};

/// Everything an overlay is made from, the base aside.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The node, decided.
    pub plan: &'a NodePlan,
    /// Its derived ids.
    pub ids: &'a NodeIds,
    /// Its SSH host keys.
    pub keys: &'a HostKeys,
    /// The `firstboot-agent` program for the node.
    pub agent: &'a Arc<[u8]>,
    /// The agent's systemd unit.
    pub agent_unit: &'a str,
    /// What lets it into its cluster, if that has secrets.
    pub entrance: Option<&'a Entrance>,
    /// What it carries of others.
    pub payload: &'a Payload,
    /// sha256 of the base image, in hex.
    pub base_digest: &'a str,
    /// The time of every change, in seconds since 1970.
    pub epoch: i64,
}

/// A rendered overlay and its name.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The changes.
    pub overlay: Overlay,
    /// Equal for equal base, changes, sizes and time, within a cluster.
    pub image_id: Uuid,
}

/// Renders the overlay of one node.
///
/// # Errors
/// When the base cannot be read, lacks what the plan needs (a locale, a unit,
/// the SSH server), or when two parts of the plan want the same path.
pub fn render(request: &Request<'_>, base: &dyn BaseView) -> Result<Rendered> {
    let Request { plan, ids, .. } = *request;
    let overlay = &mut Overlay::default();

    system::name_the_machine(overlay, plan, ids, base)?;
    system::keep_the_journal(overlay, plan);
    system::set_the_clock(overlay, plan);
    locale::add(overlay, &plan.locale, base).context("setting language, time zone and keyboard")?;
    let people = users::add(overlay, plan, base).context("adding the users")?;
    ssh::add(overlay, request, base).context("setting up SSH")?;
    network::add(overlay, plan, ids, base).context("setting up the network")?;
    mounts::add(overlay, &plan.profile, ids, base)?;
    firmware::add(overlay, &plan.profile, base).context("editing config.txt")?;
    cmdline::add(overlay, &plan.profile, ids, base).context("editing cmdline.txt")?;
    stock::switch_off(overlay, base).context("switching the stock first boot off")?;
    agent::add(overlay, request.agent, request.agent_unit, base)
        .context("adding the first-boot agent")?;
    packages::add(overlay, request, base).context("preparing for the packages")?;
    payload::add(overlay, request.payload, plan.k3s.as_ref(), base)
        .context("adding what is downloaded")?;
    k3s::add(overlay, request, base).context("configuring K3s")?;
    release::leave(overlay, base)?;

    // These documents carry the image id, and the id names them too: it is
    // taken with nil in its own place.
    carry_id(overlay, request, Uuid::nil());
    extra::add_files(overlay, plan, &people, base).context("adding the profile's files")?;
    extra::switch_units(overlay, plan, base).context("switching the profile's units")?;
    let image_id = image_id(request, overlay);
    carry_id(overlay, request, image_id);

    Ok(Rendered {
        overlay: std::mem::take(overlay),
        image_id,
    })
}

fn carry_id(overlay: &mut Overlay, request: &Request<'_>, image_id: Uuid) {
    agent::add_node_config(overlay, request, image_id);
    manifest::add(overlay, request, image_id);
}

/// Name-based (UUID version 5) in the cluster's name space.
fn image_id(request: &Request<'_>, overlay: &Overlay) -> Uuid {
    let mut hash = Sha256::new();
    // Every field with its length, so that no two overlays read the same.
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(request.base_digest.as_bytes());
    // Not in the overlay, and yet in the image: table, file systems, inodes.
    let Disk { root, data } = request.plan.profile.disk;
    for extent in [Some(root), data] {
        field(size(extent).as_bytes());
    }
    field(&request.epoch.to_be_bytes());
    for part in [Part::Boot, Part::Root] {
        for (path, change) in overlay.changes(part) {
            field(part.to_string().as_bytes());
            field(path.as_bytes());
            field(change.to_string().as_bytes());
            if let Change::File { content, .. } = change {
                field(content.sha256().as_bytes());
            }
        }
    }
    let name = format!("imgbuild/1/image/{}", text::hex(&hash.finalize()));
    Uuid::new_v5(&request.plan.cluster.id, name.as_bytes())
}

/// A size as the id has it. Spelled out: were it a type's own text form, a
/// change to messages would rename every image.
fn size(extent: Option<Extent>) -> String {
    match extent {
        Some(Extent::Fixed(size)) => size.bytes().to_string(),
        Some(Extent::Rest) => "rest".into(),
        None => "none".into(),
    }
}
