//! Every fault at every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imgbuild::flash::{Aftermath, FlashError, Options, Patience, Pattern, Verify};
use imgbuild::progress::{Interrupted, Progress, Silent};
use nix::errno::Errno;

use super::device::{Beyond, Device, Fault};
use super::{MIB, content, does_not_boot, is_right, old, run};

/// What is left, seen from outside.
fn check_left(
    content: &imgbuild::flash::Content,
    disk: &[u8],
    claim: Option<Aftermath>,
    what: &str,
) {
    let old = old();
    let untouched = disk == old;
    let right = is_right(content, disk, &old);
    let dead = does_not_boot(disk);
    let true_claim = match claim {
        // It said that it worked.
        None => right,
        Some(Aftermath::Unbootable) => dead,
        Some(Aftermath::Unknown) => untouched || right || dead,
    };
    assert!(
        true_claim,
        "{what}: {claim:?}, untouched {untouched}, right {right}, dead {dead}"
    );
}

#[test]
fn every_fault_at_every_call_leaves_a_disk_that_is_old_or_dead_or_right() {
    let content = Arc::new(content());
    for verify in [Verify::Ranges, Verify::Full] {
        let options = Options {
            verify,
            ..Options::default()
        };
        let good = Arc::new(Device::new(old()));
        let outcome = run(&content, &good, options).expect("a good disk");
        assert!(outcome.recorded);
        check_left(&content, &good.bytes(), None, "a good disk");
        for fault in [
            Fault::Error(Errno::EIO),
            Fault::Short,
            Fault::Lost,
            Fault::Corrupt,
            Fault::Shifted,
            Fault::Gone,
        ] {
            let mut refused = 0;
            for call in 0..good.calls() {
                let device = Arc::new(Device::failing(old(), call, fault));
                let result = run(&content, &device, options);
                refused += usize::from(result.is_err());
                let claim = result.err().map(|failed| failed.aftermath);
                let what = format!("{fault:?} at call {call}, {verify:?}");
                check_left(&content, &device.bytes(), claim, &what);
            }
            // Many a fault does not matter: what it does to a read, a discard, a mark.
            assert!(refused >= 6, "{fault:?}: only {refused} noticed");
        }
    }
}

#[test]
fn an_unverified_disk_is_still_cleared_first_and_headed_last() {
    let content = Arc::new(content());
    let options = Options {
        verify: Verify::None,
        ..Options::default()
    };
    let good = Arc::new(Device::new(old()));
    run(&content, &good, options).expect("a good disk");
    for call in 0..good.calls() {
        let device = Arc::new(Device::failing(old(), call, Fault::Error(Errno::EIO)));
        let claim = run(&content, &device, options)
            .err()
            .map(|failed| failed.aftermath);
        check_left(&content, &device.bytes(), claim, &format!("call {call}"));
    }
}

#[test]
fn a_power_cut_at_any_call_leaves_a_disk_that_is_old_or_dead_or_right() {
    let content = Arc::new(content());
    let good = Arc::new(Device::new(old()));
    run(&content, &good, Options::default()).expect("a good disk");
    let mut rng = fastrand::Rng::with_seed(7);
    for call in 0..good.calls() {
        // From there on nothing reaches it any more.
        let device = Arc::new(Device::failing(old(), call, Fault::Gone));
        let _ = run(&content, &device, Options::default());
        for _ in 0..3 {
            let disk = device.after_power_cut(&mut rng);
            // The old table's first two sectors are not there with anything new
            // behind them, and the new first block not without all the rest. One
            // that is torn has the header of a table whose entries do not fit its
            // checksum (UEFI 5.3.2): no table.
            let head_is_new = disk[..4096] == good.bytes()[..4096];
            let head_is_old = disk[..1024] == old()[..1024];
            if head_is_new {
                assert!(is_right(&content, &disk, &old()), "call {call}");
            } else if head_is_old {
                assert!(disk[MIB as usize..] == old()[MIB as usize..], "call {call}");
            }
        }
    }
}

#[test]
fn a_disk_that_claims_more_than_it_has_is_told_from_a_good_one() {
    let content = Arc::new(content());
    for beyond in [Beyond::Dropped, Beyond::Wrapped] {
        for has in [MIB, 5 * MIB, 10 * MIB, 16 * MIB, 20 * MIB - 512] {
            let device = Arc::new(Device::pretending(old(), has, beyond));
            let failed = run(&content, &device, Options::default()).expect_err("a false disk");
            // What wraps may show before the marks are looked at again.
            let told = matches!(
                failed.error,
                FlashError::Capacity { .. } | FlashError::Mismatch { .. }
            );
            assert!(told, "{beyond:?} at {has}: {failed}");
            assert_eq!(failed.aftermath, Aftermath::Unbootable);
        }
    }
}

#[test]
fn the_kind_of_damage_and_its_place_are_told() {
    let content = Arc::new(content());
    // Writes in the order of the disk: the fault is aimed at one of them.
    for (fault, pattern) in [
        (Fault::Corrupt, Pattern::Other),
        (Fault::Shifted, Pattern::Shifted(-512)),
    ] {
        let patterns = (0..40).filter_map(|call| {
            let device = Arc::new(Device::failing(old(), call, fault));
            match run(&content, &device, Options::default()).err()?.error {
                FlashError::Mismatch {
                    offset,
                    len,
                    pattern,
                } => Some((offset, len, pattern)),
                _ => None,
            }
        });
        let found: Vec<_> = patterns.collect();
        let in_data = found
            .iter()
            .find(|(offset, _, found)| (8 * MIB..12 * MIB).contains(offset) && *found == pattern);
        assert!(in_data.is_some(), "{fault:?}: {found:?}");
    }
}

#[test]
fn a_disk_that_answers_no_more_is_named_and_given_up() {
    let content = Arc::new(content());
    let patience = Patience {
        tell: Duration::from_millis(100),
        give_up: Duration::from_millis(600),
    };
    let options = Options {
        patience,
        ..Options::default()
    };
    for call in [0, 9, 14] {
        let device = Arc::new(Device::failing(old(), call, Fault::Stall));
        let target: Arc<dyn imgbuild::flash::Target> = Arc::clone(&device) as _;
        let mut notes = Notes::default();
        let begun = Instant::now();
        let failed = imgbuild::flash::flash(&content, &target, options, &mut notes)
            .expect_err("a disk that stalls");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(
            matches!(failed.error, FlashError::Stalled { .. }),
            "{failed}"
        );
        assert!(
            notes.0.iter().any(|note| note.contains("no answer")),
            "{:?}",
            notes.0
        );
        device.release();
    }
}

#[test]
fn ctrl_c_at_any_time_leaves_a_disk_that_does_not_boot() {
    let content = Arc::new(content());
    for after in [0, 1, 3, 6, 10] {
        let device = Arc::new(Device::new(old()));
        let target: Arc<dyn imgbuild::flash::Target> = Arc::clone(&device) as _;
        let mut stop = StopAfter(after);
        let failed = imgbuild::flash::flash(&content, &target, Options::default(), &mut stop);
        let Err(failed) = failed else { continue };
        assert!(
            matches!(failed.error, FlashError::Interrupted(_)),
            "{failed}"
        );
        check_left(
            &content,
            &device.bytes(),
            Some(failed.aftermath),
            &format!("after {after}"),
        );
    }
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Progress for Notes {
    fn step(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.0.push(text.into());
    }
}

/// The user loses patience after so many pieces.
struct StopAfter(usize);

impl Progress for StopAfter {
    fn step(&mut self, name: &str, total: Option<u64>) {
        Silent.step(name, total);
    }

    fn advance(&mut self, bytes: u64) -> std::io::Result<()> {
        if self.0 == 0 {
            return Err(Interrupted.into());
        }
        self.0 -= usize::from(bytes != 0);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}
