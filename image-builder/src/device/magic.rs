//! What begins with which bytes: file systems and parts of volumes that we only
//! have to know, not to read. Places and names are libblkid's (util-linux,
//! `libblkid/src/superblocks`), so that udev and we say the same. Its Rust
//! bindings need the C library, which our programs do without.

use std::io;

use crate::io::ReadAt;

/// `(kind, offset, bytes)`.
type Magic = (&'static str, u64, &'static [u8]);

/// What stands in a boot sector, so that a partition table may seem to be there.
const BOOT_SECTORS: &[Magic] = &[
    ("exfat", 3, b"EXFAT   "),
    ("ntfs", 3, b"NTFS    "),
    ("BitLocker", 3, b"-FVE-FS-"),
];

const OTHERS: &[Magic] = &[
    ("crypto_LUKS", 0, b"LUKS\xba\xbe"),
    ("LVM2_member", 0, b"LABELONE"),
    ("LVM2_member", 512, b"LABELONE"),
    ("LVM2_member", 1024, b"LABELONE"),
    ("LVM2_member", 1536, b"LABELONE"),
    // Versions 1.1 and 1.2 of the array's superblock.
    ("linux_raid_member", 0, b"\xfc\x4e\x2b\xa9"),
    ("linux_raid_member", 4096, b"\xfc\x4e\x2b\xa9"),
    (
        "bcache",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
    ),
    ("btrfs", 65536 + 64, b"_BHRfS_M"),
    ("xfs", 0, b"XFSB"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    // At the end of the first page, whose size is the machine's.
    ("swap", 4096 - 10, b"SWAPSPACE2"),
    ("swap", 16384 - 10, b"SWAPSPACE2"),
    ("swap", 65536 - 10, b"SWAPSPACE2"),
    ("iso9660", 32768 + 1, b"CD001"),
    ("squashfs", 0, b"hsqs"),
    ("apfs", 32, b"NXSB"),
    ("hfsplus", 1024, b"H+"),
];

/// Superblocks of an array before version 1.1, at the end of its members
/// (md(4)): 0.90 in the last whole 64 KiB but one, 1.0 at least 8 KiB before
/// the end, on a multiple of 4 KiB.
const RAID: &[u8] = b"\xfc\x4e\x2b\xa9";

/// ZFS keeps uberblocks in the second half of each label, at least 1 KiB apart;
/// the first label begins the device (OpenZFS, `vdev_impl.h`).
const ZFS: u64 = 0x00ba_b10c;
const ZFS_RING: u64 = 128 << 10;

/// Kinds that other tools may put together again at any time.
pub(super) fn is_member(kind: &str) -> bool {
    matches!(
        kind,
        "LVM2_member" | "LVM1_member" | "zfs_member" | "bcache"
    ) || kind.ends_with("_raid_member")
}

/// What a device holds whose boot sector a partition table could be in.
pub(super) fn boot_sector(device: &impl ReadAt) -> io::Result<Option<&'static str>> {
    find(device, BOOT_SECTORS)
}

/// What else it holds.
pub(super) fn other(device: &impl ReadAt) -> io::Result<Option<&'static str>> {
    if let Some(kind) = find(device, OTHERS)? {
        return Ok(Some(kind));
    }
    let end = device.len();
    let version_0 = (end & !0xffff).checked_sub(64 << 10);
    let version_1 = end.checked_sub(8 << 10).map(|at| at & !0xfff);
    for at in [version_0, version_1].into_iter().flatten() {
        if is_at(device, at, RAID)? {
            return Ok(Some("linux_raid_member"));
        }
    }
    Ok(is_zfs(device)?.then_some("zfs_member"))
}

fn find(device: &impl ReadAt, magics: &[Magic]) -> io::Result<Option<&'static str>> {
    for (kind, offset, bytes) in magics {
        if is_at(device, *offset, bytes)? {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

fn is_at(device: &impl ReadAt, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut buf = [0; 16];
    let buf = &mut buf[..bytes.len()];
    if device.len() < offset.saturating_add(bytes.len() as u64) {
        return Ok(false);
    }
    device.read_exact_at(offset, buf)?;
    Ok(buf == bytes)
}

fn is_zfs(device: &impl ReadAt) -> io::Result<bool> {
    if device.len() < 2 * ZFS_RING {
        return Ok(false);
    }
    let mut ring = vec![0; ZFS_RING as usize];
    device.read_exact_at(ZFS_RING, &mut ring)?;
    let mut uberblocks = ring.chunks(1024);
    // In the byte order of the machine that wrote it.
    Ok(uberblocks.any(|block| {
        block.starts_with(&ZFS.to_le_bytes()) || block.starts_with(&ZFS.to_be_bytes())
    }))
}
