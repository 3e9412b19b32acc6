//! Where we are, for people and programs: `report.json`, its copy on the boot
//! partition, the consoles, systemd. Written here, and never read back.

use std::cell::Cell;

use node_config::report::{self, Outcome, StageReport, State};
use node_config::{ConsoleLine, NodeConfig, Report, paths};

use crate::journal::Entry;
use crate::system::light::Sign;
use crate::system::{Ear, System, SystemError, read_text, replace};

/// The report as it stands, and who is told when it changes.
pub(crate) struct Status<'a> {
    sys: &'a dyn System,
    report: Report,
    consoles: Vec<String>,
    written: Written,
    sign: Cell<Option<Sign>>,
}

/// What each copy holds, so that an equal one is not written again: the boot
/// partition is FAT, and every write to it is a risk.
#[derive(Debug, Default)]
struct Written {
    kept: String,
    boot: String,
    page: String,
}

impl<'a> Status<'a> {
    /// Every stage not begun, with the counts of earlier boots.
    pub(crate) fn new(
        sys: &'a dyn System,
        node: &NodeConfig,
        names: &[&str],
        journal: &[Entry],
    ) -> Self {
        let stages = names
            .iter()
            .map(|name| {
                let last = journal.iter().rfind(|entry| entry.stage.name == *name);
                StageReport {
                    name: (*name).to_string(),
                    outcome: Outcome::Pending,
                    message: String::new(),
                    attempts: last.map_or(0, |entry| entry.stage.attempts),
                    seconds: last.map_or(0, |entry| entry.stage.seconds),
                }
            })
            .collect();
        Self {
            sys,
            report: Report {
                version: report::VERSION,
                node: node.node.name.clone(),
                image_id: node.image_id,
                state: State::Running,
                stages,
            },
            consoles: consoles(sys),
            written: Written::default(),
            sign: Cell::default(),
        }
    }

    /// One stage's line.
    pub(crate) fn stage(&self, index: usize) -> &StageReport {
        &self.report.stages[index]
    }

    /// One stage's line, to change; nobody is told yet.
    pub(crate) fn stage_mut(&mut self, index: usize) -> &mut StageReport {
        &mut self.report.stages[index]
    }

    /// Writes the report where it changed. Without the boot partition it is
    /// still the report: that copy's trouble is only mentioned.
    ///
    /// # Errors
    /// When the copy under `/var/lib` cannot be written.
    pub(crate) fn publish(&mut self) -> Result<(), SystemError> {
        self.report.state = state(&self.report.stages);
        let text = self.report.render();
        if self.written.page != text {
            self.sys.say(Ear::Page, &text);
            self.written.page.clone_from(&text);
        }
        let kept = write_changed(self.sys, paths::REPORT, &text, &mut self.written.kept);
        if let Err(error) = self.publish_on_boot_partition(&text) {
            self.warn(&error);
        }
        kept
    }

    /// Says how the stage stands.
    pub(crate) fn announce(&self, index: usize) {
        let stage = self.stage(index);
        self.say_of(index, stage.outcome, &stage.message);
        self.shine(match stage.outcome {
            Outcome::Pending | Outcome::Running | Outcome::Done => Sign::Working,
            Outcome::Retrying => Sign::Waiting,
            Outcome::Failed => Sign::Stopped,
        });
    }

    /// Says how far a stage is, on the page too. Not a part of the report: a file
    /// written for every step would wear the boot partition.
    pub(crate) fn progress(&self, index: usize, words: &str) {
        let mut report = self.report.clone();
        report.stages[index].message = words.into();
        self.sys.say(Ear::Page, &report.render());
        self.say_of(index, Outcome::Running, words);
    }

    /// Says that nothing is left.
    pub(crate) fn announce_all_done(&self) {
        self.say(&ConsoleLine::AllDone {
            node: self.report.node.clone(),
        });
        self.shine(Sign::Before);
    }

    /// Mentions trouble that stops nothing.
    pub(crate) fn warn(&self, error: &SystemError) {
        self.sys
            .say(Ear::Log, &format!("going on without: {error}"));
    }

    /// A pattern that is shown again would begin anew.
    fn shine(&self, sign: Sign) {
        if self.sign.replace(Some(sign)) != Some(sign) {
            self.sys.shine(sign);
        }
    }

    fn say_of(&self, index: usize, outcome: Outcome, message: &str) {
        self.say(&ConsoleLine::Stage {
            node: self.report.node.clone(),
            number: count(index + 1),
            total: count(self.report.stages.len()),
            stage: self.stage(index).name.clone(),
            outcome,
            message: message.into(),
        });
    }

    fn publish_on_boot_partition(&mut self, text: &str) -> Result<(), SystemError> {
        let mounts = read_text(self.sys, "/proc/self/mountinfo")?;
        if !is_mount_point(&mounts, paths::BOOT_DIR) {
            // Else the copy would lie under the mount point, seen by nobody.
            return Ok(());
        }
        write_changed(self.sys, paths::BOOT_REPORT, text, &mut self.written.boot)
    }

    fn say(&self, line: &ConsoleLine) {
        say(self.sys, &self.consoles, &line.to_string());
    }
}

/// The terminals that are consoles, by their names in `/dev`.
pub(crate) fn consoles(sys: &dyn System) -> Vec<String> {
    read_text(sys, "/sys/class/tty/console/active")
        .unwrap_or_default()
        .split_whitespace()
        .map(String::from)
        .collect()
}

/// Says a line to everybody who reads lines.
pub(crate) fn say(sys: &dyn System, consoles: &[String], line: &str) {
    sys.say(Ear::Log, line);
    sys.say(Ear::ServiceManager, line);
    for console in consoles {
        sys.say(Ear::Console(console), line);
    }
}

fn write_changed(
    sys: &dyn System,
    path: &str,
    text: &str,
    written: &mut String,
) -> Result<(), SystemError> {
    if written != text {
        replace(sys, path, 0o644, text.as_bytes())?;
        *written = text.to_string();
    }
    Ok(())
}

/// The whole run's state follows from its stages.
fn state(stages: &[StageReport]) -> State {
    if stages.iter().any(|stage| stage.outcome == Outcome::Failed) {
        State::Failed
    } else if stages.iter().all(|stage| stage.outcome == Outcome::Done) {
        State::Done
    } else {
        State::Running
    }
}

/// Whether something is mounted there, by the text of `/proc/self/mountinfo`.
pub(crate) fn is_mount_point(mountinfo: &str, path: &str) -> bool {
    // The fifth word; spaces in it are escaped.
    mountinfo
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(path))
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::{Fake, Fault};
    use crate::tests::{disk, machine};

    fn stages(outcomes: &[Outcome]) -> Vec<StageReport> {
        let stage = |outcome: &Outcome| StageReport {
            name: "a".into(),
            outcome: *outcome,
            message: String::new(),
            attempts: 0,
            seconds: 0,
        };
        outcomes.iter().map(stage).collect()
    }

    #[test]
    fn the_state_follows_from_the_stages() {
        use Outcome::{Done, Failed, Pending, Retrying};
        for (outcomes, expected) in [
            (&[Pending, Pending][..], State::Running),
            (&[Done, Retrying], State::Running),
            (&[Done, Failed, Pending], State::Failed),
            (&[Done, Done], State::Done),
        ] {
            assert_eq!(state(&stages(outcomes)), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn a_mount_point_is_a_whole_word() {
        let mounts = "22 1 259:2 / / rw,noatime shared:1 - ext4 /dev/nvme0n1p2 rw\n\
                      30 22 259:1 / /boot/firmware rw - vfat /dev/nvme0n1p1 rw\n";
        for (path, expected) in [
            ("/", true),
            ("/boot/firmware", true),
            ("/boot", false),
            ("/boot/firmware/sub", false),
        ] {
            assert_eq!(is_mount_point(mounts, path), expected, "{path}");
        }
    }

    /// With the directory that the runner makes.
    fn machine() -> Fake {
        let fake = machine::healthy();
        fake.make_dir(paths::STATE_DIR, 0o700).expect("directory");
        fake
    }

    fn published(fake: &Fake) -> Result<(), SystemError> {
        let mut status = Status::new(fake, &machine::node(), &["network"], &[]);
        status.publish()
    }

    #[test]
    fn both_copies_are_equal_and_parse() {
        let fake = machine();
        published(&fake).expect("publishes");
        let report = fake.text(paths::REPORT);
        assert_eq!(fake.text(paths::BOOT_REPORT), report);
        assert_eq!(Report::parse(&report).expect("ours").node, "pi-1");
    }

    #[test]
    fn nothing_is_written_below_an_empty_mount_point() {
        let fake = machine();
        disk::unmount_boot(&fake);
        published(&fake).expect("publishes");
        assert!(!fake.files().contains_key(paths::BOOT_REPORT));
    }

    #[test]
    fn a_failing_boot_partition_fails_nothing() {
        let fake = machine();
        // The consoles, the page; then write and rename twice, the mounts between them.
        let result = fake.power_on(Some(Fault::Fail(5)), |fake| published(fake).is_ok());
        assert_eq!(result, Some(true));
        assert!(!fake.files().contains_key(paths::BOOT_REPORT));
        let heard = fake.heard.borrow();
        let (ear, text) = heard.last().expect("a warning");
        assert_eq!(ear, "Log");
        assert!(text.contains(paths::BOOT_REPORT), "{text}");
    }

    #[test]
    fn an_equal_report_is_written_once() {
        let fake = machine();
        let mut status = Status::new(&fake, &machine::node(), &["network"], &[]);
        status.publish().expect("publishes");
        let calls = fake.calls();
        status.publish().expect("publishes");
        assert_eq!(fake.calls() - calls, 1, "looks at the mounts, no more");
    }

    #[test]
    fn every_console_hears_the_line() {
        let fake = machine();
        let status = Status::new(&fake, &machine::node(), &["network", "finish"], &[]);
        status.announce(1);
        let heard = fake.heard.borrow();
        let line = "imgbuild pi-1 2/2 finish pending".to_string();
        for ear in [
            "Log",
            "ServiceManager",
            "Console(\"ttyAMA10\")",
            "Console(\"tty1\")",
        ] {
            assert!(heard.contains(&(ear.into(), line.clone())), "{heard:?}");
        }
    }
}
