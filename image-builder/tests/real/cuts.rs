//! The power goes at random moments of a first boot, on a disk larger than the image:
//! the node goes on at the next, and what was on its disk is on it.
//!
//! QEMU is killed: what the guest had in memory is gone, what its disk had taken is
//! not. A disk that forgets what it took is `imgbuild write`'s tests' matter.

use std::fs;
use std::time::{Duration, Instant};

use imgbuild::cmd::Cmd;
use imgbuild::plan::{Disk, Extent, Size};
use imgbuild::qemu::{DiskBus, Guest, Ssh};

use crate::boot::{Rig, assert_holds, drain, power_off, text, wait_until_done};
use crate::disk::{DISK, assert_disk_clean, assert_table_is, fitted, login, raw};
use crate::lab::{Lab, count};

/// Another bus after each start: a node finds its disk by its ids alone.
const BUSES: [DiskBus; 3] = [DiskBus::Nvme, DiskBus::Usb, DiskBus::Virtio];

/// Writes to the data partition from the moment it is there, and says what it knows to
/// be on the disk.
const KEEPER: &str = r#"

[[files]]
path = "/etc/systemd/system/multi-user.target.d/keeper.conf"
content = """
[Unit]
Wants=keeper.service
"""

[[files]]
path = "/etc/systemd/system/keeper.service"
content = """
[Service]
ExecStart=/bin/sh /usr/lib/keeper
"""

[[files]]
path = "/usr/lib/keeper"
content = """
cd /
until mountpoint -q /var/lib/longhorn; do sleep 1; done
cd /var/lib/longhorn
n=1
while [ -s $n ]; do n=$((n + 1)); done
while sleep 1; do
  echo "$n is kept" >$n
  sync $n .
  echo "kept $n" >/dev/console
  n=$((n + 1))
done
"""
"#;

/// The root takes the rest of the disk, and the data partition that the image has moves
/// to its end: everything the first boot can do to a disk.
#[test]
fn a_first_boot_that_was_cut_at_any_moment_ends_the_same() {
    let Some(lab) = Lab::new() else { return };
    lab.edit("profiles/lab.toml", |profile| {
        let disk = "root = \"rest\"\ndata = \"1GiB\"";
        profile.replace("root = \"1GiB\"", disk) + KEEPER
    });
    let image = lab.build("pi-1.img");
    let mut whole = whole_boot(&Rig::new(&lab, &image));
    let seed = u64::from(count("IMGBUILD_SOAK_SEED", std::process::id()));
    let rounds = count("IMGBUILD_SOAK_CUTS", 2);
    eprintln!("a first boot takes {whole:.0?}; seed {seed}, for IMGBUILD_SOAK_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let rig = Rig::new(&lab, &image);
        rig.enlarge_disk(DISK);
        let bus = |boot: usize| BUSES[(round as usize + boot) % BUSES.len()];
        let cut = whole.mul_f64(random.f64());
        let mut guest = rig.start(bus(0));
        drain(&mut guest, cut);
        let last_words = last_words(&guest);
        let mut kept = kept(&guest);
        drop(guest);

        let began = Instant::now();
        let mut guest = rig.start(bus(1));
        let ssh = login(&rig, &mut guest);
        let done = "for i in $(seq 180); do sudo test -e /var/lib/imgbuild/done && exit 0; sleep 1; done; sudo cat /var/lib/imgbuild/report.json; exit 1";
        text(ssh.run(done).expect("ssh"));
        let took = began.elapsed();
        // What else the machine does changes in an hour, and with it the next boot.
        whole = took;
        let run = |command: &str| text(ssh.run(command).expect("ssh"));
        assert_eq!(run("systemctl is-system-running --wait"), "running");
        assert_holds(&ssh, &lab.overlay());
        drain(&mut guest, Duration::from_secs(2));
        kept = kept.max(self::kept(&guest));
        assert_kept(&ssh, kept);
        power_off(guest, &ssh);
        assert_whole(&rig);
        eprintln!(
            "cut {} of {rounds} after {cut:.1?} at {last_words:?}: done {took:.0?} after the next \
             start, {kept} files of the data partition whole",
            round + 1
        );
    }
}

/// How long one takes that nobody cuts, on this machine, now.
fn whole_boot(rig: &Rig<'_>) -> Duration {
    rig.enlarge_disk(DISK);
    let began = Instant::now();
    let mut guest = rig.start(DiskBus::Virtio);
    wait_until_done(&mut guest);
    began.elapsed()
}

/// The agent's.
fn last_words(guest: &Guest) -> String {
    let found = words(guest, "imgbuild ").pop();
    found.unwrap_or_else(|| "nothing of the agent yet".into())
}

/// The last file that was said to be on the disk; 0 for none.
fn kept(guest: &Guest) -> u32 {
    let numbers = words(guest, "kept ").into_iter();
    let numbers = numbers.filter_map(|number| number.parse().ok());
    numbers.max().unwrap_or(0)
}

/// What stands behind these words in rows of the console, and not at their beginning
/// alone: a terminal that is reset ends no row.
fn words(guest: &Guest, before: &str) -> Vec<String> {
    let log = fs::read(guest.log()).expect("the console's log");
    let log = String::from_utf8_lossy(&log);
    let found = log.lines().filter_map(|row| row.split_once(before));
    found
        .map(|(_, words)| words.trim_end().to_owned())
        .collect()
}

fn assert_kept(ssh: &Ssh, last: u32) {
    let script = format!(
        "cd /var/lib/longhorn && for n in $(seq {last}); do echo \"$n is kept\" | cmp - $n; done"
    );
    assert_eq!(text(ssh.run(&script).expect("ssh")), "");
    assert_eq!(
        text(
            ssh.run("findmnt -rno SOURCE /var/lib/longhorn")
                .expect("ssh")
        )
        .len(),
        text(ssh.run("findmnt -rno SOURCE /").expect("ssh")).len(),
        "the data is on a partition of the same disk"
    );
}

/// The table is what it would be without a cut, and foreign tools find no fault.
fn assert_whole(rig: &Rig<'_>) {
    let raw = raw(rig);
    let plan = fitted(
        rig.node(),
        Size(rig.root_len()),
        Disk {
            root: Extent::Rest,
            data: Some(Extent::Fixed(Size::mib(1024))),
        },
    );
    assert_table_is(&raw, &plan);
    assert_disk_clean(&raw, &plan);
    let boot = rig.dir().join("boot.raw");
    let mut dd = Cmd::new("dd", "run ci/setup");
    for word in [
        format!("if={}", raw.display()),
        format!("of={}", boot.display()),
        format!("skip={}", plan.boot.offset),
        format!("count={}", plan.boot.len),
        "iflag=skip_bytes,count_bytes".into(),
        "bs=1M".into(),
        "conv=sparse".into(),
    ] {
        dd = dd.arg(word);
    }
    dd.run(&[0]).expect("dd");
    let fsck = Cmd::new("fsck.vfat", "run ci/setup").arg("-n").arg(&boot);
    fsck.run(&[0]).expect("fsck.vfat after the boots");
    fs::remove_file(boot).expect("boot.raw");
}
