//! What an image carries of others: K3s, downloads, packages. Files of the
//! cache, placed by reference.

use anyhow::Result;
use node_config::{Handover, Package};

use crate::plan::K3s;

use super::{BaseView, Content, Overlay, Owner, Part, extra, units};

/// K3s is its own client under other names, as its installer sets it up.
const K3S_LINKS: [&str; 3] = ["crictl", "ctr", "kubectl"];

/// Files for the root, and what the agent is told of them.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// In no order.
    pub files: Vec<PayloadFile>,
    /// The packages that the agent installs, in that order; their files are
    /// among `files`, in [`node_config::paths::PACKAGES_DIR`].
    pub packages: Vec<Package>,
    /// How the node hands its cluster over, if it does; all that takes is among
    /// `files`.
    pub handover: Option<Handover>,
    /// Names of units among `files` that the node starts.
    pub units: Vec<&'static str>,
}

/// One file, root's.
#[derive(Debug, Clone)]
pub struct PayloadFile {
    /// Absolute path on the root file system.
    pub path: String,
    /// Permission bits.
    pub mode: u16,
    /// What it holds.
    pub content: Content,
}

/// Adds the files, and K3s' other names if it is among them or in the base.
pub(super) fn add(
    overlay: &mut Overlay,
    payload: &Payload,
    k3s: Option<&K3s>,
    base: &dyn BaseView,
) -> Result<()> {
    for PayloadFile {
        path,
        mode,
        content,
    } in &payload.files
    {
        extra::add_file(overlay, base, path, *mode, Owner::ROOT, content.clone())?;
    }
    for unit in &payload.units {
        units::enable(overlay, base, unit)?;
    }
    if k3s.is_some() {
        for name in K3S_LINKS {
            overlay.link(Part::Root, &format!("/usr/local/bin/{name}"), "k3s");
        }
    }
    Ok(())
}
