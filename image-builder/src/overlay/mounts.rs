//! `/etc/fstab`: our partitions instead of the base's; and the data partition's
//! own unit.

use anyhow::Result;
use node_config::paths;
use uuid::Uuid;

use crate::ids::NodeIds;
use crate::plan::Profile;

use super::{BaseView, Overlay, Part};

const FSTAB: &str = "/etc/fstab";

/// Added to the boot partition's options. Nothing on a running node needs that
/// partition, and FAT is easily damaged: without `nofail` systemd would go to
/// emergency mode, which has no ssh (systemd.mount(5)). How long it is waited for
/// is systemd's default: nobody waits with it, and a busy machine needs it.
const BOOT_OPTIONS: [&str; 1] = ["nofail"];

/// Names of partitions and file systems by what is written on a disk.
const TAGS: [&str; 5] = [
    "PARTUUID=",
    "UUID=",
    "PARTLABEL=",
    "LABEL=",
    "/dev/disk/by-",
];

/// Points the two file systems of the image at our partitions, and says where a
/// data partition is mounted.
pub(super) fn add(
    overlay: &mut Overlay,
    profile: &Profile,
    ids: &NodeIds,
    base: &dyn BaseView,
) -> Result<()> {
    let stock = base.text(Part::Root, FSTAB)?.unwrap_or_default();
    overlay.file(Part::Root, FSTAB, 0o644, fstab(&stock, ids));
    if profile.disk.data.is_some() {
        let path = format!("/etc/systemd/system/{}", paths::DATA_UNIT);
        overlay.file(Part::Root, &path, 0o644, data_unit(ids));
    }
    Ok(())
}

/// Mounts the data partition; as systemd-fstab-generator(8) would, and K3s waits.
/// Here and not in fstab, and not enabled: until the agent has made the file
/// system, every boot would wait 90 s for it. By its UUID, so that a disk whose
/// ids were copied, but not its content, is not taken for it.
fn data_unit(ids: &NodeIds) -> String {
    let uuid = ids.data_fs.hyphenated().to_string();
    // systemd-escape --path
    let device = format!("dev-disk-by\\x2duuid-{}", uuid.replace('-', "\\x2d"));
    format!(
        "# Written by imgbuild; enabled by the first-boot agent once it is formatted.
[Unit]
Description=Data partition of this node
Requires=systemd-fsck@{device}.service
After=systemd-fsck@{device}.service
Before=k3s.service k3s-agent.service

[Mount]
What=/dev/disk/by-uuid/{uuid}
Where={target}
Type=ext4
# A node whose data partition is lost still has its login.
Options=noatime,nofail

[Install]
WantedBy=local-fs.target
",
        target = paths::DATA_DIR
    )
}

/// In the two lines only the first field changes, and the boot partition's
/// options: the base knows best how its file systems want to be mounted. Lines
/// that would wait for a disk that is not there become comments.
fn fstab(stock: &str, ids: &NodeIds) -> String {
    // As Raspberry Pi OS mounts them, for a base without such a line.
    let mut ours: Vec<(&str, Uuid, &str)> = vec![
        ("/boot/firmware", ids.boot, "vfat  defaults  0  2"),
        ("/", ids.root, "ext4  defaults,noatime  0  1"),
    ];
    let mut text = String::new();
    for line in stock.lines() {
        let Some(entry) = Entry::parse(line) else {
            text += &format!("{line}\n");
            continue;
        };
        let found = ours.iter().position(|(target, ..)| *target == entry.target);
        match found {
            Some(at) => {
                let (target, id, _) = ours.remove(at);
                text += &mount(&entry.from(&partuuid(id)), target);
            }
            None => match stale(&entry, ids) {
                Some(why) => text += &format!("# imgbuild: {why}\n# {line}\n"),
                None => text += &format!("{line}\n"),
            },
        }
    }
    for (target, id, rest) in ours {
        text += &mount(&format!("{}  {target}  {rest}", partuuid(id)), target);
    }
    text
}

/// One of our two lines, complete.
fn mount(line: &str, target: &str) -> String {
    match Entry::parse(line) {
        Some(entry) if target == "/boot/firmware" => entry.with_options(&BOOT_OPTIONS) + "\n",
        _ => format!("{line}\n"),
    }
}

/// Why a line cannot stay, if it cannot: a mount that fails at boot, without
/// `nofail`, ends in emergency mode.
fn stale(entry: &Entry<'_>, ids: &NodeIds) -> Option<&'static str> {
    if matches!(entry.target, "/" | "/boot/firmware") {
        return Some("mounted by a line above");
    }
    let waited_for = !entry
        .options
        .split(',')
        .any(|option| matches!(option, "nofail" | "noauto"));
    let tagged = TAGS.iter().any(|tag| entry.source.starts_with(tag));
    let of_this_disk = [ids.boot, ids.root, ids.data].map(partuuid);
    (tagged && waited_for && !of_this_disk.iter().any(|of| of == entry.source))
        .then_some("not on this disk; with `nofail` among its options it would be kept")
}

/// A line of fstab(5), with its fields where they lie.
struct Entry<'a> {
    line: &'a str,
    source: &'a str,
    /// Without a slash at its end.
    target: &'a str,
    /// Empty if the line has none.
    options: &'a str,
}

impl<'a> Entry<'a> {
    /// None for comments and lines of fewer than two fields.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (source, target) = (fields.next()?, fields.next()?);
        let trimmed = target.trim_end_matches('/');
        (!source.starts_with('#')).then(|| Self {
            line,
            source,
            target: if trimmed.is_empty() { target } else { trimmed },
            options: fields.nth(1).unwrap_or_default(),
        })
    }

    /// The line with another source.
    fn from(&self, source: &str) -> String {
        self.line.replacen(self.source, source, 1)
    }

    /// The line with the options it does not have yet.
    fn with_options(&self, wanted: &[&str]) -> String {
        let mut all: Vec<&str> = self.options.split(',').filter(|o| !o.is_empty()).collect();
        for option in wanted {
            // One that has a value of the base's own keeps it.
            let key = |option: &str| option.split('=').next().map(String::from);
            if !all.iter().any(|have| key(have) == key(option)) {
                all.push(option);
            }
        }
        let all = all.join(",");
        match self.options {
            "" => format!("{}  {all}", self.line.trim_end()),
            _ => {
                // Field by field with the blanks behind it: its columns stay.
                let mut number = 0;
                let pieces = self.line.split_inclusive(char::is_whitespace);
                let changed = pieces.map(|piece| {
                    number += u32::from(!piece.trim().is_empty());
                    match number == 4 && !piece.trim().is_empty() {
                        true => piece.replacen(piece.trim(), &all, 1),
                        false => piece.to_owned(),
                    }
                });
                changed.collect()
            }
        }
    }
}

/// Lower case, as udev names the link below `/dev/disk/by-partuuid`: it is a
/// path there, and `C20B...` would never appear.
pub(super) fn partuuid(id: Uuid) -> String {
    format!("PARTUUID={}", id.hyphenated())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> NodeIds {
        NodeIds::derive(Uuid::nil(), "pi-1")
    }

    #[test]
    fn our_two_sources_change_and_the_boot_partition_may_be_missing() {
        let ids = ids();
        let (boot, root) = (partuuid(ids.boot), partuuid(ids.root));
        let options = "nofail";
        let cases = [
            (
                "proc /proc proc defaults 0 0\nPARTUUID=8a1b2c3d-01  /boot/firmware/  vfat    defaults          0       2\n\
                 PARTUUID=8a1b2c3d-02  /               ext4    defaults,noatime  0       1\n# / is above\n",
                format!(
                    "proc /proc proc defaults 0 0\n{boot}  /boot/firmware/  vfat    defaults,{options}          0       2\n\
                     {root}  /               ext4    defaults,noatime  0       1\n# / is above\n"
                ),
            ),
            (
                "tmpfs /tmp tmpfs size=1G 0 0",
                format!(
                    "tmpfs /tmp tmpfs size=1G 0 0\n{boot}  /boot/firmware  vfat  defaults,{options}  0  2\n\
                     {root}  /  ext4  defaults,noatime  0  1\n"
                ),
            ),
            (
                "LABEL=bootfs /boot/firmware vfat",
                format!(
                    "{boot} /boot/firmware vfat  {options}\n{root}  /  ext4  defaults,noatime  0  1\n"
                ),
            ),
        ];
        for (stock, wanted) in cases {
            let once = fstab(stock, &ids);
            assert_eq!(once, wanted);
            assert_eq!(fstab(&once, &ids), wanted, "again");
        }
    }

    #[test]
    fn what_the_boot_would_wait_for_becomes_a_comment() {
        let ids = ids();
        let own = format!("{} /data ext4 defaults 0 2", partuuid(ids.data));
        for (line, kept) in [
            ("PARTUUID=8a1b2c3d-02 / ext4 ro 0 1", false),
            ("/dev/sda1 /boot/firmware vfat defaults 0 2", false),
            ("PARTUUID=8a1b2c3d-03 /data ext4 defaults 0 2", false),
            ("PARTUUID=8a1b2c3d-04 none swap sw 0 0", false),
            ("UUID=1234-ABCD /boot/efi vfat umask=0077 0 1", false),
            ("PARTUUID=8a1b2c3d-03 /data ext4 defaults,nofail 0 2", true),
            ("LABEL=usb /media/usb ext4 noauto 0 0", true),
            ("nas:/backup /backup nfs defaults 0 0", true),
            ("/var/swap none swap sw 0 0", true),
            (&own, true),
        ] {
            let stock = format!("{}{line}\n", fstab("", &ids));
            let found = fstab(&stock, &ids);
            assert_eq!(found.lines().any(|of| of == line), kept, "{found}");
            assert!(found.contains(&format!("# {line}\n")) != kept, "{found}");
            assert_eq!(fstab(&found, &ids), found, "again");
        }
    }
}
