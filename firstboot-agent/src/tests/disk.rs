//! The disk of [`Fake`]: an image on it, what the kernel knows of its partitions,
//! and the programs that work on it, each with what a cut leaves.

use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};
use node_config::disk::{Data, Disk, Extent, Root};
use node_config::paths;
use uuid::Uuid;

use crate::system::drive::{Drive, SECTOR};
use crate::system::fake::{DISK, Extent as Done, Fake};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The ids the node was given.
pub(crate) const DISK_ID: Uuid = Uuid::from_u128(0x4706_58a4_b125_5389_8bcd_792c_7297_0a07);
const BOOT_ID: Uuid = Uuid::from_u128(0xb001);
const ROOT_ID: Uuid = Uuid::from_u128(0xc20b_b38f_993f_5682_a4ae_952a_f633_db9b);
pub(crate) const DATA_ID: Uuid = Uuid::from_u128(0xda7a);
pub(crate) const DATA_FS: Uuid = Uuid::from_u128(0xf5);

/// Where the image ends: boot, and a root of 2 GiB.
pub(crate) const ROOT: u64 = 520 * MIB;
pub(crate) const ROOT_LEN: u64 = 2 * GIB;

/// A disk that no image fills.
pub(crate) const LARGE: u64 = 64 * GIB + 12345 * SECTOR;

/// What `systemctl enable` makes.
const LINK: &str = "/etc/systemd/system/local-fs.target.wants/var-lib-longhorn.mount";
/// There while udev has not looked at the new file system.
const UNSEEN: &str = "/run/unseen";
const MOUNTS: &str = "/proc/self/mountinfo";

/// What the node is told.
pub(crate) fn wanted(root: Extent, data: Option<Extent>) -> Disk {
    Disk {
        id: DISK_ID,
        root: Root {
            id: ROOT_ID,
            size: root,
        },
        data: data.map(|size| Data {
            id: DATA_ID,
            file_system: DATA_FS,
            size,
        }),
    }
}

/// Puts an image on a disk: a table for `image` bytes, of that disk GUID.
pub(crate) fn flash(fake: &Fake, size: u64, id: Uuid, data: Option<(u64, u64)>) {
    let behind = data.map_or(ROOT + ROOT_LEN, |(offset, len)| offset + len);
    let image = behind.next_multiple_of(MIB) + MIB;
    flash_fitted(fake, size, image.min(size), id, data, ROOT_LEN);
}

/// The same, with the table of a disk of `image` bytes.
pub(crate) fn flash_fitted(
    fake: &Fake,
    size: u64,
    image: u64,
    id: Uuid,
    data: Option<(u64, u64)>,
    root: u64,
) {
    fake.delete(LINK);
    let partition = |name: &str, id, offset: u64, len: u64| gpt::partition::Partition {
        part_type_guid: partition_types::LINUX_FS,
        part_guid: id,
        first_lba: offset / SECTOR,
        last_lba: (offset + len) / SECTOR - 1,
        flags: 0,
        name: name.into(),
    };
    let boot = partition("bootfs", BOOT_ID, 8 * MIB, 512 * MIB);
    let mut entries = vec![boot, partition("rootfs", ROOT_ID, ROOT, root)];
    entries.extend(data.map(|(offset, len)| partition("data", DATA_ID, offset, len)));
    let mut device = Cursor {
        drive: Drive::new(image),
        position: 0,
    };
    let sectors = u32::try_from(image / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors)
        .overwrite_lba0(&mut device)
        .expect("MBR");
    let mut table = GptConfig::new()
        .writable(true)
        .create_from_device(device, Some(id))
        .expect("a table");
    let numbered = (1..).zip(entries).collect();
    table.update_partitions(numbered).expect("partitions");
    let mut drive = table.write().expect("written").drive;
    drive.size = size;
    *fake.drive.borrow_mut() = drive;
    put_file_system(fake, ROOT, Uuid::from_u128(1), ROOT_LEN, true);
    fake.show(
        "/sys/dev/block/259:2/uevent",
        format!("DEVNAME={DISK}p2\nDEVTYPE=partition\nPARTN=2\n"),
    );
    set(fake, "size", size / SECTOR);
    set(fake, "queue/logical_block_size", SECTOR);
    start(fake);
}

/// The disk, with all its programs, as a healthy node has it: an image that
/// another tool flashed.
pub(crate) fn install(fake: &Fake) {
    let data = (ROOT + ROOT_LEN, 20 * GIB);
    flash(fake, LARGE, DISK_ID, Some(data));
    fake.install("partx", partx);
    fake.install("resize2fs", resize2fs);
    fake.install("mke2fs", mke2fs);
    fake.install("udevadm", |fake, args, _| {
        assert_eq!(args[..3], ["trigger", "--action=change", "--settle"]);
        fake.hide(UNSEEN);
        Ok(String::new())
    });
    fake.install("wipefs", |fake, args, _| {
        Ok(wipefs(fake, args.last().expect("a device")))
    });
}

/// The kernel starts: it reads the table, and systemd mounts what is enabled.
pub(crate) fn start(fake: &Fake) {
    let mut mounts = "22 1 259:2 / / rw,noatime shared:1 - ext4 /dev/nvme0n1p2 rw\n".to_string();
    if fake.text(MOUNTS).contains(paths::BOOT_DIR) || fake.text(MOUNTS).is_empty() {
        mounts += &format!(
            "30 22 259:1 / {} rw - vfat /dev/nvme0n1p1 rw\n",
            paths::BOOT_DIR
        );
    }
    fake.show(MOUNTS, mounts);
    fake.hide(UNSEEN);
    for number in 1..=3 {
        forget(fake, number);
        know(fake, number);
    }
    if fake.exists(LINK) {
        mount(fake).expect("what is enabled is there");
    }
}

/// The same when all is done: nothing is left to do for the stage.
pub(crate) fn install_done(fake: &Fake) {
    install(fake);
    let (size, len) = (LARGE, 20 * GIB);
    let end = (size - MIB) / MIB * MIB;
    let data = (end - len) / (8 * MIB) * (8 * MIB);
    flash_fitted(fake, size, size, DISK_ID, Some((data, len)), data - ROOT);
    put_file_system(fake, ROOT, Uuid::from_u128(1), data - ROOT, true);
    put_file_system(fake, data, DATA_FS, len, true);
    fake.put(LINK, 0o644, "");
    start(fake);
}

/// Where the kernel has a partition.
pub(crate) fn kernel_sees(fake: &Fake, number: u32) -> Option<(u64, u64)> {
    fake.extent(&format!("/dev/{DISK}p{number}"))
}

/// The boot partition is not mounted, or was lost.
pub(crate) fn unmount_boot(fake: &Fake) {
    let mounts = fake.text(MOUNTS);
    let others = mounts
        .lines()
        .filter(|line| !line.contains(paths::BOOT_DIR));
    fake.show(
        MOUNTS,
        others.map(|line| format!("{line}\n")).collect::<String>(),
    );
}

/// `systemctl` for the data partition's unit.
pub(crate) fn systemctl(fake: &Fake, what: &str, extent: Done) -> Result<String, String> {
    match (what, extent) {
        // A link has no content to lose.
        ("enable", Done::Whole) => fake.put(LINK, 0o644, ""),
        ("start", Done::Whole) if !fake.text(UNSEEN).is_empty() => {
            return Err("A dependency job failed.".into());
        }
        ("start", Done::Whole) => mount(fake)?,
        (_, Done::Half) => {}
        _ => panic!("systemctl {what}"),
    }
    Ok(String::new())
}

/// The partitions of the first copy of the table, the way the kernel reads it:
/// `None` where it would find no table. Not by the crate under test.
pub(crate) fn partitions(drive: &Drive) -> Option<Vec<(u64, u64)>> {
    let header = drive.read(SECTOR, 512)?;
    let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8"));
    let short =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
    let mut unsummed = header[..92].to_vec();
    unsummed[16..20].fill(0);
    if !header.starts_with(b"EFI PART") || crc32(&unsummed) != short(&header, 16) {
        return None;
    }
    if long(24) != 1 || long(48) >= drive.size / SECTOR {
        return None;
    }
    let entries = drive.read(long(72) * SECTOR, 128 * 128)?;
    if crc32(&entries) != short(&header, 88) {
        return None;
    }
    let entry = |entry: &[u8]| {
        let long = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("8"));
        (long(32) * SECTOR, (long(40) + 1 - long(32)) * SECTOR)
    };
    let used = entries.chunks(128).take_while(|entry| entry[0] != 0);
    Some(used.map(entry).collect())
}

fn crc32(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

/// Puts a superblock there.
pub(crate) fn put_file_system(fake: &Fake, offset: u64, uuid: Uuid, len: u64, used: bool) {
    let mut block = vec![0; 1024];
    block[4..8].copy_from_slice(&((len / 4096) as u32).to_le_bytes());
    block[24] = 2;
    block[52] = u8::from(used);
    block[56..58].copy_from_slice(&[0x53, 0xef]);
    block[104..120].copy_from_slice(uuid.as_bytes());
    put(fake, offset + 1024, &block);
}

/// Puts bytes on the disk, whoever did.
pub(crate) fn put(fake: &Fake, offset: u64, bytes: &[u8]) {
    fake.drive.borrow_mut().write(offset, bytes, |_| true);
}

fn set(fake: &Fake, what: &str, value: u64) {
    fake.show(
        &format!("/sys/class/block/{DISK}/{what}"),
        format!("{value}\n"),
    );
}

/// The kernel takes a partition from the table, if it is there.
fn know(fake: &Fake, number: usize) {
    let found = partitions(&fake.drive.borrow());
    let found = found.expect("the kernel finds the table");
    if let Some((offset, len)) = found.get(number - 1) {
        set(fake, &format!("{DISK}p{number}/start"), offset / SECTOR);
        set(fake, &format!("{DISK}p{number}/size"), len / SECTOR);
        let dev = format!("/sys/class/block/{DISK}/{DISK}p{number}/dev");
        fake.show(&dev, format!("259:{number}\n"));
    }
}

fn forget(fake: &Fake, number: usize) {
    for what in ["start", "size", "dev"] {
        fake.hide(&format!("/sys/class/block/{DISK}/{DISK}p{number}/{what}"));
    }
}

/// Cut, the kernel knows nothing of what it knew; and then it is off.
fn partx(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let [what, nr, number, device] = args else {
        panic!("{args:?}");
    };
    assert_eq!((&**nr, &**device), ("--nr", "/dev/nvme0n1"));
    let number = number.parse().expect("a number");
    let mounted = fake
        .text(MOUNTS)
        .contains(&format!("/dev/{DISK}p{number} "));
    if extent == Done::Whole {
        match &**what {
            // One in use can be resized, no more.
            "--update" if mounted => {
                let before = fake.extent(&format!("/dev/{DISK}p{number}"));
                know(fake, number);
                let after = fake.extent(&format!("/dev/{DISK}p{number}"));
                assert_eq!(
                    before.map(|(start, _)| start),
                    after.map(|(start, _)| start)
                );
            }
            "--update" => {
                forget(fake, number);
                know(fake, number);
            }
            "--delete" if mounted => return Err("Device or resource busy".into()),
            "--delete" => forget(fake, number),
            _ => panic!("{args:?}"),
        }
    }
    Ok(String::new())
}

/// Goes in steps, each of them whole.
fn resize2fs(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let (offset, len) = fake.extent(&args[0]).expect("a device");
    let block = fake.drive.borrow().read(offset + 1024, 1024).expect("read");
    let now = u64::from(u32::from_le_bytes(block[4..8].try_into().expect("4"))) * 4096;
    let target = match extent {
        Done::Whole => len,
        Done::Half => now + (len - now) / 2 / MIB * MIB,
    };
    put_file_system(fake, offset, Uuid::from_u128(1), target, true);
    Ok(String::new())
}

/// The superblock is the last thing it writes.
fn mke2fs(fake: &Fake, args: &[String], extent: Done) -> Result<String, String> {
    let device = args.last().expect("a device");
    if fake.text(MOUNTS).contains(&format!("{device} ")) {
        return Err(format!(
            "{device} is mounted; will not make a filesystem here!"
        ));
    }
    assert!(
        args.windows(2)
            .any(|pair| pair == ["-U", &DATA_FS.to_string()])
    );
    let (offset, len) = fake.extent(device).ok_or("No such file or directory")?;
    put(fake, offset + 64 * 1024, &[7; 4096]);
    // As on a busy machine.
    fake.show(UNSEEN, "1");
    if extent == Done::Whole {
        put_file_system(fake, offset, DATA_FS, len, false);
    }
    Ok(String::new())
}

fn wipefs(fake: &Fake, device: &str) -> String {
    let (offset, _) = fake.extent(device).expect("a device");
    let read = |at: u64, len: usize| fake.drive.borrow().read(offset + at, len).expect("read");
    let block = read(1024, 1024);
    let mut found = Vec::new();
    if block[56..58] == [0x53, 0xef] {
        let uuid = Uuid::from_slice(&block[104..120]).expect("16 bytes");
        found.push(format!(
            r#"{{"type": "ext4", "label": null, "uuid": "{uuid}"}}"#
        ));
    }
    if read(0, 4) == *b"XFSB" {
        found.push(r#"{"type": "xfs", "label": "backup", "uuid": null}"#.into());
    }
    format!("{{\n   \"signatures\": [\n{}\n]}}", found.join(","))
}

/// As `systemctl start` of the unit; the device is looked for by its UUID.
fn mount(fake: &Fake) -> Result<(), String> {
    let mounts = fake.text(MOUNTS);
    if mounts.contains(paths::DATA_DIR) {
        return Ok(());
    }
    let device = format!("/dev/{DISK}p3");
    let (offset, len) = fake.extent(&device).ok_or("Job failed: no device")?;
    let block = fake.drive.borrow().read(offset + 1024, 1024).expect("read");
    if block[104..120] != *DATA_FS.as_bytes() {
        return Err("Job failed: no such UUID".into());
    }
    // The kernel marks it as used.
    put_file_system(fake, offset, DATA_FS, len, true);
    let line = format!("40 22 259:3 / {} rw - ext4 {device} rw\n", paths::DATA_DIR);
    fake.show(MOUNTS, mounts + &line);
    Ok(())
}

/// What `gpt` writes an image on.
#[derive(Debug)]
struct Cursor {
    drive: Drive,
    position: u64,
}

impl std::io::Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min((self.drive.size - self.position) as usize);
        buf[..len].copy_from_slice(&self.drive.read(self.position, len).expect("inside"));
        self.position += len as u64;
        Ok(len)
    }
}

impl std::io::Write for Cursor {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let start = self.position / SECTOR * SECTOR;
        let mut sector = self.drive.read(start, SECTOR as usize).expect("inside");
        let within = (self.position - start) as usize;
        let len = buf.len().min(sector.len() - within);
        sector[within..within + len].copy_from_slice(&buf[..len]);
        self.drive.write(start, &sector, |_| true);
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for Cursor {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.position = match to {
            std::io::SeekFrom::Start(at) => at,
            std::io::SeekFrom::End(by) => self.drive.size.checked_add_signed(by).expect("inside"),
            std::io::SeekFrom::Current(by) => self.position.checked_add_signed(by).expect("inside"),
        };
        Ok(self.position)
    }
}
