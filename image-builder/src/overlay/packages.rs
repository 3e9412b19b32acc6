//! What a node that installs packages needs beside them. The package files are
//! not of this room: they are big, and nothing here depends on their content.

use anyhow::{Context as _, Result, bail};
use node_config::package::refusal;
use node_config::{Package, paths};

use super::render::Request;
use super::{BaseView, Overlay, Owner, Part, units};

const OPEN_ISCSI: &str = "open-iscsi";

/// The authority that names initiators, and the month it did so first (RFC 3720,
/// section 3.2.6.3.1): it must own the domain, and we own none. Debian does, and
/// under this prefix its package gives every machine a name by itself. Ours is
/// in the place of that one, and longer, so it equals none that Debian made.
const NAMING_AUTHORITY: &str = "iqn.1993-08.org.debian:01";

/// Claims every disk that Longhorn attaches. Masked whether or not it is there:
/// a package may bring it later, and systemd minds no mask of a unit that is not.
const MULTIPATH: [&str; 2] = ["multipathd.service", "multipathd.socket"];

/// Longhorn looks for a running iscsid and enters its name spaces. Debian starts
/// it when a program asks for it on its socket, and from inside a pod none can.
/// As a want of the socket, which the package itself enables, it is there from
/// the moment of its installation.
const RUN_ISCSID: &str = "[Unit]\nWants=iscsid.service\n";

/// iscsid does not look again for a transport that came after it.
const TRANSPORT_FIRST: &str =
    "[Unit]\nWants=modprobe@iscsi_tcp.service\nAfter=modprobe@iscsi_tcp.service\n";

/// Adds it. `node.toml` lists the packages: that is the agent's room.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    add_place(overlay, &request.payload.packages)?;
    if has_initiator(&request.payload.packages, base)? {
        add_initiator(overlay, request, base).context("setting up iSCSI")?;
    }
    Ok(())
}

/// Where the package files lie, after a look at what they are.
pub(super) fn add_place(overlay: &mut Overlay, packages: &[Package]) -> Result<()> {
    for package in packages {
        package.check()?;
        if let Some(why) = refusal(&package.name, &package.version) {
            bail!("{why}");
        }
    }
    if !packages.is_empty() {
        overlay.dir(Part::Root, paths::PACKAGES_DIR, 0o700, Owner::ROOT);
    }
    Ok(())
}

/// By the list of files that dpkg keeps of a package that is installed.
fn has_initiator(packages: &[Package], base: &dyn BaseView) -> Result<bool> {
    let wanted = packages.iter().any(|package| package.name == OPEN_ISCSI);
    Ok(wanted || base.has(&format!("/var/lib/dpkg/info/{OPEN_ISCSI}.list"))?)
}

fn add_initiator(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    // The package makes a random one where there is none, and keeps what it finds.
    let id = request.ids.initiator.simple();
    let name = format!(
        "# By imgbuild: the same for this node however often it is written anew.\n\
         InitiatorName={NAMING_AUTHORITY}:{id}\n"
    );
    // Whoever knows it can pose as the node to a target that asks for no more.
    let path = "/etc/iscsi/initiatorname.iscsi";
    overlay.file(Part::Root, path, 0o600, name);
    for (unit, text) in [("socket", RUN_ISCSID), ("service", TRANSPORT_FIRST)] {
        let path = format!("/etc/systemd/system/iscsid.{unit}.d/50-imgbuild.conf");
        overlay.file(Part::Root, &path, 0o644, text);
    }
    for unit in MULTIPATH {
        units::mask(overlay, base, unit)?;
    }
    Ok(())
}
