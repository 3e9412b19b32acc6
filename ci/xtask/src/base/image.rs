//! A packed root tree and the boot files to a disk image, without root, mount or loop device.
//! Layout and features are those of pi-gen's `export-image/prerun.sh` on a trixie host.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::{DISK_ID, EPOCH, shape, stock};
use crate::cmd::Cmd;
use crate::steps::Steps;

/// Names inside the room.
pub(super) const NAME: &str = "base.img";
pub(super) const TREE: &str = "root.tar";
pub(super) const KERNEL: &str = "vmlinuz";
pub(super) const INITRAMFS: &str = "initrd.img";
const BOOT: &str = "boot";

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Both partitions, since pi-gen commit f621f9e2.
const ALIGNMENT: u64 = 8 * MIB;
const BOOT_START: u64 = ALIGNMENT;
const BOOT_SIZE: u64 = 512 * MIB;
const ROOT_START: u64 = BOOT_START + BOOT_SIZE;

/// `mkfs.ext4` of e2fsprogs 1.47.2 (its default features, all named, so that an older mke2fs.conf makes the same), then pi-gen's
/// `-O ^64bit,^huge_file`.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,orphan_file,filetype,extent,flex_bg,metadata_csum_seed,\
    sparse_super,large_file,dir_nlink,extra_isize,metadata_csum,^64bit,^huge_file";
/// Random in a real image.
const ROOT_UUID: &str = "3f1d6a52-7c0e-4b8a-9a57-5d0b2f8c1e64";

/// The files of the boot partition. Debian's kernel takes the place of Raspberry Pi's; there is no firmware beside it.
pub(super) fn fill_boot(room: &Path) -> Result<()> {
    let boot = room.join(BOOT);
    fs::create_dir(&boot).with_context(|| format!("making {}", boot.display()))?;
    for (from, to) in [(KERNEL, "kernel8.img"), (INITRAMFS, "initramfs8")] {
        fs::copy(room.join(from), boot.join(to))
            .with_context(|| format!("copying {from} to {to}"))?;
    }
    let cmdline = format!(
        "console=serial0,115200 console=tty1 root=PARTUUID={DISK_ID:08x}-02 rootfstype=ext4 fsck.repair=yes rootwait resize\n"
    );
    let texts = [
        ("config.txt", CONFIG),
        ("cmdline.txt", &cmdline),
        ("issue.txt", shape::RPI_ISSUE),
    ];
    for (name, text) in texts.iter().chain(stock::SEED) {
        fs::write(boot.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// The shape of pi-gen's `stage1/00-boot-files/files/config.txt` of June 2026.
const CONFIG: &str = "\
# For more options and information see
# http://rptl.io/configtxt

# Enable audio (loads snd_bcm2835)
dtparam=audio=on

# Automatically load overlays for detected cameras
camera_auto_detect=1

# Automatically load overlays for detected DSI displays
display_auto_detect=1

# Automatically load initramfs files, if found
auto_initramfs=1

# Enable DRM VC4 V3D driver
dtoverlay=vc4-kms-v3d
max_framebuffers=2

# Don't have the firmware create an initial video= setting in cmdline.txt.
disable_fw_kms_setup=1

# Run in 64-bit mode
arm_64bit=1

# Run as fast as firmware / board allows
arm_boost=1

[cm4]
otg_mode=1

[cm5]
dtoverlay=dwc2,dr_mode=host

[pi5]
dtoverlay=nospi10

[all]
";

/// The recipe, in place in one sparse file: size, table, FAT, ext4.
pub(super) fn assemble(room: &Path, steps: Steps) -> Result<()> {
    let image = room.join(NAME);
    let tree = room.join(TREE);
    let tree_size = fs::metadata(&tree)
        .with_context(|| format!("measuring {}", tree.display()))?
        .len();
    let root_size = root_size(tree_size);
    steps.say(format_args!(
        "making the image, {} MiB",
        (ROOT_START + root_size) / MIB
    ));
    File::create(&image)?
        .set_len(ROOT_START + root_size)
        .with_context(|| format!("making {}", image.display()))?;
    write_table(&image, room, root_size)?;
    write_fat(&image, &room.join(BOOT))?;
    write_ext4(&image, &tree, root_size)
}

/// pi-gen: a fifth and 200 MiB more than the files, in whole alignments. The archive stands for their apparent size.
fn root_size(tree_size: u64) -> u64 {
    (tree_size * 12 / 10 + 200 * MIB).next_multiple_of(ALIGNMENT)
}

fn write_table(image: &Path, room: &Path, root_size: u64) -> Result<()> {
    let table = room.join("table");
    let line = |start: u64, size: u64, kind| {
        format!(
            "start={}, size={}, type={kind}\n",
            start / SECTOR,
            size / SECTOR
        )
    };
    let head = format!("label: dos\nlabel-id: 0x{DISK_ID:08x}\nunit: sectors\n");
    fs::write(
        &table,
        head + &line(BOOT_START, BOOT_SIZE, "c") + &line(ROOT_START, root_size, "83"),
    )?;
    Cmd::new("sfdisk")
        .arg("--quiet")
        .arg(image)
        .input(&table)?
        .run()
        .context("writing the partition table")
}

fn write_fat(image: &Path, boot: &Path) -> Result<()> {
    // One sector per cluster since pi-gen commit 46c69572.
    Cmd::new("mkfs.fat")
        .args(["--invariant", "-F", "32", "-s", "1", "-n", "bootfs"])
        .args([
            "--offset",
            &(BOOT_START / SECTOR).to_string(),
            "-h",
            &(BOOT_START / SECTOR).to_string(),
        ])
        .arg(image)
        .arg((BOOT_SIZE / 1024).to_string())
        .run()?;
    // A real serial is random and never mkfs.fat's invariant one: it goes into the boot sector and its copy, at BS_VolID.
    let file = File::options().write(true).open(image)?;
    for sector in [0, 6] {
        file.write_all_at(&DISK_ID.to_le_bytes(), BOOT_START + sector * SECTOR + 67)
            .context("writing the FAT's serial")?;
    }
    let mut files = fs::read_dir(boot)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    for file in &files {
        let dated = File::options()
            .write(true)
            .open(file)?
            .set_modified(UNIX_EPOCH + Duration::from_secs(EPOCH));
        dated.with_context(|| format!("dating {}", file.display()))?;
    }
    Cmd::new("mcopy")
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .args(["-m", "-i", &format!("{}@@{BOOT_START}", image.display())])
        .args(files)
        .arg("::/")
        .run()
        .context("filling the boot partition")
}

fn write_ext4(image: &Path, tree: &Path, root_size: u64) -> Result<()> {
    let tool = |program| {
        let now = EPOCH.to_string();
        Cmd::new(program)
            .env("SOURCE_DATE_EPOCH", &now)
            .env("E2FSPROGS_FAKE_TIME", &now)
            .env("E2FSCK_TIME", &now)
    };
    let made = tool("mke2fs")
        .args([
            "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-L", "rootfs",
            "-O", FEATURES, "-U", ROOT_UUID,
        ])
        .args([
            "-E",
            &format!("offset={ROOT_START},hash_seed={ROOT_UUID},lazy_itable_init=0"),
        ])
        .arg("-d")
        .arg(tree)
        .arg(image)
        .arg((root_size / 4096).to_string())
        .run();
    made.context("filling the root partition (mke2fs reads archives from 1.47.1 on, and needs libarchive for it)")?;
    // pi-gen fills a mounted file system, and the kernel gives directories of more than one block a hash tree, which mke2fs does not.
    // Exit code 1: it changed something.
    let indexed = tool("e2fsck")
        .args(["-f", "-y", "-D"])
        .arg(at_root(image))
        .allow(1)
        .run();
    indexed.context("indexing the directories of the root partition")
}

/// How e2fsprogs name a file system inside an image.
fn at_root(image: &Path) -> String {
    format!("{}?offset={ROOT_START}", image.display())
}

/// Foreign tools have the last word.
pub(super) fn check(room: &Path, steps: Steps) -> Result<()> {
    steps.say("checking it");
    let image = room.join(NAME);
    let fat = room.join("bootfs");
    // fsck.vfat knows no offset.
    Cmd::new("dd")
        .args([
            &format!("if={}", image.display()),
            &format!("of={}", fat.display()),
        ])
        .args([
            "bs=1M",
            &format!("skip={}", BOOT_START / MIB),
            &format!("count={}", BOOT_SIZE / MIB),
            "conv=sparse",
        ])
        .run()?;
    Cmd::new("fsck.vfat")
        .arg("-n")
        .arg(&fat)
        .run()
        .context("the boot partition is not clean")?;
    Cmd::new("e2fsck")
        .arg("-fn")
        .arg(at_root(&image))
        .run()
        .context("the root partition is not clean")?;
    Cmd::new("sfdisk")
        .arg("--verify")
        .arg(&image)
        .run()
        .context("the partition table is not clean")
}

#[cfg(test)]
mod tests {
    use super::{MIB, root_size};

    #[test]
    fn the_root_partition_is_a_fifth_and_200_mib_larger_than_its_files() {
        assert_eq!(root_size(1000 * MIB), 1400 * MIB);
        assert_eq!(root_size(1001 * MIB), 1408 * MIB);
    }
}
