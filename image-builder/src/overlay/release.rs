//! What a release image adds to its base: all that is the same for every node of
//! a profile, and nothing of any node. No secret, no name, no address, no login.
//!
//! It is a base again: a node is added to it as to any other, and what the
//! release carries already is not added a second time.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use node_config::{Package, paths};
use serde::{Deserialize, Serialize};

use super::{
    BaseView, Content, Overlay, Part, Payload, agent, cmdline, firmware, mounts, packages, payload,
    stock,
};
use crate::ids::NodeIds;
use crate::plan::{K3s, Profile};

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// What a release image is, on its root: how a later build knows what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// Format of this document, [`VERSION`].
    pub version: u32,
    /// `imgbuild-PROFILE-VERSION`.
    pub release: String,
    /// The profile's name.
    pub profile: String,
    /// The program that made it.
    pub builder: String,
    /// sha256 of the base image, in hex.
    pub base_sha256: String,
    /// The K3s release, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k3s: Option<CarriedK3s>,
    /// Packages that the profile asked for, sorted.
    #[serde(default)]
    pub wanted: Vec<String>,
    /// What that takes, in the order of installation.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// Every file that came from outside, sorted by path.
    #[serde(default)]
    pub files: Vec<CarriedFile>,
}

/// A K3s release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedK3s {
    /// Its tag.
    pub version: String,
    /// The images of its own containers are there too.
    pub airgap: bool,
}

/// A file on the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedFile {
    /// Absolute path.
    pub path: String,
    /// sha256 of its content, in hex.
    pub sha256: String,
}

/// A release that was made for something else.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the release image {release} has {has}, and {who} asks for {wanted}; {cure}")]
pub struct Mismatch {
    release: String,
    has: String,
    who: &'static str,
    wanted: String,
    cure: &'static str,
}

impl Carried {
    /// Reads the document.
    ///
    /// # Errors
    /// When the text is not JSON of this shape, or of a version not known here.
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let what = "release.json is not a release's description";
        let Head { version } = serde_json::from_str(text).context(what)?;
        ensure!(
            version == VERSION,
            "release.json has version {version}, this imgbuild reads {VERSION}; update it"
        );
        let carried: Self = serde_json::from_str(text).context(what)?;
        for package in &carried.packages {
            package.check()?;
        }
        Ok(carried)
    }

    /// Renders the document; [`Carried::parse`] gives the same value back.
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data serialises to JSON") + "\n"
    }

    /// What of a node's payload is in it already: all, or it is the wrong release.
    ///
    /// # Errors
    /// [`Mismatch`] when node and release differ in profile, K3s or packages.
    pub fn payload(&self, profile: &Profile, k3s: Option<&K3s>) -> Result<Payload, Mismatch> {
        let mismatch = |has: String, who, wanted: String, cure| Mismatch {
            release: self.release.clone(),
            has,
            who,
            wanted,
            cure,
        };
        if self.profile != profile.name {
            return Err(mismatch(
                format!("the profile {}", self.profile),
                "the node",
                profile.name.clone(),
                "use a release of that profile",
            ));
        }
        let wanted = k3s.map(CarriedK3s::of);
        if wanted.is_some() && self.k3s != wanted {
            let words = |k3s: &Option<CarriedK3s>| k3s.as_ref().map_or("no K3s".into(), in_words);
            return Err(mismatch(
                words(&self.k3s),
                "the cluster",
                words(&wanted),
                "use the release made with it, or name its version in [k3s]",
            ));
        }
        if self.wanted != profile.packages {
            let words = |list: &[String]| format!("the packages {}", list.join(", "));
            return Err(mismatch(
                words(&self.wanted),
                "the profile",
                words(&profile.packages),
                "make the release anew, or take the profile it was made with",
            ));
        }
        Ok(Payload {
            packages: self.packages.clone(),
            ..Payload::default()
        })
    }
}

impl CarriedK3s {
    fn of(k3s: &K3s) -> Self {
        Self {
            version: k3s.version.clone(),
            airgap: k3s.airgap,
        }
    }
}

fn in_words(k3s: &CarriedK3s) -> String {
    let images = match k3s.airgap {
        true => " with its images",
        false => "",
    };
    format!("K3s {}{images}", k3s.version)
}

/// Everything a release's overlay is made from, the base aside.
#[derive(Clone, Copy)]
pub struct ReleaseRequest<'a> {
    /// `imgbuild-PROFILE-VERSION`.
    pub name: &'a str,
    /// The kind of node.
    pub profile: &'a Profile,
    /// The K3s to carry, if any.
    pub k3s: Option<&'a K3s>,
    /// The ids of the disk.
    pub ids: &'a NodeIds,
    /// The `firstboot-agent` program for the node.
    pub agent: &'a Arc<[u8]>,
    /// The agent's systemd unit.
    pub agent_unit: &'a str,
    /// What it carries of others.
    pub payload: &'a Payload,
    /// sha256 of the base image, in hex.
    pub base_digest: &'a str,
}

/// Renders the overlay of a release.
///
/// # Errors
/// When the base cannot be read, or lacks what the profile needs.
pub fn render_release(
    request: &ReleaseRequest<'_>,
    base: &dyn BaseView,
) -> Result<(Overlay, Carried)> {
    let ReleaseRequest {
        name,
        profile,
        k3s,
        ids,
        agent,
        agent_unit,
        payload,
        base_digest,
    } = *request;
    let mut overlay = Overlay::default();
    // As a node has it: see `system`. Without this, trixie sees a first boot.
    overlay.file(Part::Root, "/etc/machine-id", 0o444, "");
    mounts::add(&mut overlay, profile, ids, base)?;
    firmware::add(&mut overlay, profile, base).context("editing config.txt")?;
    cmdline::add(&mut overlay, profile, ids, base).context("editing cmdline.txt")?;
    stock::switch_off(&mut overlay, base).context("switching the stock first boot off")?;
    agent::add(&mut overlay, agent, agent_unit, base).context("adding the first-boot agent")?;
    packages::add_place(&mut overlay, &payload.packages)?;
    payload::add(&mut overlay, payload, k3s, base).context("adding what is downloaded")?;

    let mut files: Vec<_> = payload
        .files
        .iter()
        .map(|file| CarriedFile {
            path: file.path.clone(),
            sha256: file.content.sha256(),
        })
        .collect();
    files.push(CarriedFile {
        path: paths::AGENT.into(),
        sha256: Content::from(Arc::clone(agent)).sha256(),
    });
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let carried = Carried {
        version: VERSION,
        release: name.to_owned(),
        profile: profile.name.clone(),
        builder: concat!("imgbuild ", env!("CARGO_PKG_VERSION")).to_owned(),
        base_sha256: base_digest.to_owned(),
        k3s: k3s.map(CarriedK3s::of),
        wanted: profile.packages.clone(),
        packages: payload.packages.clone(),
        files,
    };
    let described = carried.render();
    let people = for_people(&carried).replace('\n', "\r\n");
    overlay.file(Part::Root, paths::RELEASE, 0o644, described.as_str());
    for (path, text) in ON_BOOT.into_iter().zip([people, described]) {
        overlay.file(Part::Boot, boot_path(path), 0o644, text);
    }
    Ok((overlay, carried))
}

/// What says of a disk that it is a release and no node: for people, for `imgbuild`.
const ON_BOOT: [&str; 2] = [paths::BOOT_RELEASE_TXT, paths::BOOT_RELEASE];

/// Takes away what would say of a node that it is none.
pub(super) fn leave(overlay: &mut Overlay, base: &dyn BaseView) -> Result<()> {
    for path in ON_BOOT.map(boot_path) {
        if base.kind(Part::Boot, path)?.is_some() {
            overlay.remove(Part::Boot, path);
        }
    }
    Ok(())
}

/// The path inside the boot file system of a path on the running node.
fn boot_path(path: &str) -> &str {
    paths::in_boot(path).unwrap_or(path)
}

fn for_people(carried: &Carried) -> String {
    let k3s = carried.k3s.as_ref().map_or("none".into(), in_words);
    format!(
        "This disk is the release image {release}. It is no node yet: it has no name,
no address and no login. Started like this it waits, says so on its console, and
flashes its light every three seconds.

  Profile   {profile}
  K3s       {k3s}
  Made by   {builder}

Give it a node of your cluster. DIR is the folder that this file is in, on your
machine or on the one this disk is plugged into:

  imgbuild seed NODE DIR --release {release}.img.zst

Then start it: it becomes the node and starts anew. Or write it as a node, which
overwrites this disk:

  imgbuild write {release}.img.zst --node NODE /dev/DISK
",
        release = carried.release,
        profile = carried.profile,
        builder = carried.builder,
    )
}
