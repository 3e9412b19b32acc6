//! The stage alone, on disks of every kind, cut at every call.

use std::os::unix::fs::FileExt;
use std::process::Command;

use node_config::disk::Extent::{self, Fixed, Rest};
use uuid::Uuid;

use super::*;
use crate::system::drive::Drive;
use crate::system::fake::{Fake, Fault};
use crate::tests::disk::{
    DATA_FS, DATA_ID, DISK_ID, GIB, LARGE, MIB, ROOT, ROOT_LEN, flash, flash_fitted, kernel_sees,
    partitions, put, put_file_system, wanted,
};
use crate::tests::machine;

const BEHIND: u64 = ROOT + ROOT_LEN;

/// A disk, what is wanted of it, and where root and data then are.
struct Case {
    name: &'static str,
    root: Extent,
    data: Option<Extent>,
    make: fn(&Fake),
    /// Length of the root, offset and length of the data.
    ends: (u64, Option<(u64, u64)>),
}

/// The last MiB is the table's.
const LAST: u64 = (LARGE - MIB) / MIB * MIB;

const CASES: &[Case] = &[
    Case {
        name: "root takes the rest, data moves to the end",
        root: Rest,
        data: Some(Fixed(20 * GIB)),
        make: |fake| flash(fake, LARGE, DISK_ID, Some((BEHIND, 20 * GIB))),
        ends: (
            (LAST - 20 * GIB) / (8 * MIB) * (8 * MIB) - ROOT,
            Some(((LAST - 20 * GIB) / (8 * MIB) * (8 * MIB), 20 * GIB)),
        ),
    },
    Case {
        name: "data takes the rest",
        root: Fixed(ROOT_LEN),
        data: Some(Rest),
        make: |fake| flash(fake, LARGE, DISK_ID, None),
        ends: (ROOT_LEN, Some((BEHIND, LAST - BEHIND))),
    },
    Case {
        name: "root grows to its size, data takes the rest",
        root: Fixed(10 * GIB),
        data: Some(Rest),
        make: |fake| flash(fake, LARGE, DISK_ID, None),
        ends: (10 * GIB, Some((ROOT + 10 * GIB, LAST - ROOT - 10 * GIB))),
    },
    Case {
        name: "no data",
        root: Rest,
        data: None,
        make: |fake| flash(fake, LARGE, DISK_ID, None),
        ends: (LAST - ROOT, None),
    },
    Case {
        name: "imgbuild write made the table",
        root: Fixed(ROOT_LEN),
        data: Some(Rest),
        make: |fake| {
            let data = Some((BEHIND, LAST - BEHIND));
            flash_fitted(fake, LARGE, LARGE, DISK_ID, data, ROOT_LEN);
        },
        ends: (ROOT_LEN, Some((BEHIND, LAST - BEHIND))),
    },
    Case {
        name: "imgbuild write made the table, and the root is larger than its file system",
        root: Rest,
        data: None,
        make: |fake| flash_fitted(fake, LARGE, LARGE, DISK_ID, None, LAST - ROOT),
        ends: (LAST - ROOT, None),
    },
    Case {
        name: "a disk just as large as the image",
        root: Rest,
        data: Some(Fixed(GIB)),
        make: |fake| flash(fake, BEHIND + GIB + MIB, DISK_ID, Some((BEHIND, GIB))),
        ends: (ROOT_LEN, Some((BEHIND, GIB))),
    },
    Case {
        name: "data that was kept stays where it is",
        root: Rest,
        data: Some(Rest),
        make: |fake| {
            let kept = (30 * GIB, 8 * GIB);
            flash_fitted(fake, LARGE, LARGE, DISK_ID, Some(kept), ROOT_LEN);
            put_file_system(fake, kept.0, DATA_FS, kept.1, true);
            put(fake, kept.0 + GIB, &[9; 512]);
        },
        ends: (30 * GIB - ROOT, Some((30 * GIB, 8 * GIB))),
    },
    Case {
        name: "three tebibytes",
        root: Fixed(ROOT_LEN),
        data: Some(Rest),
        make: |fake| flash(fake, 3 << 40, DISK_ID, None),
        ends: (ROOT_LEN, Some((BEHIND, (3 << 40) - MIB - BEHIND))),
    },
];

impl Case {
    fn node(&self) -> NodeConfig {
        NodeConfig {
            disk: Some(wanted(self.root, self.data)),
            ..machine::node()
        }
    }

    fn fake(&self) -> Fake {
        let fake = machine::healthy();
        (self.make)(&fake);
        fake
    }
}

/// The stage as the runner drives it.
fn complete(node: &NodeConfig, fake: &Fake) -> Result<String, StageError> {
    for _ in 0..2 {
        match DiskStage.look(node, fake)? {
            Look::Done(message) => return Ok(message),
            Look::ToDo(_) => DiskStage.apply(node, fake, &|_| ())?,
        }
    }
    match DiskStage.look(node, fake)? {
        Look::Done(message) => Ok(message),
        Look::ToDo(reason) => panic!("applied, and still {reason}"),
    }
}

/// What is on the disk, and what is mounted of it.
fn end_state(fake: &Fake) -> (Drive, String, bool) {
    let drive = fake.drive.borrow().clone();
    assert!(!fake.exists(data::NOTE), "the note is gone");
    let mounts = fake.text("/proc/self/mountinfo");
    (drive, mounts, fake.exists(data::ENABLED))
}

#[test]
fn every_disk_ends_as_wanted_and_is_then_left_alone() {
    for case in CASES {
        let (node, fake) = (case.node(), case.fake());
        let message = complete(&node, &fake).expect(case.name);
        let found = partitions(&fake.drive.borrow()).expect("a table");
        let (root, data) = case.ends;
        let expected: Vec<_> = [(8 * MIB, 512 * MIB), (ROOT, root)]
            .into_iter()
            .chain(data)
            .collect();
        assert_eq!(found, expected, "{}", case.name);
        // What the kernel and the file system think.
        assert_eq!(kernel_sees(&fake, 2), Some((ROOT, root)), "{}", case.name);
        let block = fake.read_at("/dev/nvme0n1p2", 1024, 1024).expect("read");
        let len = Superblock::read(&block).expect("a superblock").len;
        assert!(root - len < GROUP, "{}: {len} of {root}", case.name);
        let mounted = fake.text("/proc/self/mountinfo").contains(paths::DATA_DIR);
        assert_eq!(mounted, data.is_some(), "{}", case.name);
        assert_eq!(message.contains(paths::DATA_DIR), data.is_some());

        let before = end_state(&fake);
        machine::restart(&fake);
        fake.power_on(None, |fake| complete(&node, fake).expect(case.name));
        assert!(end_state(&fake) == before, "{}: changed again", case.name);
    }
}

/// Cut, at any call and within any, the kernel finds a table with the root in it;
/// and the next boot ends as if nothing had been.
#[test]
fn cut_at_every_call_it_boots_and_ends_the_same() {
    for case in CASES {
        let node = case.node();
        let fake = case.fake();
        fake.power_on(None, |fake| complete(&node, fake).expect(case.name));
        let (calls, expected) = (fake.calls(), end_state(&fake));
        for call in 0..calls {
            for fault in [Fault::CutBefore(call), Fault::CutWithin(call)] {
                let fake = case.fake();
                let cut = fake.power_on(Some(fault), |fake| complete(&node, fake));
                assert!(cut.is_none(), "{}, {fault:?}: {cut:?}", case.name);
                let found = partitions(&fake.drive.borrow());
                let found = found.unwrap_or_else(|| panic!("{}, {fault:?}: unbootable", case.name));
                assert_eq!(found[0], (8 * MIB, 512 * MIB));
                assert_eq!(found[1].0, ROOT);
                machine::restart(&fake);
                let end = fake.power_on(None, |fake| complete(&node, fake));
                let end = end.expect("the power stays");
                end.unwrap_or_else(|error| panic!("{}, {fault:?}: {error}", case.name));
                assert!(end_state(&fake) == expected, "{}, {fault:?}", case.name);
            }
        }
    }
}

#[test]
fn a_call_that_fails_is_retried_in_the_same_boot() {
    for case in CASES {
        let node = case.node();
        let fake = case.fake();
        fake.power_on(None, |fake| complete(&node, fake).expect(case.name));
        let (calls, expected) = (fake.calls(), end_state(&fake));
        for call in 0..calls {
            let fake = case.fake();
            let first = fake.power_on(Some(Fault::Fail(call)), |fake| complete(&node, fake));
            match first.expect("the power stays") {
                Ok(_) | Err(StageError::Retry(_)) => {}
                Err(error) => panic!("{}, call {call}: {error:?}", case.name),
            }
            complete(&node, &fake).expect(case.name);
            assert!(end_state(&fake) == expected, "{}, call {call}", case.name);
        }
    }
}

#[test]
fn sgdisk_agrees() {
    for case in CASES {
        let (node, fake) = (case.node(), case.fake());
        complete(&node, &fake).expect(case.name);
        let drive = fake.drive.borrow();
        let file = tempfile::NamedTempFile::new().expect("file");
        file.as_file().set_len(drive.size).expect("a hole");
        for offset in [0, drive.size - MIB] {
            let bytes = drive.read(offset, MIB as usize).expect("inside");
            file.as_file().write_all_at(&bytes, offset).expect("write");
        }
        let mut sgdisk = Command::new("/usr/sbin/sgdisk");
        let output = sgdisk.arg("-v").arg(file.path()).output().expect("sgdisk");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("No problems found"), "{}: {text}", case.name);
    }
}

/// What must stop the stage, and must leave the disk as it is.
#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let other = Uuid::from_u128(0x0bad);
    let rest = wanted(Fixed(ROOT_LEN), Some(Rest));
    let data = Some((BEHIND, 20 * GIB));
    type Make = Box<dyn Fn(&Fake)>;
    let cases: Vec<(Make, &str)> = vec![
        (
            Box::new(move |fake| flash(fake, LARGE, other, None)),
            "nvme0n1 is the disk 00000000-0000-0000-0000-000000000bad, and this node was given",
        ),
        (
            Box::new(move |fake| {
                flash(fake, LARGE, DISK_ID, data);
                put(fake, BEHIND, &[*b"XFSB", [0; 4]].concat().repeat(64));
            }),
            "/dev/nvme0n1p3 is to be the data partition, and it holds xfs \"backup\": it is left",
        ),
        (
            Box::new(move |fake| {
                flash(fake, LARGE, DISK_ID, data);
                put_file_system(fake, BEHIND, other, 20 * GIB, true);
            }),
            "it holds ext4 00000000-0000-0000-0000-000000000bad: it is left as it is; save",
        ),
        (
            Box::new(move |fake| {
                flash(fake, LARGE, DISK_ID, data);
                put(fake, BEHIND + 300 * 1024, &[1; 512]);
            }),
            "it holds something unknown in the 4096 bytes at 307200: it is left",
        ),
        (
            Box::new(move |fake| {
                flash(fake, LARGE, DISK_ID, data);
                put(fake, BEHIND + 20 * GIB - 512, &[1; 512]);
            }),
            "it holds something unknown in the 4096 bytes at 21474832384: it is left",
        ),
        (
            Box::new(|fake| flash(fake, ROOT + GIB, DISK_ID, None)),
            "partition 2 of nvme0n1 ends at byte 2692743168, and the disk at 1619001344: the image",
        ),
        (
            Box::new(|fake| {
                flash(fake, LARGE, DISK_ID, None);
                fake.show(
                    "/sys/class/block/nvme0n1/queue/logical_block_size",
                    "4096\n",
                );
            }),
            "nvme0n1 has sectors of 4096 bytes, and the boot partition works with 512 only",
        ),
        (
            Box::new(|fake| {
                fake.show(
                    "/proc/self/mountinfo",
                    "22 1 0:23 / / rw - overlay none rw\n",
                )
            }),
            "/ is on none, which is no partition of a disk",
        ),
        (
            Box::new(|fake| {
                flash(fake, LARGE, DISK_ID, None);
                put(fake, 512, &[0; 512]);
            }),
            "the partition table of nvme0n1 cannot be used: it has no GPT; write the image again",
        ),
        (
            Box::new(|fake| flash(fake, BEHIND + MIB, DISK_ID, None)),
            "there is no room for a data partition on nvme0n1: it needs 8388608 bytes and 0 are",
        ),
    ];
    for (make, words) in cases {
        let fake = machine::healthy();
        make(&fake);
        let before = fake.drive.borrow().clone();
        let node = NodeConfig {
            disk: Some(rest),
            ..machine::node()
        };
        match complete(&node, &fake) {
            Err(StageError::Fatal(message)) => {
                assert!(message.contains(words), "{message}");
                // All of it fits a line of the report.
                assert!(message.len() < 500, "{message}");
            }
            other => panic!("{words}: {other:?}"),
        }
        assert!(*fake.drive.borrow() == before, "{words}: the disk changed");
    }
}

#[test]
fn another_file_system_at_the_mount_point_is_named() {
    let node = CASES[1].node();
    let fake = CASES[1].fake();
    let mounts = fake.text("/proc/self/mountinfo");
    let taken = format!("50 22 8:1 / {} rw - ext4 /dev/sda1 rw\n", paths::DATA_DIR);
    fake.show("/proc/self/mountinfo", mounts + &taken);
    let error = complete(&node, &fake).expect_err("taken").to_string();
    assert!(
        error.starts_with("/var/lib/longhorn is taken by /dev/sda1: "),
        "{error}"
    );
}

/// The end of the note may be lost with the power: what was in use since is not
/// formatted again.
#[test]
fn a_note_that_came_back_does_no_harm() {
    let (node, fake) = (CASES[1].node(), CASES[1].fake());
    complete(&node, &fake).expect("done");
    let partition = Partition {
        number: 3,
        id: DATA_ID,
        offset: BEHIND,
        len: LAST - BEHIND,
    };
    let note = format!("{DATA_ID} {} {}\n", partition.offset, partition.len);
    fake.put(data::NOTE, 0o600, note);
    put(&fake, BEHIND + GIB, &[5; 512]);
    let before = fake.drive.borrow().clone();
    machine::restart(&fake);
    complete(&node, &fake).expect("done still");
    assert!(*fake.drive.borrow() == before);
}

#[test]
fn a_node_that_is_told_nothing_of_its_disk_keeps_it() {
    let fake = machine::healthy();
    flash(&fake, LARGE, Uuid::from_u128(1), None);
    let before = fake.drive.borrow().clone();
    let node = NodeConfig {
        disk: None,
        ..machine::node()
    };
    let message = complete(&node, &fake).expect("done");
    assert_eq!(message, "left as it is, as the image says nothing of it");
    assert!(*fake.drive.borrow() == before);
}

#[test]
fn sizes_as_people_say_them() {
    for (bytes, words) in [
        (300 * MIB, "300 MiB"),
        (GIB, "1 GiB"),
        (43 * GIB + 512 * MIB, "43.5 GiB"),
        (1024 * GIB - 1, "1023.9 GiB"),
        (2 << 40, "2 TiB"),
    ] {
        assert_eq!(size(bytes), words);
    }
}
