//! The machine's name and id, its journal and its clock.

use anyhow::Result;
use uuid::Uuid;

use crate::ids::NodeIds;
use crate::plan::{MachineId, NodePlan, Size};

use super::{BaseView, Overlay, Part, block};

const HOSTS: &str = "/etc/hosts";

/// Used when the base has no `/etc/hosts`.
const LOCALHOST: &str = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n";

/// Sorts after Raspberry Pi OS' `40-rpi-volatile-storage.conf` in
/// `/usr/lib/systemd/journald.conf.d`. Drop-ins of all directories are ordered
/// by name alone, so with a smaller number the journal would be lost at every
/// reboot, and with it the story of a first boot that went wrong.
const JOURNALD: &str = "/etc/systemd/journald.conf.d/90-imgbuild.conf";

/// Written when open-iscsi is installed, so every copy of a base has the same:
/// two nodes then look like one to whoever serves them storage.
const ISCSI: &str = "/etc/iscsi/initiatorname.iscsi";

const TIMESYNCD: &str = "/etc/systemd/timesyncd.conf.d/90-imgbuild.conf";

/// Host name, hosts, machine-id and iSCSI name.
pub(super) fn name_the_machine(
    overlay: &mut Overlay,
    plan: &NodePlan,
    ids: &NodeIds,
    base: &dyn BaseView,
) -> Result<()> {
    overlay.file(
        Part::Root,
        "/etc/hostname",
        0o644,
        format!("{}\n", plan.node.name),
    );
    let stock = base.text(Part::Root, HOSTS)?;
    overlay.file(
        Part::Root,
        HOSTS,
        0o644,
        hosts(stock.as_deref().unwrap_or(LOCALHOST), plan),
    );

    // Never left as trixie ships it: `uninitialized` means a first boot to
    // systemd, which then applies presets (Debian's enable every unit) and, if
    // /etc/localtime is missing, asks on the console and waits for ever. An
    // empty file is not a first boot: systemd fills it and goes on.
    // /var/lib/dbus/machine-id is a link to this file and stays one.
    let id = match plan.profile.machine_id {
        MachineId::Derived => format!("{}\n", ids.machine.simple()),
        MachineId::FirstBoot => String::new(),
    };
    overlay.file(Part::Root, "/etc/machine-id", 0o444, id);

    if base.has(ISCSI)? {
        // Hashed: machine-id(5) asks not to show the id itself on a network.
        let name = Uuid::new_v5(&ids.machine, b"iscsi").simple();
        let text = format!("InitiatorName=iqn.1993-08.org.debian:01:{name}\n");
        overlay.file(Part::Root, ISCSI, 0o600, text);
    }
    Ok(())
}

/// A journal that survives a reboot, and a cap that keeps it from filling the disk.
pub(super) fn keep_the_journal(overlay: &mut Overlay, plan: &NodePlan) {
    // `persistent` makes /var/log/journal by itself; `auto` would not.
    let text = format!(
        "[Journal]\nStorage=persistent\nSystemMaxUse={}\n",
        systemd_size(plan.profile.journal_max)
    );
    overlay.file(Part::Root, JOURNALD, 0o644, text);
}

/// The cluster's time servers, if it names any; else the base's own.
pub(super) fn set_the_clock(overlay: &mut Overlay, plan: &NodePlan) {
    if !plan.network.ntp.is_empty() {
        let text = format!("[Time]\nNTP={}\n", plan.network.ntp.join(" "));
        overlay.file(Part::Root, TIMESYNCD, 0o644, text);
    }
}

/// The base's hosts with our name at 127.0.1.1, as Debian has it. Not the other
/// nodes: a node added later would change the bytes of every image.
fn hosts(stock: &str, plan: &NodePlan) -> String {
    let old = |line: &&str| line.split_whitespace().next() == Some("127.0.1.1");
    let kept: String = stock
        .lines()
        .filter(|line| !old(line))
        .map(|line| format!("{line}\n"))
        .collect();
    block::append(&kept, &[format!("127.0.1.1\t{}", plan.node.name)])
}

/// A size as systemd reads it: its suffixes are binary but spelled `M`, and it
/// refuses `MiB`.
fn systemd_size(size: Size) -> String {
    match size.bytes() {
        bytes if bytes != 0 && bytes.is_multiple_of(Size::MIB) => format!("{}M", bytes / Size::MIB),
        bytes => bytes.to_string(),
    }
}
