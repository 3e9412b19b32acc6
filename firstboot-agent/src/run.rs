//! The runner: for each stage, look, apply, record; retry what may pass, stop
//! at what will not. A stage knows only its own work.

use std::time::Duration;

use node_config::report::Outcome;
use node_config::{NodeConfig, paths};

use crate::journal::Journal;
use crate::stages::{Look, Stage, StageError};
use crate::status::Status;
use crate::system::{Ear, System, SystemError};

/// A person who plugs the cable in is not left waiting longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// As much of a message as a console shows without drowning the login.
const LONGEST_MESSAGE: usize = 500;

/// How a run ended. One that is being retried does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Every stage is done.
    Done,
    /// An earlier boot had finished; nothing was touched.
    WasDone,
    /// A stage gave up. The next boot tries again.
    Failed,
}

/// Runs the stages in order.
pub(crate) fn run(node: &NodeConfig, stages: &[&dyn Stage], sys: &dyn System) -> End {
    if was_done(node, stages, sys) {
        sys.say(Ear::Log, "the first boot is done; nothing to do");
        return End::WasDone;
    }
    let names: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    let (journal, entries) = Journal::open(sys);
    let mut runner = Runner {
        node,
        sys,
        journal,
        status: Status::new(sys, node, &names, &entries),
    };
    for (index, stage) in stages.iter().enumerate() {
        if runner.complete(index, *stage) == Verdict::GaveUp {
            return End::Failed;
        }
    }
    runner.status.announce_all_done();
    End::Done
}

struct Runner<'a> {
    node: &'a NodeConfig,
    sys: &'a dyn System,
    journal: Journal,
    status: Status<'a>,
}

/// Whether a stage's line of the report says something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Same,
    Changed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Done,
    GaveUp,
}

impl Runner<'_> {
    /// Stays with one stage until it is done, or gives up.
    fn complete(&mut self, index: usize, stage: &dyn Stage) -> Verdict {
        let mut complaint = Complaint::default();
        loop {
            let began = self.sys.elapsed();
            let result = self.attempt(index, stage, &complaint);
            let spent = self.sys.elapsed().saturating_sub(began);
            self.status.stage_mut(index).seconds += spent.as_secs();
            match result {
                Ok(message) => {
                    // Last words are on record already.
                    if self.set(index, Outcome::Done, &message) == Line::Changed {
                        self.record_or_warn(index);
                    }
                    self.status.announce(index);
                    return Verdict::Done;
                }
                Err(StageError::Retry(message)) => {
                    complaint.heard(&message);
                    self.set(index, Outcome::Retrying, &message);
                    if complaint.worth_telling() {
                        self.status.announce(index);
                    }
                    // Last words that turned out wrong are always taken back.
                    if complaint.worth_telling() || stage.last_words().is_some() {
                        self.record_or_warn(index);
                    }
                    self.sys.sleep(complaint.pause());
                }
                Err(StageError::Fatal(message)) => {
                    self.set(index, Outcome::Failed, &message);
                    self.record_or_warn(index);
                    self.status.announce(index);
                    return Verdict::GaveUp;
                }
            }
        }
    }

    /// Looks; where something is to do, does it and looks again: what a stage
    /// says it did is not taken for done.
    fn attempt(
        &mut self,
        index: usize,
        stage: &dyn Stage,
        complaint: &Complaint,
    ) -> Result<String, StageError> {
        let (node, sys) = (self.node, self.sys);
        let reason = match stage.look(node, sys)? {
            Look::Done(message) => return Ok(message),
            Look::ToDo(reason) => reason,
        };
        self.status.stage_mut(index).attempts += 1;
        if complaint.is_none() {
            self.set(index, Outcome::Running, &reason);
            self.record_or_warn(index);
            self.status.announce(index);
        }
        if let Some(words) = stage.last_words() {
            self.set(index, Outcome::Done, words);
            self.record(index)?;
        }
        let tell = |words: &str| self.status.progress(index, &one_line(words));
        stage.apply(node, sys, &tell)?;
        match stage.look(node, sys)? {
            Look::Done(message) => Ok(message),
            Look::ToDo(reason) => Err(StageError::Retry(format!("tried, and still {reason}"))),
        }
    }

    fn set(&mut self, index: usize, outcome: Outcome, message: &str) -> Line {
        let stage = self.status.stage_mut(index);
        let message = one_line(message);
        if stage.outcome == outcome && stage.message == message {
            return Line::Same;
        }
        stage.outcome = outcome;
        stage.message = message;
        Line::Changed
    }

    /// The report is published whatever becomes of the journal: the boot partition has
    /// room of its own.
    fn record(&mut self, index: usize) -> Result<(), SystemError> {
        let made = self.sys.make_dir(paths::STATE_DIR, 0o700);
        let journal = made.and_then(|()| {
            let stage = self.status.stage(index);
            self.journal.append(self.sys, stage)
        });
        self.status.publish()?;
        journal
    }

    /// A record that fails stops nothing: the machine is the truth.
    fn record_or_warn(&mut self, index: usize) {
        if let Err(error) = self.record(index) {
            self.status.warn(&error);
        }
    }
}

/// Whether the stage that closes the door has closed it.
fn was_done(node: &NodeConfig, stages: &[&dyn Stage], sys: &dyn System) -> bool {
    stages
        .iter()
        .filter(|stage| stage.last_words().is_some())
        .any(|stage| matches!(stage.look(node, sys), Ok(Look::Done(_))))
}

/// A complaint, and how often it came in a row.
#[derive(Debug, Default)]
struct Complaint {
    message: String,
    times: u32,
}

impl Complaint {
    fn is_none(&self) -> bool {
        self.times == 0
    }

    fn heard(&mut self, message: &str) {
        if self.message == message {
            self.times = self.times.saturating_add(1);
        } else {
            // Something moved: soon again.
            self.message = message.to_string();
            self.times = 1;
        }
    }

    /// A node without its cable for a month must not fill the journal, nor
    /// write to the boot partition every minute.
    fn worth_telling(&self) -> bool {
        self.times.is_power_of_two()
    }

    /// 1 s, then twice as long each time.
    fn pause(&self) -> Duration {
        let doublings = self.times.saturating_sub(1).min(6);
        Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
    }
}

/// A message may quote a program; a report has one line, and a console must
/// not be sent control characters.
fn one_line(message: &str) -> String {
    let words = message.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty());
    let mut line = line.collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(LONGEST_MESSAGE));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over_with_news() {
        let mut complaint = Complaint::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            complaint.heard("no cable");
            pauses.push(complaint.pause().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        complaint.heard("no address");
        assert_eq!(complaint.pause().as_secs(), 1);
        assert!(complaint.worth_telling());
    }

    #[test]
    fn a_repeated_complaint_is_told_ever_more_rarely() {
        let mut complaint = Complaint::default();
        let mut told = 0;
        for _ in 0..10_000 {
            complaint.heard("no cable");
            told += usize::from(complaint.worth_telling());
        }
        assert_eq!(told, 14, "for a week without a cable");
    }

    #[test]
    fn messages_are_one_line_of_text() {
        for (message, expected) in [
            ("fine", "fine"),
            ("two\r\n  lines\t", "two lines"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("", ""),
        ] {
            assert_eq!(one_line(message), expected, "{message:?}");
        }
        assert!(one_line(&"ä".repeat(600)).len() <= LONGEST_MESSAGE);
    }
}
