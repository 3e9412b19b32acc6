//! Which disks may be written to, on real ones.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::loops::{self, LoopDevice, run};

const MIB: u64 = 1 << 20;

/// The helper itself: what is written arrives, sectors and partitions are real.
#[test]
fn a_loop_device_is_a_disk_until_it_is_dropped() {
    if !loops::available() {
        return;
    }
    let attached = |path: &std::path::Path| {
        let name = path.file_name().expect("a name").to_owned();
        std::path::Path::new("/sys/class/block")
            .join(name)
            .join("loop")
            .exists()
    };
    for disk in [
        LoopDevice::new(16 * MIB, 512),
        LoopDevice::in_memory(16 * MIB, 4096),
    ] {
        let path = disk.path().to_owned();
        let opened = fs::OpenOptions::new().write(true).open(&path);
        let opened = opened.expect("the device");
        opened.write_all_at(b"arrived", 8192).expect("write");
        opened.sync_all().expect("sync");
        drop(opened);
        let mut seen = [0; 7];
        disk.file().read_exact_at(&mut seen, 8192).expect("read");
        assert_eq!(&seen, b"arrived");
        let name = path.to_str().expect("UTF-8");
        run("sh", &["-c", &format!("echo , | sfdisk --quiet {name}")]);
        let partition = disk.partition(1);
        assert!(partition.exists(), "{}", partition.display());
        let over = LoopDevice::over(&partition, 512, &["--read-only"]);
        assert!(attached(over.path()) && attached(&path));
        drop(over);
        drop(disk);
        assert!(!attached(&path), "{}", path.display());
    }
}
