//! The whole list on [`Fake`]: it ends well, and it ends the same wherever the
//! power goes and whichever call fails.

pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod dpkg;
pub(crate) mod faults;
pub(crate) mod git;
pub(crate) mod machine;
pub(crate) mod supervisor;

use std::collections::BTreeMap;
use std::time::Duration;

use node_config::report::{Outcome, StageReport, State};
use node_config::{ConsoleLine, NodeConfig, Report, paths};

use self::machine::{ED25519, ETH0_UP, Gateway, RSA};
use crate::journal::Journal;
use crate::run::{End, run};
use crate::stages::{ALL, Look};
use crate::system::fake::{Fake, Fault};
use crate::system::light::Sign;

/// A node as it may be found at its first boot, and its name.
type Case = (&'static str, fn() -> Fake);

const CASES: &[Case] = &[
    ("healthy", machine::healthy),
    ("link up late", || {
        let fake = machine::healthy();
        machine::link_comes_up_after(&fake, Duration::from_secs(3));
        fake
    }),
    ("cable after half a minute", || {
        let fake = machine::healthy();
        machine::link_comes_up_after(&fake, Duration::from_secs(30));
        fake
    }),
    ("router drops pings, boot partition not mounted", || {
        let fake = machine::healthy();
        machine::set_gateway(&fake, Gateway::ArpOnly);
        disk::unmount_boot(&fake);
        fake
    }),
    ("no ping in the base", || {
        let fake = machine::healthy();
        machine::uninstall_ping(&fake);
        fake
    }),
    ("flashed to a larger disk by another tool, in 1970", || {
        let fake = machine::healthy();
        disk::install(&fake);
        fake.set_clock(0);
        machine::set_time_server(&fake, None);
        fake
    }),
    ("no name server", || {
        let fake = machine::healthy();
        machine::silence_dns(&fake);
        fake
    }),
    ("dpkg at work for half a minute", || {
        let fake = machine::healthy();
        dpkg::lock_until(&fake, 30);
        fake
    }),
    ("dpkg cut by an earlier boot", || {
        let fake = machine::healthy();
        dpkg::set_state(&fake, "base-files", "13.8", "ok half-configured");
        dpkg::set_state(&fake, "library", "1:0.101-1", "ok unpacked");
        dpkg::set_state(&fake, "open-iscsi", "2.1.11-1", "reinstreq half-installed");
        fake
    }),
    ("the founder of its cluster", || {
        with_k3s(&cluster::node(true, &[12]))
    }),
    ("the founder of its cluster, which it hands over", || {
        let fake = with_k3s(&cluster::handing_over());
        machine::tell(&fake, &cluster::pulling(&fake));
        cluster::applications(&fake, &[["root", "Synced", "Healthy", ""]]);
        fake
    }),
    ("joins at the second server, which is slow", || {
        let fake = with_k3s(&cluster::node(false, &[12, 13]));
        cluster::servers(&fake, "192.168.4.13 busy\n");
        fake
    }),
    ("in 1970, and a server that knows the time", || {
        let fake = with_k3s(&cluster::node(false, &[12]));
        cluster::servers(&fake, "192.168.4.12 ready\n");
        cluster::tell_time(&fake, 1_791_000_000);
        machine::set_time_server(&fake, None);
        fake.set_clock(0);
        fake
    }),
    ("harmed by an earlier cut", harmed),
    ("keys readable by all, public half lost", || {
        let fake = machine::healthy();
        let private = fake.text(RSA);
        fake.put(RSA, 0o644, private);
        fake.put(&format!("{RSA}.pub"), 0o644, "");
        fake
    }),
];

fn with_k3s(node: &NodeConfig) -> Fake {
    let fake = machine::healthy();
    cluster::install(&fake);
    // Measured before: that has cuts of its own, in the stage's tests.
    fake.put("/var/lib/imgbuild/fsync-us", 0o644, "900\n");
    machine::tell(&fake, node);
    fake
}

fn harmed() -> Fake {
    let fake = machine::healthy();
    let half = fake.text(ED25519)[..100].to_string();
    fake.put(ED25519, 0o600, half);
    fake.put(RSA, 0o600, "");
    fake.put("/etc/machine-id", 0o444, "uninitialized\n");
    fake.put("/etc/hostname", 0o644, "raspberrypi\n");
    fake.put("/proc/sys/kernel/hostname", 0o644, "raspberrypi\n");
    fake.put(paths::JOURNAL, 0o600, "{\"at\":17900");
    fake
}

/// One boot, as the unit does it.
fn boot(fake: &Fake) -> End {
    run(&machine::node_of(fake), ALL, fake)
}

/// Boots until the agent is done.
fn boot_to_the_end(fake: &Fake) -> End {
    machine::restart(fake);
    fake.power_on(None, boot).expect("the power stays")
}

/// What is on the disk when all is over. How often and how long it was tried
/// depends on the cuts, and so does the journal; nothing else may.
fn end_state(fake: &Fake) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = fake.files();
    files.retain(|path, _| {
        !["/proc/", "/sys/", "/run/"]
            .iter()
            .any(|p| path.starts_with(p))
    });
    let (_, entries) = Journal::open(fake);
    let last = entries.last().expect("a journal");
    assert_eq!(
        (last.stage.name.as_str(), last.stage.outcome),
        ("finish", Outcome::Done)
    );
    files.remove(paths::JOURNAL).expect("a journal");
    // Lost in a cut right after dpkg; see the test of the stage.
    files.retain(|path, _| !dpkg::is_written_by_script(path));
    for path in [paths::REPORT, paths::BOOT_REPORT] {
        if let Some((_, content)) = files.get_mut(path) {
            let mut report = Report::parse(str::from_utf8(content).expect("text")).expect("report");
            assert_eq!(report.state, State::Done);
            for stage in &mut report.stages {
                (stage.attempts, stage.seconds) = (0, 0);
            }
            *content = report.render().into_bytes();
        }
    }
    files
}

/// The end state of a boot without any trouble, and how many calls it took.
fn undisturbed(make: fn() -> Fake) -> (BTreeMap<String, (u32, Vec<u8>)>, usize) {
    let fake = make();
    assert_eq!(fake.power_on(None, boot), Some(End::Done));
    let calls = fake.calls();
    (end_state(&fake), calls)
}

#[test]
fn a_healthy_node_is_done_and_says_so() {
    let fake = machine::healthy();
    assert_eq!(fake.power_on(None, boot), Some(End::Done));
    assert_eq!(fake.now(), Duration::ZERO, "nothing waited");

    let heard = fake.heard.borrow();
    let lines: Vec<ConsoleLine> = heard
        .iter()
        .filter(|(ear, _)| ear == "Console(\"ttyAMA10\")")
        .map(|(_, text)| text.parse().expect("a console line"))
        .collect();
    let told: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "imgbuild pi-1 1/11 identity done: host name pi-1, 2 host keys as baked",
            "imgbuild pi-1 2/11 disk done: root 43.4 GiB, data 20 GiB at /var/lib/longhorn on nvme0n1",
            "imgbuild pi-1 3/11 network done: 192.168.4.11/24 on eth0, gateway 192.168.4.1 answers \
             ping, DNS 192.168.4.1, 9.9.9.9 answers",
            "imgbuild pi-1 4/11 clock done: set by a time server",
            "imgbuild pi-1 5/11 packages running: 3 of 3 packages are not installed: library, \
             open-iscsi, needs-library",
            "imgbuild pi-1 5/11 packages running: unpacking 1/3 library",
            "imgbuild pi-1 5/11 packages running: unpacking 2/3 open-iscsi",
            "imgbuild pi-1 5/11 packages running: setting up 1/3 library",
            "imgbuild pi-1 5/11 packages running: setting up 2/3 open-iscsi",
            "imgbuild pi-1 5/11 packages running: unpacking 1/1 needs-library",
            "imgbuild pi-1 5/11 packages running: setting up 1/1 needs-library",
            "imgbuild pi-1 5/11 packages done: all 3 are installed",
            "imgbuild pi-1 6/11 preflight done: no Raspberry Pi firmware to ask about power",
            "imgbuild pi-1 7/11 k3s done: the image carries none",
            "imgbuild pi-1 8/11 bootstrap done: this node hands no cluster over",
            "imgbuild pi-1 9/11 join done: there is no K3s to join with",
            "imgbuild pi-1 10/11 gitops done: this node hands no cluster over",
            "imgbuild pi-1 11/11 finish running: everything before is done",
            "imgbuild pi-1 11/11 finish done: nothing is left to do, the agent does not start again",
            "imgbuild pi-1 all done",
        ]
    );
}

#[test]
fn a_second_run_changes_nothing() {
    for (name, make) in CASES {
        let fake = make();
        assert_eq!(fake.power_on(None, boot), Some(End::Done), "{name}");
        let before = fake.files();
        assert_eq!(fake.power_on(None, boot), Some(End::WasDone), "{name}");
        assert!(fake.files() == before, "{name}");
    }
}

#[test]
fn cut_at_every_call_it_ends_the_same() {
    let mut cuts = 0;
    for (name, make) in CASES {
        let (expected, calls) = undisturbed(*make);
        for call in 0..calls {
            for fault in [Fault::CutBefore(call), Fault::CutWithin(call)] {
                let fake = make();
                assert_eq!(fake.power_on(Some(fault), boot), None, "{name}, {fault:?}");
                boot_to_the_end(&fake);
                assert_eq!(end_state(&fake), expected, "{name}, {fault:?}");
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1000, "{cuts} cuts");
}

#[test]
fn nothing_is_left_to_the_page_cache() {
    for (name, make) in CASES {
        let (expected, _) = undisturbed(*make);
        let fake = make();
        assert_eq!(fake.power_on(None, boot), Some(End::Done), "{name}");
        fake.lose_power();
        assert_eq!(end_state(&fake), expected, "{name}");
    }
}

/// The last stage syncs too, but a stage may wait for days before it.
#[test]
fn a_stage_that_is_done_stays_done_without_power() {
    let fake = harmed();
    for stage in ALL {
        stage
            .apply(&machine::node(), &fake, &|_| ())
            .expect("applies");
        fake.lose_power();
        let look = stage.look(&machine::node(), &fake).expect("looks");
        assert!(matches!(look, Look::Done(_)), "{}: {look:?}", stage.name());
    }
}

/// A key that got its name before its content was on the disk would be made a
/// second time, and whoever trusted the first one would be alarmed.
#[test]
fn a_cut_leaves_no_new_key_without_its_content() {
    let (expected, calls) = undisturbed(harmed);
    let before = harmed().text(ED25519);
    let (_, after) = &expected[ED25519];
    for call in 0..calls {
        let fake = harmed();
        assert_eq!(fake.power_on(Some(Fault::CutBefore(call)), boot), None);
        // Missing, between being set aside and being replaced.
        if let Some((_, found)) = fake.files().get(ED25519) {
            assert!(
                found == before.as_bytes() || found == after,
                "cut at {call}"
            );
        }
    }
}

#[test]
fn cut_twice_it_ends_the_same() {
    let (expected, calls) = undisturbed(harmed);
    for first in (0..calls).step_by(4) {
        for second in (first % 7..calls).step_by(7) {
            let fake = harmed();
            fake.power_on(Some(Fault::CutWithin(first)), boot);
            machine::restart(&fake);
            fake.power_on(Some(Fault::CutWithin(second)), boot);
            boot_to_the_end(&fake);
            assert_eq!(
                end_state(&fake),
                expected,
                "cut in {first}, then in {second}"
            );
        }
    }
}

#[test]
fn a_call_that_fails_once_is_tried_again() {
    for (name, make) in CASES {
        let (_, calls) = undisturbed(*make);
        for call in 0..calls {
            let fake = make();
            let end = fake.power_on(Some(Fault::Fail(call)), boot);
            assert_eq!(end, Some(End::Done), "{name}, call {call}");
            let report = Report::parse(&fake.text(paths::REPORT)).expect("report");
            assert_eq!(report.state, State::Done, "{name}, call {call}");
            assert!(
                fake.files().contains_key(paths::DONE),
                "{name}, call {call}"
            );
        }
    }
}

#[test]
fn a_silent_gateway_is_retried_for_ever_without_noise() {
    let fake = machine::healthy();
    machine::set_gateway(&fake, Gateway::Silent);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(fake.power_on(Some(Fault::CutAt(day)), boot), None);

    let longest = fake.pauses.borrow().iter().max().copied();
    assert_eq!(longest, Some(Duration::from_secs(60)));
    let report = Report::parse(&fake.text(paths::REPORT)).expect("report");
    assert_eq!(report.state, State::Running);
    assert_eq!(report.stages[2].outcome, Outcome::Retrying);
    assert!(report.stages[2].attempts > 1000, "{report:?}");
    let (_, entries) = Journal::open(&fake);
    assert!(entries.len() < 20, "{} lines in a day", entries.len());

    // The counts go on after a power cut.
    machine::set_gateway(&fake, Gateway::Pings);
    assert_eq!(boot_to_the_end(&fake), End::Done);
    let done = Report::parse(&fake.text(paths::REPORT)).expect("report");
    assert!(done.stages[2].attempts >= report.stages[2].attempts);
}

/// Where nothing can be written, the boot partition's copy of the report still can.
#[test]
fn a_full_disk_is_named_and_the_first_boot_goes_on_once_there_is_room() {
    let fake = machine::healthy();
    fake.full.set(true);
    let hour = Duration::from_secs(3600);
    assert_eq!(fake.power_on(Some(Fault::CutAt(hour)), boot), None);
    assert!(!fake.exists(paths::DONE) && fake.text(paths::REPORT).is_empty());
    let report = Report::parse(&fake.text(paths::BOOT_REPORT)).expect("report");
    assert_eq!(report.state, State::Running);
    let waiting = |stage: &&StageReport| stage.outcome == Outcome::Retrying;
    let stage = report.stages.iter().find(waiting).expect("one that waits");
    assert!(
        stage
            .message
            .starts_with("the disk is full (writing /var/lib/imgbuild")
            && stage.message.contains("No space left on device"),
        "{stage:?}"
    );
    fake.full.set(false);
    assert_eq!(boot_to_the_end(&fake), End::Done);
}

#[test]
fn the_light_tells_work_from_waiting_and_the_end() {
    let fake = machine::healthy();
    machine::link_comes_up_after(&fake, Duration::from_secs(30));
    assert_eq!(fake.power_on(None, boot), Some(End::Done));
    let signs = [Sign::Working, Sign::Waiting, Sign::Working, Sign::Before];
    assert_eq!(*fake.shone.borrow(), signs);
    let fake = machine::healthy();
    fake.uninstall("ip");
    assert_eq!(fake.power_on(None, boot), Some(End::Failed));
    assert_eq!(fake.shone.borrow().last(), Some(&Sign::Stopped));
}

#[test]
fn a_fatal_stage_stops_the_run_until_the_next_boot() {
    let fake = machine::healthy();
    fake.uninstall("ip");
    assert_eq!(fake.power_on(None, boot), Some(End::Failed));
    let report = Report::parse(&fake.text(paths::REPORT)).expect("report");
    assert_eq!(report.state, State::Failed);
    assert_eq!(report.stages[3].outcome, Outcome::Pending);
    assert!(report.stages[2].message.contains("ip is not installed"));
    assert!(!fake.files().contains_key(paths::DONE));

    machine::set_link(&fake, ETH0_UP);
    assert_eq!(boot_to_the_end(&fake), End::Done);
}

#[test]
fn last_words_that_turn_out_wrong_are_taken_back() {
    let fake = machine::healthy();
    // A directory where the mark is to be written: that write fails for ever.
    fake.put(&format!("{}.new/in-the-way", paths::DONE), 0o644, "");
    let hour = Duration::from_secs(3600);
    assert_eq!(fake.power_on(Some(Fault::CutAt(hour)), boot), None);

    let report = Report::parse(&fake.text(paths::REPORT)).expect("report");
    assert_eq!(report.state, State::Running);
    let finish = report.stages.last().expect("stages");
    assert_eq!(finish.outcome, Outcome::Retrying);
    assert!(
        finish
            .message
            .starts_with("writing /var/lib/imgbuild/done.new: "),
        "{finish:?}"
    );
}
