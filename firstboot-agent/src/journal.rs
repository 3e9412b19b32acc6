//! What was tried and how it ended: one JSON object per line, only ever added
//! to. It counts attempts over boots and tells people the story; it is never
//! asked whether a stage is done, the machine is.

use node_config::paths;
use node_config::report::StageReport;
use serde::{Deserialize, Serialize};

use crate::system::{System, SystemError, read_text};

/// One line: where a stage stood at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Seconds since 1970; wrong until the clock was set over the network.
    pub(crate) at: u64,
    /// The kernel's id of this boot.
    pub(crate) boot: String,
    /// Name, outcome and message; attempts and seconds over all boots.
    #[serde(flatten)]
    pub(crate) stage: StageReport,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    boot: String,
    /// The file ends inside a line, which must be ended before the next.
    torn: bool,
}

impl Journal {
    /// Reads what is there. A journal that cannot be read counts as empty: its
    /// loss costs the count of attempts, and nothing else.
    pub(crate) fn open(sys: &dyn System) -> (Self, Vec<Entry>) {
        let content = sys.read(paths::JOURNAL).ok().flatten().unwrap_or_default();
        let boot = read_text(sys, "/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let journal = Self {
            boot: boot.trim().to_string(),
            torn: content.last().is_some_and(|last| *last != b'\n'),
        };
        (journal, parse(&content))
    }

    /// Adds a line; on the disk when it returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn append(
        &mut self,
        sys: &dyn System,
        stage: &StageReport,
    ) -> Result<(), SystemError> {
        let entry = Entry {
            at: sys.wall_clock(),
            boot: self.boot.clone(),
            stage: stage.clone(),
        };
        let line = render(&entry, self.torn);
        // A failed write may have left a part of the line.
        self.torn = true;
        sys.append(paths::JOURNAL, 0o600, line.as_bytes())?;
        self.torn = false;
        Ok(())
    }
}

/// Every whole line. What a power cut tore, or left as zeros, is passed over.
fn parse(content: &[u8]) -> Vec<Entry> {
    content
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

fn render(entry: &Entry, after_torn: bool) -> String {
    let line = serde_json::to_string(entry).expect("plain data serialises to JSON");
    let end_torn = if after_torn { "\n" } else { "" };
    format!("{end_torn}{line}\n")
}

#[cfg(test)]
mod tests {
    use node_config::report::Outcome;

    use super::*;
    use crate::system::fake::{Fake, Fault};

    fn stage(name: &str, attempts: u32) -> StageReport {
        StageReport {
            name: name.into(),
            outcome: Outcome::Retrying,
            message: "Kein Kabel: \"eth0\"\nförmlich".into(),
            attempts,
            seconds: 3,
        }
    }

    fn machine(journal: &[u8]) -> Fake {
        let fake = Fake::new();
        fake.put("/proc/sys/kernel/random/boot_id", 0o444, "b1\n");
        fake.put(paths::JOURNAL, 0o600, journal);
        fake
    }

    /// Two lines, as the journal writes them.
    fn two_lines() -> String {
        let fake = machine(b"");
        let (mut journal, _) = Journal::open(&fake);
        for (name, attempts) in [("identity", 1), ("network", 7)] {
            journal
                .append(&fake, &stage(name, attempts))
                .expect("appends");
        }
        fake.text(paths::JOURNAL)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = two_lines();
        assert_eq!(text.lines().count(), 2, "{text}");
        let entries = parse(text.as_bytes());
        assert_eq!(entries[1].stage, stage("network", 7));
        assert_eq!(entries[1].boot, "b1");
    }

    /// The text is on nodes already: it must stay readable.
    #[test]
    fn the_first_form_is_read() {
        let line = r#"{"at":1790000000,"boot":"b","name":"finish","outcome":"done","message":"m","attempts":1,"seconds":0}"#;
        assert_eq!(parse(line.as_bytes())[0].stage.outcome, Outcome::Done);
    }

    #[test]
    fn torn_at_every_byte_it_goes_on() {
        let text = two_lines();
        for length in 0..=text.len() {
            let torn = &text.as_bytes()[..length];
            let fake = machine(torn);
            let (mut journal, before) = Journal::open(&fake);
            journal.append(&fake, &stage("finish", 1)).expect("appends");

            let whole = text.lines().scan(0, |end, line| {
                *end += line.len() + 1;
                Some(*end - 1)
            });
            let whole = whole.filter(|end| *end <= length).count();
            assert_eq!(before.len(), whole, "cut at {length}");
            let after = fake.text(paths::JOURNAL);
            assert!(after.ends_with('\n'));
            assert_eq!(
                parse(after.as_bytes()).len(),
                whole + 1,
                "cut at {length}: {after}"
            );
        }
    }

    #[test]
    fn zeros_and_noise_cost_their_own_line_only() {
        let mut bytes = two_lines().into_bytes();
        bytes.extend([0; 40]);
        let fake = machine(&bytes);
        let (mut journal, before) = Journal::open(&fake);
        assert_eq!(before.len(), 2);
        journal.append(&fake, &stage("finish", 1)).expect("appends");
        assert_eq!(Journal::open(&fake).1.len(), 3);
    }

    #[test]
    fn a_failed_line_does_not_spoil_the_next() {
        let fake = machine(b"");
        let (mut journal, _) = Journal::open(&fake);
        // Calls: the clock, then the file.
        let failed = fake.power_on(Some(Fault::Fail(1)), |sys| {
            journal.append(sys, &stage("network", 1)).is_err()
        });
        assert_eq!(failed, Some(true));
        // As a full disk does: half a line got there.
        fake.put(paths::JOURNAL, 0o600, "{\"at\":1");
        journal
            .append(&fake, &stage("network", 2))
            .expect("appends");
        assert_eq!(Journal::open(&fake).1.len(), 1);
    }
}
