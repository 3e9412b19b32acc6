//! Loop devices: disks for tests that need real ones. They need root; the file
//! behind one is made with it and goes with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::geteuid;
use tempfile::NamedTempFile;

use crate::lab::skip;

/// One loop device. Its partitions have devices of their own, as on a disk.
/// Detached when dropped, so also by a test that fails.
pub(crate) struct LoopDevice {
    path: PathBuf,
    /// What is behind it; none where that is another device.
    file: Option<NamedTempFile>,
}

impl LoopDevice {
    /// A disk of zeros on a sparse file beside the other output: as fast as the
    /// machine's own disk. `size` in bytes, `sector` (512 or 4096) as logical
    /// sector size.
    pub(crate) fn new(size: u64, sector: u32) -> Self {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/test");
        fs::create_dir_all(&out).expect("out/test");
        Self::in_dir(&out, size, sector)
    }

    /// The same in memory.
    pub(crate) fn in_memory(size: u64, sector: u32) -> Self {
        Self::in_dir(Path::new("/dev/shm"), size, sector)
    }

    fn in_dir(dir: &Path, size: u64, sector: u32) -> Self {
        let named = tempfile::Builder::new().prefix("loop-").tempfile_in(dir);
        let file = named.expect("a file for a loop device");
        file.as_file().set_len(size).expect("its length");
        let path = attach(file.path(), sector, &[]);
        Self {
            path,
            file: Some(file),
        }
    }

    /// A loop device over what is there: a file, or another device.
    /// `options` as of losetup(8), such as `--read-only`.
    pub(crate) fn over(path: &Path, sector: u32, options: &[&str]) -> Self {
        Self {
            path: attach(path, sector, options),
            file: None,
        }
    }

    /// `/dev/loopN`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `/dev/loopNpM`, after the table was written. The kernel is told the
    /// partitions: one may be built without knowing any kind of table.
    pub(crate) fn partition(&self, number: u32) -> PathBuf {
        let disk = self.path.display().to_string();
        run("partx", &["--update", &disk]);
        PathBuf::from(format!("{disk}p{number}"))
    }

    /// A link in `/dev/disk/by-id`, as udev makes one for a real disk.
    pub(crate) fn by_id(&self) -> ById {
        let dir = Path::new("/dev/disk/by-id");
        fs::create_dir_all(dir).expect("by-id");
        let name = self.path.file_name().expect("a name").to_string_lossy();
        let link = dir.join(format!("imgbuild-test-{name}"));
        // One of a test that was killed.
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&self.path, &link).expect("link");
        ById(link)
    }

    /// The file behind it, to look at what really arrived.
    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("a file of its own").as_file()
    }
}

/// A link in `/dev/disk/by-id`, until it is dropped.
pub(crate) struct ById(PathBuf);

impl ById {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ById {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("-d").arg(&self.path).status();
        match detached {
            Ok(status) if status.success() => {}
            other => eprintln!("{} stays attached: {other:?}", self.path.display()),
        }
    }
}

fn attach(path: &Path, sector: u32, options: &[&str]) -> PathBuf {
    let output = Command::new("losetup")
        .args(["--find", "--show", "--partscan", "--sector-size"])
        .arg(sector.to_string())
        .args(options)
        .arg(path)
        .output()
        .expect("losetup");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "losetup: {said}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Something mounted, until it is dropped. One at a time in all tests: a mount
/// namespace that one test makes keeps a copy of what another one has mounted.
pub(crate) struct Mount {
    point: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Mount {
    pub(crate) fn new(device: &Path, point: &Path) -> Self {
        Self::with(device, point, "rw")
    }

    /// Changes nothing on the device.
    pub(crate) fn read_only(device: &Path, point: &Path) -> Self {
        Self::with(device, point, "ro")
    }

    fn with(device: &Path, point: &Path, options: &str) -> Self {
        let _alone = mounting();
        let [device, at] = [device, point].map(|path| path.to_str().expect("UTF-8"));
        run("mount", &["-o", options, device, at]);
        let point = point.to_owned();
        Self { point, _alone }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        match Command::new("umount").arg(&self.point).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{} stays mounted: {other:?}", self.point.display()),
        }
    }
}

/// Held by a test that makes a mount namespace, or mounts by itself.
pub(crate) fn mounting() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // Another test's failure is no reason to fail.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this test can have loop devices; otherwise it says why not, or fails
/// where no test may be skipped.
pub(crate) fn available() -> bool {
    let root = geteuid().is_root();
    if !root {
        skip("loop devices need root");
    }
    root
}

/// Runs a program that must go well.
pub(crate) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect(program);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}
