//! The disk / is on becomes what the profile says, and no other disk is touched:
//! the table's second copy at the real end, the root partition and its file system
//! grown, a data partition made and mounted.
//!
//! An image that `imgbuild write` wrote has a table that fits; one that was flashed
//! by another tool has the image's. Both end the same. Each step looks whether it is
//! needed, so a cut leaves the next boot with what is left:
//!
//! ```text
//! table as planned?  no -> switch::write -> partx (the kernel hears of it)
//! root grown?        no -> resize2fs (the kernel's own online resize)
//! data empty?       yes -> note, mke2fs, end of note
//! mounted?           no -> systemctl enable, start
//! ```
//!
//! partx and resize2fs make the ioctls (BLKPG, EXT4_IOC_RESIZE_FS) that would
//! otherwise need `unsafe` here; the builder refuses a base without them. `partx`
//! and not `resizepart` and `addpart`, which Debian has moved to a package of their
//! own.

mod data;
mod find;
mod place;
mod superblock;
mod switch;
mod table;
#[cfg(test)]
mod tests;
mod trouble;

use std::time::Duration;

use node_config::disk::Disk as Wanted;
use node_config::{NodeConfig, paths};

use self::data::Content;
use self::find::Disk;
pub(in crate::stages) use self::find::name_of_root;
use self::place::{GROUP, Holds, Places, place};
use self::superblock::Superblock;
use self::table::{END, Ends, Partition, Table};
use self::trouble::Trouble;
use super::{Look, Stage, StageError, Tell};
use crate::system::{Command, System, SystemError};

/// Before the network, which it does not need and which may be waited for for
/// days, and before the packages, which need the room. After the identity: it may
/// take minutes, and whoever logs in to look must reach the right machine.
pub(crate) struct DiskStage;

/// A large disk by USB 2.
const GROW_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What is in place before anything is planned.
struct Found {
    disk: Disk,
    ends: Ends,
    table: Table,
    root: Partition,
    data: Option<Partition>,
}

/// What is to be.
struct Planned {
    places: Places,
    ends: Ends,
}

impl Stage for DiskStage {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let Some(want) = &node.disk else {
            return Ok(Look::Done(
                "left as it is, as the image says nothing of it".into(),
            ));
        };
        let found = Found::look(want, sys)?;
        let name = &found.disk.name;
        if !found.is_known(sys)? {
            return Ok(Look::ToDo(format!(
                "the kernel has old partitions of {name}"
            )));
        }
        let content = found.content(want, sys)?;
        let planned = found.plan(want, content)?;
        if planned.ends != found.ends {
            let size = size(found.disk.size);
            return Ok(Look::ToDo(format!(
                "the partition table does not fit {name} of {size}"
            )));
        }
        let lacks = lacking(sys, &found)?;
        if lacks >= GROUP {
            let lacks = size(lacks);
            return Ok(Look::ToDo(format!(
                "the root file system can grow by {lacks}"
            )));
        }
        let root = format!("root {}", size(found.root.len));
        let Some((partition, _)) = found.data.zip(want.data) else {
            return Ok(Look::Done(format!("{root} on {name}")));
        };
        if content != Some(Content::Ours) {
            return Ok(Look::ToDo(
                "the data partition has no file system yet".into(),
            ));
        }
        Ok(match data::unmounted(sys, &found.disk, &partition)? {
            Some(what) => Look::ToDo(what.into()),
            None => Look::Done(format!(
                "{root}, data {} at {} on {name}",
                size(partition.len),
                paths::DATA_DIR
            )),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError> {
        let Some(want) = &node.disk else {
            return Ok(());
        };
        let mut found = Found::look(want, sys)?;
        // What is looked into must be what the table means.
        found.introduce(sys)?;
        let content = found.content(want, sys)?;
        let planned = found.plan(want, content)?;
        if planned.ends != found.ends {
            found.rewrite(sys, &planned)?;
            found = Found::look(want, sys)?;
            found.introduce(sys)?;
        }
        if lacking(sys, &found)? >= GROUP {
            tell("growing the root file system");
            grow(sys, &found)?;
        }
        if let Some((partition, want)) = found.data.zip(want.data) {
            if data::inspect(sys, &found.disk, &partition, &want)? != Content::Ours {
                tell("making the data file system");
                data::format(sys, &found.disk, &partition, &want)?;
            }
            if data::unmounted(sys, &found.disk, &partition)?.is_some() {
                data::mount(sys, &found.disk, &partition)?;
            }
        }
        Ok(())
    }
}

impl Found {
    /// # Errors
    /// When it is not the disk this node was given, or one that cannot be used.
    fn look(want: &Wanted, sys: &dyn System) -> Result<Self, StageError> {
        let disk = Disk::of_root(sys)?;
        let device = disk.device();
        let tail = disk.size.saturating_sub(END as u64);
        let ends = Ends {
            size: disk.size,
            head: sys.read_at(&device, 0, END)?,
            tail: sys.read_at(&device, tail, END)?,
        };
        let name = disk.name.clone();
        let table = Table::read(&ends).map_err(|damage| Trouble::Table {
            disk: name.clone(),
            damage,
        })?;
        if table.disk != want.id {
            let (found, wanted) = (table.disk, want.id);
            return Err(Trouble::OtherDisk {
                disk: name,
                found,
                wanted,
            }
            .into());
        }
        let with = |id| table.partitions.iter().find(|of| of.id == id).copied();
        let root = with(want.root.id).filter(|root| root.number == disk.root);
        let Some(root) = root else {
            return Err(Trouble::OtherRoot {
                disk: name,
                number: disk.root,
                wanted: want.root.id,
            }
            .into());
        };
        if let Some(cut) = table.partitions.iter().find(|of| of.end() > disk.size) {
            return Err(Trouble::Cut {
                disk: name,
                number: cut.number,
                end: cut.end(),
                size: disk.size,
            }
            .into());
        }
        let data = want.data.and_then(|data| with(data.id));
        Ok(Self {
            disk,
            ends,
            root,
            data,
            table,
        })
    }

    /// Ours, of which the kernel has to know.
    fn ours(&self) -> impl Iterator<Item = &Partition> {
        [&self.root].into_iter().chain(&self.data)
    }

    fn is_known(&self, sys: &dyn System) -> Result<bool, SystemError> {
        for partition in self.ours() {
            if !self.disk.knows(sys, partition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells the kernel what of ours it does not know.
    fn introduce(&self, sys: &dyn System) -> Result<(), SystemError> {
        for partition in self.ours() {
            if !self.disk.knows(sys, partition)? {
                self.partx(sys, "--update", partition.number)?;
            }
        }
        Ok(())
    }

    fn partx(&self, sys: &dyn System, what: &str, number: u32) -> Result<(), SystemError> {
        let (number, device) = (number.to_string(), self.disk.device());
        let args = [what, "--nr", &number, &device];
        sys.run(&Command::new("partx", &args)).map(drop)
    }

    fn content(&self, want: &Wanted, sys: &dyn System) -> Result<Option<Content>, StageError> {
        let data = self.data.zip(want.data);
        let content =
            data.map(|(partition, want)| data::inspect(sys, &self.disk, &partition, &want));
        content.transpose()
    }

    fn plan(&self, want: &Wanted, content: Option<Content>) -> Result<Planned, StageError> {
        let holds = match content {
            None | Some(Content::Empty) => Holds::Nothing,
            // An unfinished one is where it was meant to be.
            Some(Content::Unfinished | Content::Ours) => Holds::Ours,
        };
        let Disk { name, size, .. } = &self.disk;
        let places = place(name, *size, &self.table, want, &self.root, holds)?;
        let partitions: Vec<Partition> = [Some(places.root), places.data]
            .into_iter()
            .flatten()
            .collect();
        let ends = Table::encode(&self.ends, &partitions).map_err(|damage| Trouble::Table {
            disk: name.clone(),
            damage,
        })?;
        Ok(Planned { places, ends })
    }

    fn rewrite(&self, sys: &dyn System, planned: &Planned) -> Result<(), StageError> {
        // The kernel must not know an empty one at its old place: the root could
        // not grow over it.
        let old = self.data.filter(|old| planned.places.data != Some(*old));
        if let Some(old) = old {
            self.partx(sys, "--delete", old.number)?;
        }
        let device = self.disk.device();
        switch::write(sys, &device, &self.table, &self.ends, &planned.ends)?;
        Ok(())
    }
}

/// What the root file system lacks of its partition.
fn lacking(sys: &dyn System, found: &Found) -> Result<u64, StageError> {
    let device = found.disk.partition(found.root.number);
    let bytes = sys.read_at(&device, superblock::OFFSET, superblock::LEN)?;
    match Superblock::read(&bytes) {
        Some(superblock) => Ok(found.root.len.saturating_sub(superblock.len)),
        None => Err(StageError::Fatal(format!(
            "{device} holds / and no ext4, which alone can be grown: use a base with ext4"
        ))),
    }
}

fn grow(sys: &dyn System, found: &Found) -> Result<(), SystemError> {
    let device = found.disk.partition(found.root.number);
    let mut command = Command::new("resize2fs", &[&device]);
    command.limit = GROW_LIMIT;
    sys.run(&command).map(drop)
}

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    let tenths = |unit: u32| ((bytes >> (unit - 10)) * 10) >> 10;
    let (tenths, unit) = match bytes {
        0x100_0000_0000.. => (tenths(40), "TiB"),
        0x4000_0000.. => (tenths(30), "GiB"),
        _ => return format!("{} MiB", bytes >> 20),
    };
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        rest => format!("{}.{rest} {unit}", tenths / 10),
    }
}
