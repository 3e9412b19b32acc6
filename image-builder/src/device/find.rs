//! From what the user named to the disk.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::snapshot::device_at;
use super::{Device, System};

/// Why what was named is no disk.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing is there.
    #[error("there is no {0}; `imgbuild devices` shows which disks there are")]
    Absent(PathBuf),
    /// A partition of a disk.
    #[error("{path} is partition {number} of {disk}; a node needs a whole disk: name {disk}")]
    Partition {
        /// What was named.
        path: PathBuf,
        /// Which partition.
        number: u32,
        /// The disk it is on.
        disk: PathBuf,
    },
    /// Not a block device.
    #[error("{path} is {what}, not a disk; `imgbuild devices` shows which disks there are")]
    NotADevice {
        /// What was named.
        path: PathBuf,
        /// `a file`.
        what: &'static str,
    },
    /// A block device that sysfs does not have: of another machine, or a node
    /// that was made by hand.
    #[error("{0} is a device that this system does not have; `imgbuild devices` shows what it has")]
    Unknown(PathBuf),
    /// It could not be looked at.
    #[error("looking at {path}")]
    Io {
        /// What was named.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl System {
    /// The disk at a path: its node, or a link to it.
    ///
    /// # Errors
    /// When it is something else, and what; or cannot be looked at.
    pub fn find(&self, path: &Path) -> Result<Device, FindError> {
        let io = |source: io::Error| FindError::Io {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(io)?;
        let resolved = match self.resolve(&absolute) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FindError::Absent(path.to_owned()));
            }
            resolved => resolved.map_err(io)?,
        };
        let blocks = self.blocks().map_err(io)?;
        let Some(block) = device_at(self, &blocks, &resolved) else {
            let kind = fs::metadata(self.real(&resolved)).map_err(io)?.file_type();
            let path = path.to_owned();
            let what = match () {
                () if kind.is_block_device() => return Err(FindError::Unknown(path)),
                () if kind.is_char_device() => "a character device",
                () if kind.is_dir() => "a directory",
                () if kind.is_file() => "a file",
                () => "a pipe or a socket",
            };
            return Err(FindError::NotADevice { path, what });
        };
        if let Some((number, disk, _)) = &block.partition {
            let disk = blocks.get(disk).map(|disk| disk.path());
            return Err(FindError::Partition {
                path: path.to_owned(),
                number: *number,
                disk: disk.unwrap_or_default(),
            });
        }
        let by_id = self.by_id(&blocks).map_err(io)?;
        Ok(self.device(block, &by_id))
    }
}
