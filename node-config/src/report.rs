//! The agent's progress: a document for programs, and console lines that
//! `imgbuild try` follows while the node boots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version this crate writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// `report.json`: where the first boot stands. Holds no secret; a copy lies on
/// the FAT partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Format of this document, [`VERSION`].
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// The image that is booting.
    pub image_id: Uuid,
    /// Where the whole run stands.
    pub state: State,
    /// Every stage in order, those not begun included.
    pub stages: Vec<StageReport>,
}

/// Where the whole run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Stages are left, or are being retried.
    Running,
    /// Every stage is done; the agent does not start again.
    Done,
    /// A stage gave up; the rest did not run.
    Failed,
}

/// One stage's part of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage's name, a lower-case word.
    pub name: String,
    /// How far it got.
    pub outcome: Outcome,
    /// What was found or done, or what is wrong and what to do. One line.
    #[serde(default)]
    pub message: String,
    /// How often it was applied, over all boots.
    #[serde(default)]
    pub attempts: u32,
    /// Seconds spent applying it, over all boots.
    #[serde(default)]
    pub seconds: u64,
}

/// How far a stage got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not begun.
    Pending,
    /// Being applied.
    Running,
    /// Failed in a way that may pass; will be applied again.
    Retrying,
    /// Done.
    Done,
    /// Gave up.
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 5] = [
        Outcome::Pending,
        Outcome::Running,
        Outcome::Retrying,
        Outcome::Done,
        Outcome::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Outcome::Pending => "pending",
            Outcome::Running => "running",
            Outcome::Retrying => "retrying",
            Outcome::Done => "done",
            Outcome::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A document that is not a report this crate reads.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not JSON, or not of this shape.
    #[error("not a first-boot report: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by a newer agent.
    #[error("the report has version {found}, this program reads up to {VERSION}; update it")]
    Version {
        /// The version in the document.
        found: u32,
    },
}

impl Report {
    /// Reads the document.
    ///
    /// # Errors
    /// When the text is not JSON of this shape, or of a version not known here.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_str(text)?;
        if version != VERSION {
            return Err(ReportError::Version { found: version });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Renders the document; [`Report::parse`] gives the same value back.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data serialises to JSON");
        text.push('\n');
        text
    }
}

/// One line on the node's console.
///
/// ```text
/// imgbuild pi-1 2/3 network done: 192.168.4.11/24 on eth0, gateway answers
/// imgbuild pi-1 all done
/// ```
///
/// Kernel messages share the console and may precede a line on the same row,
/// so a reader looks for the line anywhere in the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleLine {
    /// A stage changed.
    Stage {
        /// The node's name.
        node: String,
        /// Position, from 1.
        number: u32,
        /// How many stages there are.
        total: u32,
        /// The stage's name.
        stage: String,
        /// How far it got.
        outcome: Outcome,
        /// See [`StageReport::message`].
        message: String,
    },
    /// Every stage is done.
    AllDone {
        /// The node's name.
        node: String,
    },
}

impl fmt::Display for ConsoleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsoleLine::Stage {
                node,
                number,
                total,
                stage,
                outcome,
                message,
            } => {
                write!(f, "imgbuild {node} {number}/{total} {stage} {outcome}")?;
                if !message.is_empty() {
                    // One report, one row: a reader works line by line.
                    write!(f, ": {}", message.replace(['\r', '\n'], " "))?;
                }
                Ok(())
            }
            ConsoleLine::AllDone { node } => write!(f, "imgbuild {node} all done"),
        }
    }
}

/// A console row that is not the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a first-boot console line")]
pub struct NotAConsoleLine;

impl FromStr for ConsoleLine {
    type Err = NotAConsoleLine;

    fn from_str(row: &str) -> Result<Self, NotAConsoleLine> {
        let start = row.find("imgbuild ").ok_or(NotAConsoleLine)?;
        let row = row[start..].trim_end();
        let (head, message) = row.split_once(": ").unwrap_or((row, ""));
        let words: Vec<&str> = head.split(' ').collect();
        match words[..] {
            ["imgbuild", node, "all", "done"] => Ok(ConsoleLine::AllDone { node: node.into() }),
            ["imgbuild", node, position, stage, outcome] => {
                let (number, total) = position.split_once('/').ok_or(NotAConsoleLine)?;
                Ok(ConsoleLine::Stage {
                    node: node.into(),
                    number: number.parse().map_err(|_| NotAConsoleLine)?,
                    total: total.parse().map_err(|_| NotAConsoleLine)?,
                    stage: stage.into(),
                    outcome: Outcome::ALL
                        .into_iter()
                        .find(|known| known.as_str() == outcome)
                        .ok_or(NotAConsoleLine)?,
                    message: message.into(),
                })
            }
            _ => Err(NotAConsoleLine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{
  "version": 1,
  "node": "pi-1",
  "image_id": "6f2fd5b0-3c5b-5f0e-9f43-0c8f9c1f7a10",
  "state": "running",
  "stages": [
    { "name": "identity", "outcome": "done", "message": "2 host keys", "attempts": 1, "seconds": 0 },
    { "name": "network", "outcome": "retrying", "message": "gateway silent", "attempts": 4, "seconds": 12 },
    { "name": "finish", "outcome": "pending" }
  ]
}"#;

    #[test]
    fn version_1_is_read_and_round_trips() {
        let report = Report::parse(V1).expect("version 1");
        assert_eq!(report.stages[1].outcome, Outcome::Retrying);
        assert_eq!(report.stages[2].attempts, 0);
        assert_eq!(Report::parse(&report.render()).expect("own text"), report);
    }

    #[test]
    fn a_newer_report_is_named() {
        let newer = V1.replace("\"version\": 1", "\"version\": 7");
        assert!(matches!(
            Report::parse(&newer),
            Err(ReportError::Version { found: 7 })
        ));
    }

    #[test]
    fn console_lines_round_trip_among_kernel_noise() {
        let lines = [
            ConsoleLine::Stage {
                node: "pi-1".into(),
                number: 2,
                total: 3,
                stage: "network".into(),
                outcome: Outcome::Done,
                message: "192.168.4.11/24 on eth0: gateway answers".into(),
            },
            ConsoleLine::Stage {
                node: "pi-1".into(),
                number: 1,
                total: 3,
                stage: "identity".into(),
                outcome: Outcome::Running,
                message: String::new(),
            },
            ConsoleLine::AllDone {
                node: "pi-1".into(),
            },
        ];
        for line in lines {
            let row = format!("[   12.3] random: {line}\r");
            assert_eq!(row.parse::<ConsoleLine>(), Ok(line));
        }
    }

    #[test]
    fn other_rows_are_not_ours() {
        for row in [
            "",
            "login: ",
            "imgbuild pi-1",
            "imgbuild pi-1 1/x a done",
            "imgbuild a 1/2 b perhaps",
        ] {
            assert_eq!(row.parse::<ConsoleLine>(), Err(NotAConsoleLine), "{row}");
        }
    }
}
