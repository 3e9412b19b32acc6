//! Machines for tests: a tree as `System::at` takes it, in the kernel's forms.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::System;

pub(crate) const GIB: u64 = 1 << 30;

/// A machine. Files in its `dev` stand for devices, and hold what is on them.
pub(crate) struct Tree {
    dir: TempDir,
    minor: Cell<u32>,
}

impl Tree {
    /// A machine without disks, whose root is in memory.
    pub(crate) fn new() -> Self {
        // Hundreds of small files: in memory where that is possible.
        let memory = tempfile::tempdir_in("/dev/shm");
        let tree = Self {
            dir: memory
                .or_else(|_| tempfile::tempdir())
                .expect("a directory"),
            minor: Cell::new(0),
        };
        for dir in [
            "sys/class/block",
            "proc/self",
            "run/udev/data",
            "dev",
            "home",
        ] {
            fs::create_dir_all(tree.path(dir)).expect(dir);
        }
        tree.append("proc/self/mountinfo", "1 1 0:2 / / rw - rootfs rootfs rw\n");
        tree.append("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        tree
    }

    pub(crate) fn system(&self) -> System {
        System::at(self.dir.path())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect(name);
        fs::write(path, text).expect(name);
    }

    fn append(&self, name: &str, text: &str) {
        let mut all = fs::read_to_string(self.path(name)).unwrap_or_default();
        all += text;
        self.write(name, all);
    }

    /// A disk of that many bytes at a place below `sys/devices`. All zeros.
    pub(crate) fn disk(&self, name: &str, place: &str, size: u64) {
        self.block(name, &format!("{place}/block/{name}"), size);
        self.write(&format!("sys/class/block/{name}/removable"), "0\n");
        let sector = format!("sys/class/block/{name}/queue/logical_block_size");
        self.write(&sector, "512\n");
        let diskseq = format!("{}\n", self.minor.get());
        self.write(&format!("sys/class/block/{name}/diskseq"), diskseq);
    }

    /// A partition, `NAMEn` or `NAMEpn`.
    pub(crate) fn partition(&self, disk: &str, number: u32, start: u64, size: u64) -> String {
        let between = if disk.ends_with(|last: char| last.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        let name = format!("{disk}{between}{number}");
        let dir = fs::canonicalize(self.path(&format!("sys/class/block/{disk}"))).expect(disk);
        let devices = fs::canonicalize(self.path("sys/devices")).expect("devices");
        let place = dir.strip_prefix(devices).expect("inside").join(&name);
        self.block(&name, place.to_str().expect("UTF-8"), size);
        let dir = format!("sys/class/block/{name}");
        self.write(&format!("{dir}/partition"), format!("{number}\n"));
        self.write(&format!("{dir}/start"), format!("{}\n", start / 512));
        name
    }

    fn block(&self, name: &str, place: &str, size: u64) {
        let minor = self.minor.get();
        self.minor.set(minor + 1);
        let dir = format!("sys/devices/{place}");
        self.write(&format!("{dir}/dev"), format!("8:{minor}\n"));
        self.write(&format!("{dir}/size"), format!("{}\n", size / 512));
        self.write(&format!("{dir}/ro"), "0\n");
        for list in ["holders", "slaves"] {
            fs::create_dir_all(self.path(&format!("{dir}/{list}"))).expect(list);
        }
        let link = self.path(&format!("sys/class/block/{name}"));
        symlink(Path::new("../../devices").join(place), link).expect(name);
        let node = self.path(&format!("dev/{}", name.replace('!', "/")));
        fs::create_dir_all(node.parent().expect("dev")).expect("dev");
        let node = File::create(node).expect(name);
        node.set_len(size).expect("a hole");
    }

    /// One device made of another.
    pub(crate) fn hold(&self, holder: &str, of: &str) {
        self.write(&format!("sys/class/block/{of}/holders/{holder}"), "");
        self.write(&format!("sys/class/block/{holder}/slaves/{of}"), "");
    }

    pub(crate) fn number(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("sys/class/block/{name}/dev")));
        text.expect(name).trim().to_owned()
    }

    pub(crate) fn mount(&self, name: &str, point: &str) {
        self.mount_in("self", name, point);
    }

    /// As a process sees it.
    pub(crate) fn mount_in(&self, process: &str, name: &str, point: &str) {
        let number = self.number(name);
        self.mountinfo(process, &number, point, &format!("/dev/{name}"));
    }

    pub(crate) fn mountinfo(&self, process: &str, number: &str, point: &str, source: &str) {
        let line = format!("9 1 {number} / {point} rw,relatime shared:1 - fs {source} rw\n");
        self.append(&format!("proc/{process}/mountinfo"), &line);
    }

    pub(crate) fn swap(&self, path: &str) {
        self.append("proc/swaps", &format!("{path} partition\t1024\t0\t-2\n"));
    }

    pub(crate) fn udev(&self, name: &str, properties: &[(&str, &str)]) {
        let lines = properties.iter();
        let lines = lines.map(|(key, value)| format!("E:{key}={value}\n"));
        let file = format!("run/udev/data/b{}", self.number(name));
        self.write(&file, lines.collect::<String>());
    }

    pub(crate) fn by_id(&self, link: &str, name: &str) {
        let dir = self.path("dev/disk/by-id");
        fs::create_dir_all(&dir).expect("by-id");
        symlink(Path::new("../..").join(name), dir.join(link)).expect(link);
    }

    /// A laptop with all that can be in one.
    pub(crate) fn workshop() -> Self {
        let tree = Self::new();
        tree.usb_ssd();
        tree.nvme_system();
        tree.sata_disks();
        tree.readers();
        tree.memory();
        tree
    }

    fn usb_ssd(&self) {
        let place = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
        self.disk("sda", place, 500_107_862_016);
        let sda1 = self.partition("sda", 1, 1 << 20, 500 * GIB / 2);
        self.udev(
            "sda",
            &[
                ("ID_BUS", "ata"),
                ("ID_VENDOR", "Samsung"),
                ("ID_MODEL", "PSSD_T7"),
                ("ID_MODEL_ENC", "PSSD\\x20T7\\x20\\x20\\x20"),
                ("ID_SERIAL", "Samsung_PSSD_T7_S6XPNS0T123456"),
                ("ID_SERIAL_SHORT", "S6XPNS0T123456"),
            ],
        );
        self.udev(&sda1, &[("ID_FS_TYPE", "exfat"), ("ID_FS_LABEL", "T7")]);
        self.by_id("usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0", "sda");
        self.by_id("usb-Samsung_PSSD_T7_S6XPNS0T123456-0:0-part1", "sda1");
        self.by_id("wwn-0x5002538e40000000", "sda");
    }

    fn nvme_system(&self) {
        let place = "pci0000:00/0000:00:06.0/0000:01:00.0/nvme/nvme0";
        self.disk("nvme0n1", place, 1_000_204_886_016);
        self.write(
            "sys/class/block/nvme0n1/device/model",
            "WD_BLACK SN850X 1000GB   ",
        );
        self.write("sys/class/block/nvme0n1/device/serial", "  23091A800001\n");
        let efi = self.partition("nvme0n1", 1, 1 << 20, GIB);
        let boot = self.partition("nvme0n1", 2, 2 * GIB, GIB);
        let luks = self.partition("nvme0n1", 3, 4 * GIB, 900 * GIB);
        self.udev(&luks, &[("ID_FS_TYPE", "crypto_LUKS")]);
        self.disk("dm-0", "virtual", 900 * GIB);
        self.write("sys/class/block/dm-0/dm/name", "cryptroot\n");
        self.write(
            "sys/class/block/dm-0/dm/uuid",
            "CRYPT-LUKS2-0123-cryptroot\n",
        );
        self.hold("dm-0", &luks);
        self.mount("dm-0", "/");
        self.mount("dm-0", "/var/lib/docker");
        self.mount(&boot, "/boot");
        self.mount(&efi, "/boot/efi");
    }

    fn sata_disks(&self) {
        let port =
            |n: u32| format!("pci0000:00/0000:00:17.0/ata{n}/host{n}/target{n}:0:0/{n}:0:0:0");
        self.disk("sdb", &port(1), 4_000_787_030_016);
        self.write("sys/class/block/sdb/device/vendor", "ATA     ");
        self.write("sys/class/block/sdb/device/model", "WDC WD40EFRX-68N");
        self.write(
            "sys/class/block/sdb/device/vpd_pg80",
            b"\0\x80\0\x14     WD-WCC7K0000001",
        );
        let member = self.partition("sdb", 1, 1 << 20, 3000 * GIB);
        self.udev(&member, &[("ID_FS_TYPE", "linux_raid_member")]);
        self.disk("md127", "virtual", 3000 * GIB);
        self.write("sys/class/block/md127/md/level", "raid1\n");
        self.hold("md127", &member);
        self.mount("md127", "/srv/a\\040b");
        self.disk("sdc", &port(2), 120_034_123_776);
        let swap = self.partition("sdc", 1, 1 << 20, 8 * GIB);
        let zfs = self.partition("sdc", 2, 10 * GIB, 90 * GIB);
        self.swap(&format!("/dev/{swap}"));
        self.udev(
            &zfs,
            &[("ID_FS_TYPE", "zfs_member"), ("ID_FS_LABEL", "tank")],
        );
    }

    fn readers(&self) {
        let usb = "pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/host7/target7:0:0/7:0:0:0";
        self.write(
            "sys/devices/pci0000:00/0000:00:14.0/usb1/serial",
            "0000:00:14.0\n",
        );
        self.write(
            "sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/idVendor",
            "0bda\n",
        );
        self.write(
            "sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/serial",
            "201404081410\n",
        );
        self.disk("sdd", usb, 0);
        self.write("sys/class/block/sdd/removable", "1\n");
        self.write("sys/class/block/sdd/device/vendor", "Generic-");
        self.write("sys/class/block/sdd/device/model", "SD/MMC          ");
        self.disk(
            "mmcblk0",
            "pci0000:00/mmc0/mmc_host/mmc0/mmc0:aaaa",
            31_914_983_424,
        );
        self.write("sys/class/block/mmcblk0/device/name", "SL32G\n");
        self.write("sys/class/block/mmcblk0/device/type", "SD\n");
        self.write("sys/class/block/mmcblk0/device/serial", "0x1a2b3c4d\n");
        self.write("sys/class/block/mmcblk0/ro", "1\n");
        let bridge = "pci0000:00/0000:00:14.0/usb2/2-2/2-2:1.0/host8/target8:0:0/8:0:0:0";
        self.disk("sde", bridge, 2_000_398_934_016);
        self.write("sys/class/block/sde/queue/logical_block_size", "4096\n");
        self.udev("sde", &[("ID_FS_TYPE", "xfs"), ("ID_FS_LABEL", "backup")]);
    }

    fn memory(&self) {
        self.disk("zram0", "virtual", 4 * GIB);
        self.swap("/dev/zram0");
        self.disk("loop0", "virtual", GIB);
        self.write(
            "sys/class/block/loop0/loop/backing_file",
            "/home/pi-1.img\n",
        );
        self.disk("loop1", "virtual", 0);
    }
}
