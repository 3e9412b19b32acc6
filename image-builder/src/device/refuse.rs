//! Whether a disk may be written to: every reason against it, the gravest first.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::contents::holds_by_udev;
use super::snapshot::{Above, Snapshot};
use super::sysfs::Block;
use super::udev::Properties;
use super::{Contents, Device, Kind, Refusal, System, look, magic};

/// The sectors that our boot partition is made for.
const SECTOR: u32 = 512;

/// What a running system cannot do without, where it is a file system of its own.
const SYSTEM: [&str; 5] = ["/", "/boot", "/boot/firmware", "/boot/efi", "/usr"];

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Internal disks are meant too.
    pub internal_allowed: bool,
    /// Bytes that will be written, if that is known.
    pub needed: Option<u64>,
    /// What must not be on it: the working directory, the cache, the image.
    pub keep_off: &'a [PathBuf],
}

impl System {
    /// Every reason not to write to a disk, as it is now; none when it may be
    /// written to. Needs no privilege, but sees only what its user may see: the
    /// disk is still to be opened exclusively, which the kernel refuses for what
    /// is mounted, swapped to or part of a volume.
    ///
    /// # Errors
    /// When the kernel's lists cannot be read or are not understood: what is not
    /// known to be free is not free.
    pub fn refusals(&self, device: &Device, ask: &Ask<'_>) -> io::Result<Vec<Refusal>> {
        let now = Snapshot::take(self)?;
        let Some(disk) = now.blocks.get(&device.name) else {
            return Ok(vec![Refusal::Changed]);
        };
        if disk.number != device.number || disk.value("diskseq") != device.diskseq {
            return Ok(vec![Refusal::Changed]);
        }
        // How to free it is no advice for what the system runs from.
        if let Some(system) = system_disk(&now, disk) {
            return Ok(vec![system]);
        }
        let mut refusals = Vec::new();
        refusals.extend(self.needed_here(&now, disk, ask.keep_off));
        refusals.extend(used(&now, disk));
        if let Kind::Other(kind) = disk.kind {
            refusals.insert(0, Refusal::NotADisk { kind });
            return Ok(refusals);
        }
        refusals.extend(self.members(&now, disk, device));
        if device.size == 0 {
            refusals.push(Refusal::Empty);
            return Ok(refusals);
        }
        if device.read_only {
            refusals.push(Refusal::ReadOnly);
        }
        if let Some(needs) = ask.needed
            && needs > device.size
        {
            let has = device.size;
            refusals.push(Refusal::TooSmall { needs, has });
        }
        if device.sector != SECTOR {
            refusals.push(Refusal::SectorSize(device.sector));
        }
        if device.internal && !ask.internal_allowed {
            refusals.push(Refusal::Internal);
        }
        Ok(refusals)
    }

    /// What this run needs that is on the disk.
    fn needed_here(&self, now: &Snapshot<'_>, disk: &Block, keep_off: &[PathBuf]) -> Vec<Refusal> {
        let files = keep_off.iter().filter(|path| {
            // A loop device's file may be the image that is to be written.
            let behind = || {
                self.resolve(path)
                    .is_ok_and(|path| disk.backing == Some(path))
            };
            is_on(now, path, disk) || behind()
        });
        files
            .map(|what| Refusal::Backs { what: what.clone() })
            .collect()
    }

    /// The disk and its partitions that are parts of volumes nobody put together,
    /// by udev's word or by their bytes. What is put together has a holder, and
    /// that one is named.
    fn members(&self, now: &Snapshot<'_>, disk: &Block, device: &Device) -> Vec<Refusal> {
        let mut kinds = BTreeMap::new();
        let mut held = Vec::new();
        for block in std::iter::once(disk).chain(now.blocks.partitions(&disk.name)) {
            let udev = Properties::of(&self.real("/run"), block.number);
            if let Some(holds) = holds_by_udev(&udev) {
                kinds.insert(block.path(), holds.kind);
            }
            if !block.holders.is_empty() {
                held.push(block.path());
            }
        }
        match self.open(device).and_then(|disk| look(&disk)) {
            Ok(Contents::FileSystem(holds)) => {
                kinds.insert(disk.path(), holds.kind);
            }
            Ok(Contents::Partitions(parts)) => kinds.extend(parts.into_iter().filter_map(|part| {
                let path = disk.partition_path(part.number);
                Some((path, part.holds?.kind))
            })),
            // Without the right to read it, udev's word is all there is.
            Ok(_) | Err(_) => {}
        }
        let idle = kinds.into_iter().filter(|(what, _)| !held.contains(what));
        let members = idle.filter(|(_, kind)| magic::is_member(kind));
        members
            .map(|(what, kind)| Refusal::Member {
                what,
                of: match kind.as_str() {
                    "zfs_member" => "a ZFS pool",
                    "LVM2_member" | "LVM1_member" => "an LVM volume group",
                    "bcache" => "a bcache volume",
                    _ => "a RAID array",
                },
            })
            .collect()
    }
}

/// Whether this system runs from the disk.
fn system_disk(now: &Snapshot<'_>, disk: &Block) -> Option<Refusal> {
    let what = SYSTEM
        .iter()
        .map(Path::new)
        .find(|path| is_on(now, path, disk))?;
    let what = what.to_owned();
    Some(Refusal::SystemDisk { what })
}

fn is_on(now: &Snapshot<'_>, path: &Path, disk: &Block) -> bool {
    now.disks_of(path).iter().any(|on| on.name == disk.name)
}

/// Who uses the disk, its partitions and what is made of them.
fn used(now: &Snapshot<'_>, disk: &Block) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for Above { block, of } in now.above(disk) {
        let what = block.path();
        if let Some(of) = of {
            refusals.push(holder(of, block));
        }
        match mounted(now, block) {
            Some(mounted) => refusals.push(mounted),
            None => refusals.extend(now.pooled(block).map(|kind| Refusal::Holder {
                what: what.clone(),
                holder: format!("a mounted {kind}"),
                kind: "a file system of several disks".to_owned(),
                remedy: "unmount that".to_owned(),
            })),
        }
        if now.is_swap(block) {
            refusals.push(Refusal::Swap { what });
        }
    }
    refusals
}

/// Where it is mounted: here, or else in the first other namespace that has it.
fn mounted(now: &Snapshot<'_>, block: &Block) -> Option<Refusal> {
    now.namespaces.iter().find_map(|namespace| {
        let mounts = namespace.mounts.iter().filter(|mount| {
            let device = now.device_of(mount);
            device.is_some_and(|device| device.name == block.name)
        });
        let mut points: Vec<&PathBuf> = mounts.map(|mount| &mount.point).collect();
        points.sort_by_key(|point| (point.as_os_str().len(), *point));
        points.dedup();
        Some(Refusal::Mounted {
            what: block.path(),
            at: (*points.first()?).clone(),
            more: points.len() - 1,
            process: namespace.process.clone(),
        })
    })
}

/// How one device holds another, and how it is made to let go.
fn holder(of: &Block, by: &Block) -> Refusal {
    let path = by.path();
    let path = path.display();
    let name = by.attribute("dm/name").unwrap_or_default();
    let uuid = by.attribute("dm/uuid").unwrap_or_default();
    let is = |prefix: &str| uuid.starts_with(prefix);
    let mapped = format!("/dev/mapper/{name}");
    let (holder, kind, remedy) = match by.kind {
        Kind::Loop => (
            path.to_string(),
            "a loop device over it".to_owned(),
            format!("`losetup -d {path}`"),
        ),
        _ if by.partition.is_some() => (
            path.to_string(),
            "a partition of it".to_owned(),
            "let go of what it is on".to_owned(),
        ),
        _ if is("CRYPT-") => (
            mapped,
            "an open encrypted volume".to_owned(),
            format!("`cryptsetup close {name}`"),
        ),
        _ if is("LVM-") => (
            mapped.clone(),
            "an LVM volume".to_owned(),
            format!("`lvchange -an {mapped}`"),
        ),
        _ if is("mpath-") => (
            mapped,
            "a disk that has several ways to it".to_owned(),
            format!("name {path} where that is meant, or `multipath -f {name}`"),
        ),
        _ if !name.is_empty() => (
            mapped,
            "a device-mapper volume".to_owned(),
            format!("`dmsetup remove {name}`"),
        ),
        Kind::Other("a RAID array") => (
            path.to_string(),
            "a RAID array".to_owned(),
            format!("`mdadm --stop {path}`"),
        ),
        Kind::Other("a bcache volume") => (
            path.to_string(),
            "a bcache volume".to_owned(),
            format!("`echo 1 > /sys/block/{}/bcache/stop`", by.name),
        ),
        Kind::Other(kind) => (
            path.to_string(),
            kind.to_owned(),
            "stop that first".to_owned(),
        ),
        Kind::Disk => (
            path.to_string(),
            "a device made of it".to_owned(),
            "stop that first".to_owned(),
        ),
    };
    Refusal::Holder {
        what: of.path(),
        holder,
        kind,
        remedy,
    }
}
