//! The first boot, as a list. Adding a stage is one file here and one line in
//! [`ALL`].

mod bootstrap;
mod clock;
mod disk;
mod finish;
mod gitops;
mod identity;
mod join;
mod k3s;
mod kubectl;
mod network;
mod packages;
mod preflight;
mod waited;

use std::io::ErrorKind;

use node_config::NodeConfig;

use crate::system::{System, SystemError};

/// Every stage, in order. `finish` is the last.
pub(crate) const ALL: &[&dyn Stage] = &[
    &identity::Identity,
    &disk::DiskStage,
    &network::Network,
    &clock::Clock,
    &packages::Packages,
    &preflight::Preflight,
    &k3s::K3s,
    &bootstrap::Bootstrap,
    &join::Join,
    &gitops::GitOps,
    &finish::Finish,
];

/// Hears how far a stage is, in a few words: for people who wait, kept nowhere.
pub(crate) type Tell<'a> = &'a dyn Fn(&str);

/// One part of the first boot.
pub(crate) trait Stage {
    /// A lower-case word, for reports.
    fn name(&self) -> &'static str;

    /// Looks at the machine; changes nothing.
    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError>;

    /// Does what is to do. May be cut at any point and run again.
    fn apply(&self, node: &NodeConfig, sys: &dyn System, tell: Tell<'_>) -> Result<(), StageError>;

    /// Some, for a stage after which the agent never starts again: these words
    /// are recorded as its success before it is applied, and taken back if it
    /// fails. Recorded after, a power cut between the two would leave a report
    /// that says "running" for ever.
    fn last_words(&self) -> Option<&'static str> {
        None
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// All is as it should be; what was found.
    Done(String),
    /// There is work, or something to wait for; what.
    ToDo(String),
}

/// Why a stage is not done, and whether time can heal it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StageError {
    /// It may pass: tried again, for ever.
    #[error("{0}")]
    Retry(String),
    /// Neither waiting nor a retry helps: the run stops.
    #[error("{0}")]
    Fatal(String),
}

impl From<SystemError> for StageError {
    fn from(error: SystemError) -> Self {
        match error {
            SystemError::File { ref cause, .. } if cause.kind() == ErrorKind::StorageFull => {
                StageError::Retry(format!(
                    "the disk is full ({error}): make room on it, and this goes on by itself"
                ))
            }
            SystemError::File { .. } | SystemError::Program { .. } => {
                StageError::Retry(error.to_string())
            }
            SystemError::NotInstalled { .. } => StageError::Fatal(format!(
                "{error}: add its package to the profile and rebuild the image"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Command;

    #[test]
    fn only_a_missing_program_is_beyond_hope() {
        let command = Command::new("ip", &[]);
        let problem = "exit status: 1".to_string();
        let failed = SystemError::Program {
            command: command.clone(),
            problem,
        };
        assert!(matches!(StageError::from(failed), StageError::Retry(_)));
        let missing = StageError::from(SystemError::NotInstalled { command });
        let StageError::Fatal(message) = missing else {
            panic!("{missing:?}");
        };
        assert!(message.contains("ip is not installed: add"), "{message}");
    }

    #[test]
    fn one_stage_closes_the_door_and_it_is_the_last() {
        let closing: Vec<bool> = ALL.iter().map(|s| s.last_words().is_some()).collect();
        let (last, others) = closing.split_last().expect("stages");
        assert!(*last && !others.contains(&true));
    }
}
