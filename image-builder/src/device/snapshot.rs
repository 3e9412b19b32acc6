//! Everything that says who uses which disk, read at one moment, and the two
//! walks through it: up from a disk to all that is made of it, and down from a
//! path to the disks that it lies on.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::mounts::{Mount, Namespace, namespaces, swaps};
use super::sysfs::{Block, Blocks, names};
use super::{Number, System};

/// One moment.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    system: &'a System,
    pub(super) blocks: Blocks,
    /// The first is our own.
    pub(super) namespaces: Vec<Namespace>,
    swaps: Vec<PathBuf>,
    pools: Vec<Pool>,
}

/// A mounted file system that can have several devices.
#[derive(Debug)]
struct Pool {
    kind: &'static str,
    /// Names of all of them.
    devices: Vec<String>,
}

/// A device made of another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above<'a> {
    pub(super) block: &'a Block,
    /// What it is made of, unless it is the disk itself or a partition of it.
    pub(super) of: Option<&'a Block>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn take(system: &'a System) -> io::Result<Self> {
        let naming = |path: &Path| {
            let words = format!("reading {}", path.display());
            move |error: io::Error| io::Error::new(error.kind(), format!("{words}: {error}"))
        };
        let (proc, sys) = (system.real("/proc"), system.real("/sys"));
        let swapped = proc.join("swaps");
        let text = match fs::read(&swapped) {
            // A kernel without swap.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(naming(&swapped))?,
        };
        Ok(Self {
            system,
            blocks: system.blocks()?,
            namespaces: namespaces(&proc).map_err(naming(&proc))?,
            swaps: swaps(&text)?,
            pools: pools(&sys),
        })
    }

    /// The disk, its partitions, and all that is made of them, each once.
    pub(super) fn above<'b>(&'b self, disk: &'b Block) -> Vec<Above<'b>> {
        let mut found = vec![Above {
            block: disk,
            of: None,
        }];
        let mut seen = BTreeSet::from([disk.name.as_str()]);
        let mut queue = VecDeque::from([disk]);
        while let Some(block) = queue.pop_front() {
            let parts = self.blocks.partitions(&block.name);
            // The disk's own partitions are no users of it; those of a volume
            // that somebody made of it are.
            let of = (block.name != disk.name).then_some(block);
            let parts = parts.map(|part| Above { block: part, of });
            let held = block.holders.iter();
            let held = held.filter_map(|name| self.blocks.get(name));
            let held = held.chain(self.loops_over(block)).map(|holder| Above {
                block: holder,
                of: Some(block),
            });
            for above in parts.chain(held) {
                if seen.insert(&above.block.name) {
                    queue.push_back(above.block);
                    found.push(above);
                }
            }
        }
        found
    }

    /// Loop devices whose "file" is this device: sysfs does not call them holders.
    fn loops_over<'b>(&'b self, block: &'b Block) -> impl Iterator<Item = &'b Block> {
        self.blocks.iter().filter(move |other| {
            let file = other.backing.as_deref();
            file.and_then(|file| self.device_at(file))
                .is_some_and(|below| below.name == block.name)
        })
    }

    /// The whole disks that a device is made of; a disk is its own.
    pub(super) fn below<'b>(&'b self, block: &'b Block) -> Vec<&'b Block> {
        let mut disks = Vec::new();
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([block]);
        while let Some(block) = queue.pop_front() {
            if !seen.insert(block.name.as_str()) {
                continue;
            }
            let disk = match &block.partition {
                Some((_, disk, _)) => self.blocks.get(disk).into_iter(),
                None => None.into_iter(),
            };
            let slaves = block.slaves.iter();
            let slaves = slaves.filter_map(|name| self.blocks.get(name));
            let backing = block.backing.as_deref();
            let backing = backing.and_then(|file| self.device_at(file));
            queue.extend(disk.chain(slaves).chain(backing));
            if block.partition.is_none() {
                disks.push(block);
            }
        }
        disks
    }

    /// The whole disks that a path lies on, or is; none where it is on no disk.
    /// A path that does not exist lies where it would be made.
    pub(super) fn disks_of(&self, path: &Path) -> Vec<&Block> {
        let Ok(path) = std::path::absolute(path) else {
            return Vec::new();
        };
        let mut path = path.as_path();
        let resolved = loop {
            match (self.system.resolve(path), path.parent()) {
                (Ok(resolved), _) => break resolved,
                (Err(_), Some(parent)) => path = parent,
                (Err(_), None) => return Vec::new(),
            }
        };
        if let Some(block) = self.device_at(&resolved) {
            return self.below(block);
        }
        let Some(mounted) = self.mount_of(&resolved) else {
            return Vec::new();
        };
        let Some(device) = self.device_of(mounted) else {
            return Vec::new();
        };
        let others = self.pool(device).into_iter();
        let others = others.flat_map(|pool| &pool.devices);
        let others = others.filter_map(|name| self.blocks.get(name));
        let all = others.chain([device]);
        all.flat_map(|block| self.below(block)).collect()
    }

    /// The mount that covers a path: the deepest, and of several the last one.
    fn mount_of(&self, path: &Path) -> Option<&Mount> {
        let mounts = self.namespaces.first()?.mounts.iter();
        let covering = mounts.filter(|mount| path.starts_with(&mount.point));
        covering.max_by_key(|mount| mount.point.components().count())
    }

    /// What is mounted there: by number, or by what was named where the file
    /// system has a number of its own (btrfs).
    pub(super) fn device_of(&self, mount: &Mount) -> Option<&Block> {
        match mount.number.is_anonymous() {
            true => self.device_at(&mount.source),
            false => self.blocks.by_number(mount.number),
        }
    }

    /// Whether it is swapped to.
    pub(super) fn is_swap(&self, block: &Block) -> bool {
        let mut devices = self.swaps.iter().filter_map(|path| self.device_at(path));
        devices.any(|device| device.name == block.name)
    }

    /// The kind of file system that it is one of several devices of, if that is
    /// mounted: only one of them is named where it is.
    pub(super) fn pooled(&self, block: &Block) -> Option<&'static str> {
        Some(self.pool(block)?.kind)
    }

    fn pool(&self, block: &Block) -> Option<&Pool> {
        let mut pools = self.pools.iter();
        pools.find(|pool| pool.devices.contains(&block.name))
    }

    /// The block device that a path, or the link there, is.
    pub(super) fn device_at(&self, path: &Path) -> Option<&Block> {
        device_at(self.system, &self.blocks, path)
    }
}

/// The block device that a path, or the link there, is. In a fixture, where no
/// nodes can be made, any file in `/dev` stands for the device of its name; so
/// does a path of the kernel's that this process does not have.
pub(super) fn device_at<'b>(system: &System, blocks: &'b Blocks, path: &Path) -> Option<&'b Block> {
    if !path.is_absolute() {
        return None;
    }
    let Ok(resolved) = system.resolve(path) else {
        return blocks.by_node(path);
    };
    match fs::metadata(system.real(&resolved)) {
        Ok(metadata) if metadata.file_type().is_block_device() => {
            blocks.by_number(Number::of(metadata.rdev()))
        }
        Ok(metadata) if metadata.is_file() && !system.is_host() => blocks.by_node(&resolved),
        _ => None,
    }
}

/// The mounted file systems that can have several devices, as these list them:
/// `fs/btrfs/UUID/devices/NAME` and `fs/bcachefs/UUID/dev-N/block`.
fn pools(sys: &Path) -> Vec<Pool> {
    let btrfs = sys.join("fs/btrfs");
    let mut pools: Vec<Pool> = names(&btrfs)
        .iter()
        .map(|pool| Pool {
            kind: "btrfs",
            devices: names(&btrfs.join(pool).join("devices")),
        })
        .collect();
    let bcachefs = sys.join("fs/bcachefs");
    pools.extend(names(&bcachefs).iter().map(|pool| {
        let dir = bcachefs.join(pool);
        let devices = names(&dir).into_iter().filter_map(|device| {
            let block = fs::canonicalize(dir.join(device).join("block")).ok()?;
            Some(block.file_name()?.to_str()?.to_owned())
        });
        Pool {
            kind: "bcachefs",
            devices: devices.collect(),
        }
    }));
    pools
}
