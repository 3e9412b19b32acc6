//! What the fuzz targets share: seeds that `ci/fuzz/seeds` made, damaged
//! copies of them, a base in memory, and a text with its signers.

pub mod damage;
pub mod debian;
pub mod overlay;
pub mod signed;
pub mod walk;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgbuild::io::Region;

/// A file below the seeds' directory.
pub fn seed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../out/fuzz/seeds")
        .join(name)
}

/// Where scratch files go: memory, where the machine has a file system for it.
pub fn scratch_dir() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// A file with these bytes, enlarged to `len` by a hole.
///
/// # Panics
/// When the machine has no room for it, which is no find.
pub fn region(bytes: &[u8], len: u64) -> Region {
    let file = tempfile::tempfile_in(scratch_dir()).expect("a scratch file");
    file.write_all_at(bytes, 0).expect("room for the input");
    file.set_len(len).expect("room for a hole");
    Region::whole(Arc::new(file)).expect("the file just made")
}

/// Opens a seed.
///
/// # Panics
/// When it is not there.
pub fn open_seed(name: &str) -> Region {
    let path = seed(name);
    let file = File::open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run ci/fuzz/seeds", path.display()));
    Region::whole(Arc::new(file)).expect("a file of known size")
}
