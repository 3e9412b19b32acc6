//! Where things are in a disk image, and how foreign tools name the place.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cmd::Cmd;

/// Where a partition lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Place {
    /// How e2fsprogs name the file system there.
    pub(super) fn for_e2fsprogs(self, image: &Path) -> String {
        format!("{}?offset={}", image.display(), self.offset)
    }

    /// How mtools do.
    pub(super) fn for_mtools(self, image: &Path) -> String {
        format!("{}@@{}", image.display(), self.offset)
    }
}

/// The first two partitions, of a base as of what is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) boot: Place,
    pub(super) root: Place,
}

impl Parts {
    pub(super) fn of(image: &Path) -> Result<Parts> {
        let dump = Cmd::new("sfdisk").arg("--dump").arg(image).read()?;
        Parts::parse(&dump)
            .with_context(|| format!("finding two partitions in {}", image.display()))
    }

    /// From lines such as `a.img1 : start=       16384, size=     1048576, type=c`.
    fn parse(dump: &str) -> Option<Parts> {
        let mut places = dump.lines().filter_map(|line| {
            let (_, fields) = line.split_once(" : ")?;
            let bytes = |name| {
                let value = fields
                    .split(',')
                    .find_map(|f| f.trim().strip_prefix(name))?;
                Some(value.trim().parse::<u64>().ok()? * 512)
            };
            Some(Place {
                offset: bytes("start=")?,
                len: bytes("size=")?,
            })
        });
        Some(Parts {
            boot: places.next()?,
            root: places.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Parts, Place};

    #[test]
    fn partitions_of_sfdisk() {
        let dump = "label: gpt\nunit: sectors\n\n\
            a.img1 : start=        64, size=         8, type=c\n\
            a.img2 : start= 72, size= 16, name=\"x\"\n";
        let place = |offset: u64, len: u64| Place {
            offset: offset * 512,
            len: len * 512,
        };
        let (boot, root) = (place(64, 8), place(72, 16));
        assert_eq!(Parts::parse(dump), Some(Parts { boot, root }));
    }
}
