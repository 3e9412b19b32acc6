//! The room on machines made of files.

mod contents;
mod find;
mod refusals;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::testing::Tree;
use super::*;

fn devices(tree: &Tree) -> Vec<Device> {
    tree.system().devices().expect("devices")
}

fn device(tree: &Tree, name: &str) -> Device {
    let path = Path::new("/dev").join(name);
    tree.system().find(&path).expect(name)
}

/// Why a disk is refused, in words.
fn reasons(tree: &Tree, name: &str, ask: &Ask<'_>) -> Vec<String> {
    let refusals = tree.system().refusals(&device(tree, name), ask);
    let refusals = refusals.expect("refusals").into_iter();
    refusals.map(|refusal| refusal.to_string()).collect()
}

/// A disk's bytes.
fn node(tree: &Tree, name: &str) -> File {
    let path = tree.path(&format!("dev/{name}"));
    let options = File::options().read(true).write(true).open(path);
    options.expect(name)
}

/// An MBR with partitions of `(start, length)` in bytes.
fn mbr(disk: &File, partitions: &[(u64, u64)]) {
    let mut sector = [0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    for (record, (start, len)) in sector[446..510].chunks_mut(16).zip(partitions) {
        record[4] = 0x0c;
        for (at, value) in [(8, start), (12, len)] {
            let sectors = u32::try_from(value / 512).expect("small");
            record[at..at + 4].copy_from_slice(&sectors.to_le_bytes());
        }
    }
    disk.write_all_at(&sector, 0).expect("MBR");
}

#[test]
fn disks_are_described_by_udev_or_without_it() {
    let tree = Tree::workshop();
    let described: Vec<_> = devices(&tree)
        .into_iter()
        .filter(Device::is_disk)
        .map(|device| {
            let text = |text: Option<String>| text.unwrap_or("-".into());
            let inside = if device.internal {
                "internal"
            } else {
                "external"
            };
            format!(
                "{} {} {inside} {} | {} | {}",
                device.name,
                device.transport,
                device.size,
                text(device.model),
                text(device.serial)
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            "loop0 loop external 1073741824 | - | -",
            "mmcblk0 MMC external 31914983424 | SL32G | 0x1a2b3c4d",
            "nvme0n1 NVMe internal 1000204886016 | WD_BLACK SN850X 1000GB | 23091A800001",
            "sda USB external 500107862016 | Samsung PSSD T7 | S6XPNS0T123456",
            "sdb SATA internal 4000787030016 | WDC WD40EFRX-68N | WD-WCC7K0000001",
            "sdc SATA internal 120034123776 | - | -",
            "sdd USB external 0 | Generic- SD/MMC | 201404081410",
            "sde USB external 2000398934016 | - | -",
        ]
    );
}

#[test]
fn emmc_is_internal_and_a_virtual_disk_too() {
    let tree = Tree::new();
    tree.disk("mmcblk1", "platform/emmc2/mmc_host/mmc1/mmc1:0001", 8 << 30);
    tree.write("sys/class/block/mmcblk1/device/type", "MMC\n");
    tree.disk("vda", "pci0000:00/0000:00:02.0/virtio1", 8 << 30);
    tree.disk(
        "sda",
        "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0",
        8 << 30,
    );
    tree.write("sys/class/block/sda/removable", "1\n");
    let internal: Vec<_> = devices(&tree)
        .into_iter()
        .map(|device| (device.name, device.internal))
        .collect();
    let wanted = [("mmcblk1", true), ("sda", false), ("vda", true)];
    assert_eq!(internal, wanted.map(|(name, is)| (name.to_owned(), is)));
}

#[test]
fn sizes_are_as_sold_and_never_rounded_up() {
    let shown = |bytes| Bytes(bytes).to_string();
    assert_eq!(shown(500_107_862_016), "500.1 GB (465.7 GiB)");
    assert_eq!(shown(1_999_999_999_999), "1.9 TB (1.8 TiB)");
    assert_eq!(shown(999), "999 B (999 B)");
    assert_eq!(shown(u64::MAX), "18446744.0 TB (16777215.9 TiB)");
}
