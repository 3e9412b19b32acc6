//! What an image is, on its FAT partition, where any laptop can read it: once
//! for people, once for programs. Never a secret: anyone can read it.

use anyhow::{Context as _, Result, ensure};
use ipnet::Ipv4Net;
use node_config::config::Cluster;
use node_config::{Role, paths};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::render::Request;
use super::{Overlay, Part, network};

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// `imgbuild.json`: what `imgbuild inspect` shows of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this document, [`VERSION`].
    pub version: u32,
    /// Names the image's content: equal for equal inputs.
    pub image_id: Uuid,
    /// The program that made the image, `imgbuild 0.1.0`.
    pub builder: String,
    /// sha256 of the base image, in hex.
    pub base_sha256: String,
    /// The profile's name.
    pub profile: String,
    /// The cluster.
    pub cluster: Cluster,
    /// The node.
    pub node: ManifestNode,
    /// The host keys' fingerprints, to compare at a first login.
    pub host_keys: Vec<String>,
}

/// The node in a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestNode {
    /// Host name.
    pub name: String,
    /// What it does in K3s.
    pub role: Role,
    /// Address and prefix length.
    pub address: Ipv4Net,
}

impl Manifest {
    /// Reads the document.
    ///
    /// # Errors
    /// When the text is not JSON of this shape, or of a version not known here.
    pub fn parse(text: &str) -> Result<Self> {
        // The version first: a newer document may have another shape.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let what = "imgbuild.json is not an image manifest";
        let Head { version } = serde_json::from_str(text).context(what)?;
        ensure!(
            version == VERSION,
            "imgbuild.json has version {version}, this imgbuild reads {VERSION}; update it"
        );
        serde_json::from_str(text).context(what)
    }

    /// Renders the document; [`Manifest::parse`] gives the same value back.
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data serialises to JSON") + "\n"
    }
}

/// Adds `imgbuild.json` and `NODE.txt`.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, image_id: Uuid) {
    let plan = request.plan;
    let manifest = Manifest {
        version: VERSION,
        image_id,
        builder: concat!("imgbuild ", env!("CARGO_PKG_VERSION")).to_owned(),
        base_sha256: request.base_digest.to_owned(),
        profile: plan.profile.name.clone(),
        cluster: Cluster {
            name: plan.cluster.name.clone(),
            id: plan.cluster.id,
        },
        node: ManifestNode {
            name: plan.node.name.clone(),
            role: plan.node.role,
            address: plan.node.address,
        },
        host_keys: request.keys.each().map(|key| key.fingerprint()).into(),
    };
    overlay.file(
        Part::Boot,
        boot_path(paths::BOOT_MANIFEST),
        0o644,
        manifest.render(),
    );
    // ASCII with CR and LF: every editor of the last thirty years shows it.
    let text = for_people(request, &manifest).replace('\n', "\r\n");
    overlay.file(Part::Boot, boot_path(paths::BOOT_NODE_TXT), 0o644, text);
}

/// The path inside the boot file system of a path on the running node.
fn boot_path(path: &str) -> &str {
    paths::in_boot(path).unwrap_or(path)
}

fn for_people(request: &Request<'_>, manifest: &Manifest) -> String {
    let plan = request.plan;
    let Manifest {
        image_id,
        builder,
        node,
        ..
    } = manifest;
    let gateway = plan.network.gateway;
    let card = match plan.node.mac {
        Some(mac) => format!("the network card {mac}"),
        None => format!("{}, the wired port", network::interface(plan)),
    };
    let logins: String = plan
        .users
        .iter()
        .map(|user| format!("  ssh {}@{}\n", user.name, node.address.addr()))
        .collect();
    let keys = request.keys.each();
    let fingerprints: String = keys
        .iter()
        .map(|key| format!("  {} ({})\n", key.fingerprint(), key.algorithm()))
        .collect();
    format!(
        "This disk is the node {name} of the cluster {cluster}.

  Role      {role}
  Address   {address} on {card}; gateway {gateway}
  Image     {image_id}
  Made by   {builder}, profile {profile}

Log in with one of the SSH keys that were baked in; there are no passwords:

{logins}
The node shows these host keys:

{fingerprints}
How its first boot went is in report.json beside this file, and on the node in
{report}.
The settings were baked in: editing this file changes nothing.
",
        name = node.name,
        cluster = manifest.cluster.name,
        role = node.role,
        address = node.address,
        profile = manifest.profile,
        report = paths::REPORT,
    )
}
