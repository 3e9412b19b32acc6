//! One partition of an image: what is in it, how it is, and a reader for it if
//! there can be one.

use serde::Serialize;

use super::{PartitionSummary, problem};
use crate::bootfs::{self, BootFs, FatError, Health, looks_like_fat};
use crate::io::{ReadAt as _, Region};
use crate::layout::Partition;
use crate::rootfs::{Ext4Error, RootView, Superblock};

/// One file system.
#[derive(Debug, Clone, Serialize)]
pub struct FileSystem {
    /// `vfat` or `ext4`.
    pub kind: &'static str,
    /// How it is.
    pub state: State,
    /// Why it is in that state, unless it is clean.
    pub problem: Option<String>,
    /// The volume label.
    pub label: Option<String>,
    /// UUID, or FAT serial as in `UUID=`.
    pub uuid: Option<String>,
    /// Bytes free.
    pub free: Option<u64>,
    /// ext4's features, or FAT's cluster size.
    pub features: Vec<String>,
}

/// How a file system is. Anything but clean is refused as a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is wrong with what was looked at.
    Clean,
    /// It was in use when it was copied.
    Dirty,
    /// It contradicts itself, or is cut short.
    Damaged,
    /// It is of a kind imgbuild does not write.
    Unsupported,
}

/// What a file system can be read with.
pub(super) enum Reader {
    Boot(BootFs<Region>),
    Root(RootView),
}

/// A partition that was looked into.
pub(super) struct Found {
    pub(super) summary: PartitionSummary,
    /// The reader, or why there is none; `None` without a file system.
    pub(super) reader: Option<anyhow::Result<Reader>>,
}

impl Found {
    /// Looks into a partition, as far as the image holds it.
    pub(super) fn look(image: &Region, partition: &Partition) -> Self {
        let offset = partition.offset.min(image.len());
        let len = partition.len.min(image.len() - offset);
        let (filesystem, reader) = match image.slice(offset, len) {
            Ok(region) if looks_like_fat(&region) => fat(region),
            Ok(region) => ext4(region),
            Err(_) => (None, None),
        };
        let cut = partition.check(image.len()).err();
        let Partition {
            number,
            offset,
            len,
            name,
            partuuid,
        } = partition.clone();
        Self {
            summary: PartitionSummary {
                number,
                offset,
                bytes: len,
                name,
                partuuid,
                problem: cut.map(problem),
                filesystem,
            },
            reader,
        }
    }

    /// Whether it is called by that name, in the table or by its label.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let label = self
            .summary
            .filesystem
            .as_ref()
            .and_then(|fs| fs.label.as_deref());
        self.summary.name == name || label == Some(name)
    }
}

type Looked = (Option<FileSystem>, Option<anyhow::Result<Reader>>);

fn fat(region: Region) -> Looked {
    let mut fs = FileSystem::new("vfat");
    let health = match bootfs::examine(&region) {
        Ok(health) => health,
        Err(error) => {
            let state = match error {
                FatError::NotFat32(_) => State::Unsupported,
                _ => State::Damaged,
            };
            fs.fault(state, &error);
            return (Some(fs), Some(Err(error.into())));
        }
    };
    let Health {
        dirty,
        damage,
        readable,
    } = health;
    let damage = damage.map(FatError::Damaged);
    if let Some(error) = &damage {
        fs.fault(State::Damaged, error);
    } else if dirty {
        fs.fault(State::Dirty, &FatError::Dirty);
    }
    let reader = match (damage, BootFs::open_to_read(region)) {
        (_, Err(error)) => Err(error.into()),
        // A chain without an end would be followed for ever.
        (Some(error), Ok(_)) if !readable => Err(error.into()),
        (_, Ok(boot)) => {
            let serial = boot.serial();
            fs.label = Some(boot.label().trim_end().to_owned());
            fs.uuid = Some(format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff));
            if let Ok((free, cluster)) = boot.space() {
                fs.free = Some(free);
                fs.features = vec![format!("{cluster}-byte clusters")];
            }
            Ok(Reader::Boot(boot))
        }
    };
    if let (State::Clean, Err(error)) = (fs.state, &reader) {
        fs.fault(State::Damaged, error);
    }
    (Some(fs), Some(reader))
}

fn ext4(region: Region) -> Looked {
    let mut fs = FileSystem::new("ext4");
    match Superblock::read(&region) {
        Err(Ext4Error::NotExt4) => return (None, None),
        Err(error) => fs.fault(State::Damaged, &error),
        Ok(superblock) => {
            fs.label = Some(superblock.label().to_owned());
            fs.uuid = Some(superblock.uuid().to_string());
            fs.free = Some(superblock.free());
            fs.features = superblock.features();
            if let Err(error) = superblock.check(region.len()) {
                let state = match error {
                    Ext4Error::Dirty(_) => State::Dirty,
                    Ext4Error::Feature(_) | Ext4Error::BlockSize(_) => State::Unsupported,
                    _ => State::Damaged,
                };
                fs.fault(state, &error);
            }
        }
    }
    // The reader has its own opinion: it replays a journal in memory.
    let reader = RootView::open(region).map(Reader::Root);
    if let (State::Clean, Err(error)) = (fs.state, &reader) {
        fs.fault(State::Damaged, format!("{error:#}"));
    }
    (Some(fs), Some(reader))
}

impl FileSystem {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            state: State::Clean,
            problem: None,
            label: None,
            uuid: None,
            free: None,
            features: Vec::new(),
        }
    }

    fn fault(&mut self, state: State, why: impl ToString) {
        self.state = state;
        self.problem = Some(why.to_string());
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Dirty => "dirty",
            Self::Damaged => "damaged",
            Self::Unsupported => "unsupported",
        })
    }
}
