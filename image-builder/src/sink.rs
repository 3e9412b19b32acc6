//! The image-file sink: a composed disk becomes a sparse file that appears
//! under its name only when it is complete and on the disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::fstatvfs;

use crate::compose::Composed;
use crate::io::{ReadAt as _, Scratch, Writeback};
use crate::plan::Size;
use crate::progress::{Interrupted, Progress};

/// Why an image file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Something has that name.
    #[error("{0} exists; use --force to replace it, or --output for another name")]
    Exists(PathBuf),
    /// And it is no file at all.
    #[error("{0} is not a regular file; an image is only ever written to a file of its own")]
    NotAFile(PathBuf),
    /// Not enough room, seen before anything was written.
    #[error("{} has {} free and the image needs {}; free some, or use --output on another disk", dir.display(), mib(*free), mib(*needed))]
    Space {
        /// Where the image was to go.
        dir: PathBuf,
        /// Bytes free there.
        free: u64,
        /// Bytes the image will take.
        needed: u64,
    },
    /// The files beside the image would get its name, or one another's.
    #[error("{0} does not end in .img; give the image a name that does")]
    Name(PathBuf),
    /// The directory or file cannot be written.
    #[error("{0} cannot be written: {1}")]
    Write(PathBuf, io::Error),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The image's length in bytes.
    pub len: u64,
    /// Bytes copied; the rest are holes.
    pub copied: u64,
}

/// A place for an image, checked before the work begins.
#[derive(Debug)]
pub struct ImageFile {
    path: PathBuf,
    dir: PathBuf,
    replace: bool,
}

impl ImageFile {
    /// Checks that the image may be written to `path`, and makes its directory.
    ///
    /// # Errors
    /// When a file is there and `replace` was not asked for, or the directory
    /// cannot be made.
    pub fn new(path: &Path, replace: bool) -> Result<Self, SinkError> {
        if path.extension() != Some("img".as_ref()) && !exists_otherwise(path) {
            return Err(SinkError::Name(path.into()));
        }
        match fs::symlink_metadata(path) {
            Ok(meta) if !meta.is_file() => return Err(SinkError::NotAFile(path.into())),
            Ok(_) if !replace => return Err(SinkError::Exists(path.into())),
            _ => {}
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&dir).map_err(|error| SinkError::Write(dir.clone(), error))?;
        Ok(Self {
            path: path.into(),
            dir,
            replace,
        })
    }

    /// Writes a small text beside the image, `pi-1.known_hosts` for
    /// `pi-1.img`. One with the same content is left as it is.
    ///
    /// # Errors
    /// When another one is there and may not be replaced, or it cannot be
    /// written.
    pub fn write_beside(&self, extension: &str, text: &str) -> Result<PathBuf, SinkError> {
        let path = self.path.with_extension(extension);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(path);
        }
        let write = || {
            let scratch = Scratch::new(&self.dir)?;
            scratch.file().write_all_at(text.as_bytes(), 0)?;
            scratch
                .file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
            scratch.keep(&path, self.replace)
        };
        write().map_err(|error| write_error(&path, error))?;
        Ok(path)
    }

    /// Checks that so many bytes can still be written.
    ///
    /// # Errors
    /// When they cannot.
    pub fn check_room(&self, needed: u64) -> Result<(), SinkError> {
        let free = File::open(&self.dir).and_then(|dir| free_space(&dir));
        let free = free.map_err(|error| write_error(&self.dir, error))?;
        match free < needed {
            true => Err(SinkError::Space {
                dir: self.dir.clone(),
                free,
                needed,
            }),
            false => Ok(()),
        }
    }

    /// The directory the image goes to, for scratch files beside it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the image: beside its name, synced, then renamed. Mode 0600, for
    /// a node's image holds the node's keys.
    ///
    /// # Errors
    /// When there is no room, or writing fails or is interrupted; no file with
    /// the image's name is made or changed then.
    pub fn write(&self, disk: &Composed, progress: &mut dyn Progress) -> anyhow::Result<Written> {
        let failed = |error| write_error(&self.path, error);
        let pieces = disk.pieces().map_err(failed)?;
        let copied = pieces.iter().map(|piece| piece.bytes.len()).sum();
        self.check_room(copied)?;
        let scratch = Scratch::new(&self.dir).map_err(failed)?;
        let file = scratch.file();
        file.set_len(disk.layout.size).map_err(failed)?;
        progress.step("writing the image", Some(copied));
        let mut writeback = Writeback::new(file);
        for piece in &pieces {
            let mut end = piece.offset;
            let mut advance = |bytes| {
                end += bytes;
                writeback.written_to(end);
                progress.advance(bytes)
            };
            piece
                .bytes
                .copy_to(file, piece.offset, &mut advance)
                .map_err(|error| match error.get_ref() {
                    Some(inner) if inner.is::<Interrupted>() => anyhow::Error::from(Interrupted),
                    _ => failed(error).into(),
                })?;
        }
        progress.step("syncing", None);
        scratch.keep(&self.path, self.replace).map_err(failed)?;
        Ok(Written {
            len: disk.layout.size,
            copied,
        })
    }
}

/// Bytes an unprivileged user may still write.
pub(crate) fn free_space(file: &File) -> io::Result<u64> {
    let stat = fstatvfs(file)?;
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}

/// Something is there that is not a file: that is the better complaint.
fn exists_otherwise(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file())
}

fn write_error(path: &Path, error: io::Error) -> SinkError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => SinkError::Exists(path.into()),
        _ => SinkError::Write(path.into(), error),
    }
}

fn mib(bytes: u64) -> Size {
    Size(bytes.next_multiple_of(Size::MIB))
}
