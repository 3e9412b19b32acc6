//! The data partition: what is in it, its file system, its mount.
//!
//! It is formatted only when it is provably empty. A file system that was cut
//! while it was made is not: so it is noted before that one is being made, where
//! exactly, and a partition with such a note, and nothing that anybody would know
//! as theirs, is formatted again.

use std::time::Duration;

use node_config::disk::Data;
use node_config::paths;
use serde::Deserialize;

use super::find::{Disk, Mount};
use super::superblock::{self, Superblock};
use super::table::Partition;
use super::trouble::Trouble;
use crate::stages::StageError;
use crate::system::{Command, System, SystemError, read_text, replace};

/// Where the note lies while a file system is being made.
pub(super) const NOTE: &str = "/var/lib/imgbuild/formatting";

/// What `systemctl enable` makes of the unit's `WantedBy=`.
pub(super) const ENABLED: &str = "/etc/systemd/system/local-fs.target.wants/var-lib-longhorn.mount";

/// A journal of 1 GiB is written out, on a slow disk.
const FORMAT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// udev has to find the new file system, which systemd waits 90 s for.
const MOUNT_LIMIT: Duration = Duration::from_secs(150);

/// Where file systems, RAID and LVM put what they are recognised by: the first
/// and the last of a partition.
const MIB: u64 = 1 << 20;

const ZERO: [u8; 4096] = [0; 4096];

/// What is in the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: both ends are zero, and nothing is recognised.
    Empty,
    /// A file system of ours that was never finished, or never used.
    Unfinished,
    /// The node's file system.
    Ours,
}

/// What `wipefs --json` says.
#[derive(Debug, Default, Deserialize)]
struct Signatures {
    signatures: Vec<Signature>,
}

#[derive(Debug, Deserialize)]
struct Signature {
    #[serde(rename = "type")]
    kind: Option<String>,
    label: Option<String>,
    uuid: Option<String>,
}

/// What is in the partition.
///
/// # Errors
/// [`Trouble::Foreign`] for what is neither ours nor nothing.
pub(super) fn inspect(
    sys: &dyn System,
    disk: &Disk,
    partition: &Partition,
    want: &Data,
) -> Result<Content, StageError> {
    let device = disk.partition(partition.number);
    let foreign = |found: String| Trouble::Foreign {
        device: device.clone(),
        found,
    };
    let found = signatures(sys, &device)?;
    let ours = want.file_system.hyphenated().to_string();
    match &found[..] {
        [] if is_noted(sys, partition)? => Ok(Content::Unfinished),
        [] => match first_used(sys, &device, partition.len)? {
            None => Ok(Content::Empty),
            Some(at) => Err(foreign(format!("something unknown in the 4096 bytes at {at}")).into()),
        },
        [one] if one.kind.as_deref() == Some("ext4") && one.uuid.as_deref() == Some(&ours) => {
            // The note outlives its use if the power goes before its end is on
            // the disk; a file system that was in use is never made again.
            let noted = is_noted(sys, partition)?;
            let bytes = sys.read_at(&device, superblock::OFFSET, superblock::LEN)?;
            let unused = Superblock::read(&bytes).is_some_and(|of| !of.was_mounted);
            Ok(if noted && unused {
                Content::Unfinished
            } else {
                Content::Ours
            })
        }
        _ => {
            let names: Vec<String> = found.iter().map(Signature::describe).collect();
            Err(foreign(names.join(", ")).into())
        }
    }
}

/// Makes the file system. Only of a partition that [`inspect`] did not call ours.
pub(super) fn format(
    sys: &dyn System,
    disk: &Disk,
    partition: &Partition,
    want: &Data,
) -> Result<(), StageError> {
    let uuid = want.file_system.hyphenated().to_string();
    let device = disk.partition(partition.number);
    sys.make_dir(paths::STATE_DIR, 0o700)?;
    replace(sys, NOTE, 0o600, note(partition).as_bytes())?;
    // No discard: what is there is empty, and some USB bridges answer it with
    // silence. No reserve for root: what writes here is root.
    let args = ["-q", "-t", "ext4", "-L", "data", "-U", &uuid, "-m", "0"];
    let mut command = Command::new("mke2fs", &args);
    command
        .args
        .extend(["-E", "nodiscard", &device].map(String::from));
    command.limit = FORMAT_LIMIT;
    sys.run(&command)?;
    forget(sys)
}

/// Ends the note.
pub(super) fn forget(sys: &dyn System) -> Result<(), StageError> {
    sys.remove(NOTE)?;
    Ok(sys.sync()?)
}

/// What is left to do until it is mounted, if anything.
pub(super) fn unmounted(
    sys: &dyn System,
    disk: &Disk,
    partition: &Partition,
) -> Result<Option<&'static str>, StageError> {
    let mounts = read_text(sys, "/proc/self/mountinfo")?;
    match Mount::at(&mounts, paths::DATA_DIR) {
        None => Ok(Some("the data partition is not mounted")),
        Some(mount) if mount.device != disk.number_of(sys, partition.number)? => {
            let source_name = mount.source;
            Err(Trouble::Taken { source_name }.into())
        }
        Some(_) if sys.mode(ENABLED)?.is_none() => Ok(Some(
            "the data partition would not be mounted at the next boot",
        )),
        Some(_) => Ok(None),
    }
}

/// Mounts it, now and at every boot.
pub(super) fn mount(
    sys: &dyn System,
    disk: &Disk,
    partition: &Partition,
) -> Result<(), StageError> {
    sys.run(&Command::new("systemctl", &["enable", paths::DATA_UNIT]))?;
    // The link is not synced by whoever makes it.
    sys.sync()?;
    wake_udev(sys, &disk.partition(partition.number));
    let mut command = Command::new("systemctl", &["start", paths::DATA_UNIT]);
    command.limit = MOUNT_LIMIT;
    sys.run(&command)?;
    Ok(())
}

/// udev looks for a file system when whoever wrote to the device closes it. On a busy
/// machine it is then still at work on the partition's appearance, does not hear of it,
/// and the name that the unit waits for never comes. Where it cannot be told, the start
/// fails and says so.
fn wake_udev(sys: &dyn System, device: &str) {
    let args = ["trigger", "--action=change", "--settle", device];
    let _ = sys.run(&Command::new("udevadm", &args));
}

fn signatures(sys: &dyn System, device: &str) -> Result<Vec<Signature>, StageError> {
    let args = ["--json", "--output", "TYPE,LABEL,UUID", device];
    let command = Command::new("wipefs", &args);
    let answer = sys.run(&command)?;
    // With nothing to show, some versions print nothing.
    if answer.trim().is_empty() {
        return Ok(Vec::new());
    }
    let found: Signatures = serde_json::from_str(&answer).map_err(|error| {
        StageError::Retry(format!(
            "`{command}` gave an answer that is not understood: {error}"
        ))
    })?;
    Ok(found.signatures)
}

impl Signature {
    fn describe(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("something");
        match (&self.label, &self.uuid) {
            (Some(label), _) => format!("{kind} {label:?}"),
            (None, Some(uuid)) => format!("{kind} {uuid}"),
            (None, None) => kind.into(),
        }
    }
}

/// Where at either end there is a first block that is not zero.
fn first_used(sys: &dyn System, device: &str, len: u64) -> Result<Option<u64>, SystemError> {
    for start in [0, len.saturating_sub(MIB)] {
        let bytes = sys.read_at(device, start, MIB.min(len) as usize)?;
        // A block at a time, for most of them are zero.
        let used = bytes
            .chunks(ZERO.len())
            .position(|of| *of != ZERO[..of.len()]);
        if let Some(block) = used {
            return Ok(Some(start + (block * ZERO.len()) as u64));
        }
    }
    Ok(None)
}

fn is_noted(sys: &dyn System, partition: &Partition) -> Result<bool, SystemError> {
    Ok(read_text(sys, NOTE)? == note(partition))
}

/// Names the place exactly: a partition moved by hand is another one.
fn note(partition: &Partition) -> String {
    let Partition {
        number: _,
        id,
        offset,
        len,
    } = partition;
    format!("{id} {offset} {len}\n")
}
