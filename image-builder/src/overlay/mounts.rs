//! `/etc/fstab`: our partitions instead of the base's.

use anyhow::Result;
use uuid::Uuid;

use crate::ids::NodeIds;

use super::{BaseView, Overlay, Part};

const FSTAB: &str = "/etc/fstab";

/// Points the two file systems of the image at our partitions; a data partition
/// is formatted and mounted by the node.
pub(super) fn add(overlay: &mut Overlay, ids: &NodeIds, base: &dyn BaseView) -> Result<()> {
    let stock = base.text(Part::Root, FSTAB)?.unwrap_or_default();
    overlay.file(Part::Root, FSTAB, 0o644, fstab(&stock, ids));
    Ok(())
}

/// Only the first field of the two lines changes: the base knows best how its
/// file systems want to be mounted. Other lines stay as they are.
fn fstab(stock: &str, ids: &NodeIds) -> String {
    // As Raspberry Pi OS mounts them, for a base without such a line.
    let mut ours: Vec<(&str, Uuid, &str)> = vec![
        ("/boot/firmware", ids.boot, "vfat  defaults  0  2"),
        ("/", ids.root, "ext4  defaults,noatime  0  1"),
    ];
    let mut text = String::new();
    for line in stock.lines() {
        let mut fields = line.split_whitespace();
        let source = fields.next().unwrap_or_default();
        let target = fields.next().unwrap_or_default();
        let found = ours.iter().position(|(mounted, ..)| *mounted == target);
        match found {
            Some(at) if !source.starts_with('#') => {
                let (_, id, _) = ours.remove(at);
                text += &line.replacen(source, &partuuid(id), 1);
            }
            _ => text += line,
        }
        text.push('\n');
    }
    for (target, id, rest) in ours {
        text += &format!("{}  {target}  {rest}\n", partuuid(id));
    }
    text
}

/// Lower case, as udev names the link below `/dev/disk/by-partuuid`: it is a
/// path there, and `C20B...` would never appear.
pub(super) fn partuuid(id: Uuid) -> String {
    format!("PARTUUID={}", id.hyphenated())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_two_sources_change() {
        let ids = NodeIds::derive(Uuid::nil(), "pi-1");
        let (boot, root) = (partuuid(ids.boot), partuuid(ids.root));
        let cases = [
            (
                "proc /proc proc defaults 0 0\nPARTUUID=8a1b2c3d-01  /boot/firmware  vfat    defaults          0       2\n\
                 PARTUUID=8a1b2c3d-02  /               ext4    defaults,noatime  0       1\n# / is above\n",
                format!(
                    "proc /proc proc defaults 0 0\n{boot}  /boot/firmware  vfat    defaults          0       2\n\
                     {root}  /               ext4    defaults,noatime  0       1\n# / is above\n"
                ),
            ),
            (
                "tmpfs /tmp tmpfs size=1G 0 0",
                format!(
                    "tmpfs /tmp tmpfs size=1G 0 0\n{boot}  /boot/firmware  vfat  defaults  0  2\n\
                     {root}  /  ext4  defaults,noatime  0  1\n"
                ),
            ),
        ];
        for (stock, wanted) in cases {
            let once = fstab(stock, &ids);
            assert_eq!(once, wanted);
            assert_eq!(fstab(&once, &ids), wanted, "again");
        }
    }
}
