//! What is refused, and that the message says what it takes.

use super::super::Part;
use super::super::memory::MemoryBase;
use super::plans::{file, plan};
use super::{bases, rendered};
use crate::plan::{ExtraFile, NodePlan, PageSize};

#[test]
fn what_cannot_be_had_is_named() {
    type Plan = fn(&mut NodePlan);
    type Base = fn(MemoryBase) -> MemoryBase;
    let same: Base = |base| base;
    let cases: &[(Plan, Base, &str)] = &[
        (
            |p| p.locale.timezone = "europe/berln".into(),
            same,
            "did you mean \"Europe/Berlin\"",
        ),
        (
            |p| p.locale.timezone = "../../etc/passwd".into(),
            same,
            "knows no time zone",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/usr/share/zoneinfo"),
            "tzdata",
        ),
        (
            |p| p.locale.lang = "fr_FR.UTF-8".into(),
            same,
            "use \"C.UTF-8\"",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/usr/lib/systemd/system/NetworkManager.service"),
            "no NetworkManager",
        ),
        (|_| {}, |b| b.without(Part::Root, "/usr/bin/ip"), "no `ip`"),
        (
            |_| {},
            |b| b.without(Part::Root, "/usr/sbin/resize2fs"),
            "no `resize2fs`",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/ssh/sshd_config"),
            "no SSH server",
        ),
        (
            |_| {},
            |b| b.files(Part::Root, &[("/etc/ssh/sshd_config", "#Include\n")]),
            "includes no drop-ins",
        ),
        (
            |_| {},
            |b| b.files(Part::Root, &[("/etc/ssh/sshd_config.d/00-pw.conf", "")]),
            "is read before 01-imgbuild.conf",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/sudoers"),
            "/etc/sudoers",
        ),
        (
            |_| {},
            |b| b.without(Part::Root, "/etc/shadow"),
            "no /etc/shadow",
        ),
        (
            |_| {},
            |b| b.without(Part::Boot, "/kernel_2712.img"),
            "set `page_size` to \"4k\"",
        ),
        (
            |_| {},
            |b| {
                b.without(Part::Boot, "/kernel_2712.img")
                    .without(Part::Boot, "/kernel8.img")
            },
            "16 KiB",
        ),
        (
            |p| p.profile.firmware.page_size = PageSize::FourKib,
            |b| b.without(Part::Boot, "/kernel8.img"),
            "set `page_size` to \"16k\"",
        ),
        (
            |p| p.users[0].name = "daemon".into(),
            same,
            "already has a user daemon",
        ),
        (
            |p| p.users[0].name = "video".into(),
            same,
            "already has a group video",
        ),
        (
            |p| p.profile.firmware.kernel_words = vec!["rw".into()],
            same,
            "presets",
        ),
        (
            |p| p.profile.firmware.kernel_words = vec!["resize2fs".into()],
            same,
            "partition table",
        ),
        (
            |p| p.profile.firmware.kernel_words = vec!["systemd.firstboot=off".into()],
            same,
            "repartitions",
        ),
        (
            |p| p.profile.enable_units = vec!["../ghost.service".into()],
            same,
            "not a unit's name",
        ),
        (
            |p| p.profile.enable_units = vec!["ghost.service".into()],
            same,
            "no unit ghost.service",
        ),
        (
            |p| p.profile.mask_units = vec!["ssh.service".into()],
            same,
            "and masked",
        ),
        (
            |p| p.profile.enable_units = vec!["userconfig.service".into()],
            same,
            "and masked",
        ),
        (
            |p| p.profile.files = vec![file("/etc/hostname", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/boot/firmware/node.TXT", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/etc/imgbuild/node.toml/x", "")],
            same,
            "collides",
        ),
        (
            |p| p.profile.files = vec![file("/etc/../x", "")],
            same,
            "not an absolute path",
        ),
        (
            |p| {
                let open = file("/boot/firmware/password", "");
                p.profile.files = vec![ExtraFile {
                    mode: 0o600,
                    ..open
                }];
            },
            same,
            "which has no modes",
        ),
        (
            |p| p.profile.files = vec![file("/boot/overlays/x.dtbo", "")],
            same,
            "write /boot/firmware/overlays/x.dtbo",
        ),
        (
            |p| p.users[0].name = "eve".into(),
            |b| b.files(Part::Root, &[("/home/eve/.bashrc", "")]),
            "already has /home/eve",
        ),
        (
            |p| p.profile.files = vec![file("/boot/firmware", "")],
            same,
            "is a directory",
        ),
    ];
    for (change, spoil, said) in cases {
        let mut plan = plan();
        change(&mut plan);
        let error = rendered(&plan, &spoil(bases::trixie())).expect_err(said);
        let error = format!("{error:#}");
        assert!(error.contains(said), "wanted {said:?}: {error}");
    }
}
